"""Reading settings: YAML into pydantic models, with errors that name the nearest known key."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from deepagent.errors import ConfigError

Settings = TypeVar("Settings", bound=BaseModel)


def read(path: Path, kind: type[Settings]) -> Settings:
    """Read a YAML file.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds an unknown key or a value out of range.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"config {path}: is not YAML: {' '.join(str(error).split())}") from error
    return validate({} if data is None else data, kind, where=f"config {path}")


def validate(data: Any, kind: type[Settings], *, where: str) -> Settings:
    """Check settings against their model; `where` names their origin in errors.

    Raises:
        ConfigError: with the first problem in one line, and the nearest known key for an unknown one.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(first["loc"][-1]), _keys(kind, first["loc"][:-1]), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{where}: unknown key {place!r}{hint}") from error
        raise ConfigError(f"{where}: {place}: {first['msg']}") from error


def _keys(kind: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys that are known at a place inside nested settings."""
    for part in path:
        field = kind.model_fields.get(str(part))
        inner = field.annotation if field else None
        candidates = [inner, *getattr(inner, "__args__", ())]
        found = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
        if found is None:
            return []
        kind = found
    return list(kind.model_fields)
