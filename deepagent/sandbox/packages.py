"""Which files an installed package needs, so that it can be shown inside without showing all others."""

from __future__ import annotations

import functools
import re
from importlib import metadata
from pathlib import Path

from deepagent.errors import ConfigError

_REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")


@functools.cache
def files_of(names: tuple[str, ...]) -> dict[str, str]:
    """Top-level files and folders of distributions, and of all that they require and is installed.

    Args:
        names: as `pip install` takes them.

    Returns:
        Path by name within site-packages.

    Raises:
        ConfigError: one is not installed, or does not say what its files are.
    """
    found: dict[str, str] = {}
    todo, seen = list(names), set(names)
    while todo:
        name = todo.pop()
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if name in names:
                raise ConfigError(
                    f"sandbox.packages names {name!r}, which is not installed here; pip install {name}"
                ) from None
            continue  # required on another system, or for an extra
        found |= _top_level(name, distribution)
        required = {_REQUIREMENT.match(line) for line in distribution.requires or () if "extra ==" not in line}
        new = {match.group().lower() for match in required if match} - seen
        seen |= new
        todo += sorted(new)
    return found


def _top_level(name: str, distribution: metadata.Distribution) -> dict[str, str]:
    tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    paths = {top: Path(str(distribution.locate_file(top))) for top in tops}
    existing = {top: str(path.resolve()) for top, path in paths.items() if path.exists()}
    if not any(not top.endswith(".dist-info") for top in existing):
        raise ConfigError(f"sandbox.packages names {name!r}, whose files are not known; install it as a wheel")
    return existing
