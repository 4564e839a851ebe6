"""Settings: YAML into pydantic models, several places over each other, and errors that name the nearest known key."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from deepagent.errors import ConfigError

Settings = TypeVar("Settings", bound=BaseModel)
Key = tuple[str, ...]
"""Where a setting stands: `("agent", "limits", "actions")`."""

DEFAULT = "default"
"""The origin of what nobody has set."""

_LEVELS = "__"
_SECRET_ENDS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")


@dataclass(frozen=True)
class Given:
    """A setting, or a tree of them, as one place gives it.

    Attributes:
        key: where it stands; `()` for a whole file.
        value: what it is to be.
        origin: the place in words: a file, a variable, an option.
    """

    key: Key
    value: Any
    origin: str


@dataclass(frozen=True)
class Merged(Generic[Settings]):
    """Settings from several places.

    Attributes:
        settings: what counts.
        origins: the place of each setting that some place has given.
    """

    settings: Settings
    origins: Mapping[Key, str]

    def rows(self) -> Iterator[tuple[Key, Any, str]]:
        """Every setting with its value and origin, in the order of the models."""
        yield from self._rows(self.settings, ())

    def origin(self, key: Key) -> str:
        """The place that has given a setting."""
        return _origin(self.origins, key) or DEFAULT

    def _rows(self, model: BaseModel, at: Key) -> Iterator[tuple[Key, Any, str]]:
        dumped = model.model_dump(mode="json")
        for name in type(model).model_fields:
            value, key = getattr(model, name), (*at, name)
            if isinstance(value, BaseModel):
                yield from self._rows(value, key)
            else:
                yield key, dumped[name], self.origin(key)


def read(path: Path, kind: type[Settings]) -> Settings:
    """Read a YAML file.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds an unknown key or a value out of range.
    """
    return merge([from_file(path)], kind).settings


def validate(data: Any, kind: type[Settings], *, where: str) -> Settings:
    """Check settings against their model; `where` names their origin in errors.

    Raises:
        ConfigError: with the first problem in one line, and the nearest known key for an unknown one.
    """
    return merge([Given((), data, where)], kind).settings


def merge(given: Iterable[Given], kind: type[Settings]) -> Merged[Settings]:
    """Put settings over each other: what comes later counts. Trees are merged, lists are replaced.

    Raises:
        ConfigError: with the first problem in one line, its origin, and the nearest known key for an unknown one.
    """
    whole: Any = {}
    origins: dict[Key, str] = {}
    latest = kind.__name__
    for one in given:
        latest = one.origin
        whole = _placed(whole, one.key, one.value)
        _note(origins, one.key, one.value, one.origin)
    try:
        return Merged(kind.model_validate(whole), origins)
    except ValidationError as error:
        first = error.errors()[0]
        place = tuple(map(str, first["loc"]))
        where, name = _origin(origins, place) or latest, ".".join(place) or "the whole"
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(place[-1], _keys(kind, place[:-1]), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{where}: unknown key {name!r}{hint}") from error
        raise ConfigError(f"{where}: {name}: {first['msg']}") from error


def from_file(path: Path) -> Given:
    """What a YAML file gives.

    Raises:
        ConfigError: it is missing or is not YAML.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"config {path}: {error.strerror}; give another file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"config {path}: is no UTF-8 text: {error.reason}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"config {path}: is not YAML: {' '.join(str(error).split())}") from error
    return Given((), {} if data is None else data, f"config {path}")


def from_environment(
    environ: Mapping[str, str], prefix: str, kind: type[BaseModel], others: Sequence[str] = ()
) -> list[Given]:
    """What variables give: `PREFIX_AGENT__LIMITS__ACTIONS` is `agent.limits.actions`.

    Names that end as those of secrets do (`_KEY`, `_TOKEN`, `_SECRET`, `_PASSWORD`) are left alone.

    Args:
        environ: the variables.
        prefix: what the names of settings begin with.
        kind: what the settings are for.
        others: names with this prefix that are read elsewhere.

    Raises:
        ConfigError: a variable is meant for a setting that there is not, or cannot be read.
    """
    found = []
    known = [*(f"{prefix}{name.upper()}" for name in kind.model_fields), *others]
    for name in sorted(environ):
        if not name.startswith(prefix) or name in others or name.endswith(_SECRET_ENDS):
            continue
        key = tuple(name.removeprefix(prefix).lower().split(_LEVELS))
        if key[0] not in kind.model_fields:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"environment: unknown setting {name}{hint}")
        found.append(Given(key, _spelled(environ[name], kind, key, name), name))
    return found


def from_option(text: str, kind: type[BaseModel]) -> Given:
    """What `agent.limits.actions=20` gives.

    Raises:
        ConfigError: it has no such form.
    """
    name, equals, value = text.partition("=")
    key = tuple(name.strip().split("."))
    if not equals or not all(key):
        raise ConfigError(f"--set {text}: write KEY=VALUE, such as agent.limits.actions=20")
    return Given(key, _spelled(value, kind, key, f"--set {name}"), f"--set {name}")


def _spelled(text: str, kind: type[BaseModel], key: Key, origin: str) -> Any:
    """A value from text: as it stands where the setting is text, else read as YAML."""
    wanted = _alternatives(_annotation(kind, key))
    if type(None) in wanted and text.strip().lower() in ("null", ""):
        return None
    if any(one is str or typing.get_origin(one) is Literal for one in wanted):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: is not YAML: {' '.join(str(error).split())}") from error


def _placed(whole: Any, key: Key, value: Any) -> Any:
    """A tree with a value put at a place in it."""
    if key:
        value = {key[0]: _placed(whole.get(key[0], {}) if isinstance(whole, dict) else {}, key[1:], value)}
    if not isinstance(whole, dict) or not isinstance(value, dict):
        return value
    return whole | {name: _placed(whole.get(name, {}), (), inner) for name, inner in value.items()}


def _note(origins: dict[Key, str], key: Key, value: Any, origin: str) -> None:
    """Remember where the parts of a value come from, and forget what they replace."""
    if isinstance(value, dict) and (value or not key):
        for name, inner in value.items():
            _note(origins, (*key, str(name)), inner, origin)
        return
    for old in [old for old in origins if old[: len(key)] == key]:
        del origins[old]
    origins[key] = origin


def _origin(origins: Mapping[Key, str], place: Key) -> str | None:
    """Where a setting comes from: its own origin, that of the tree it stands in, or of something inside it."""
    for length in range(len(place), -1, -1):
        if place[:length] in origins:
            return origins[place[:length]]
    return next((origin for key, origin in origins.items() if key[: len(place)] == place), None)


def _annotation(kind: type[BaseModel], key: Key) -> Any:
    """The type of a setting inside nested models; `Any` where none is known."""
    annotation: Any = kind
    for part in key:
        inner = _model(annotation)
        field = inner.model_fields.get(part) if inner is not None else None
        if field is None:
            return Any
        annotation = field.annotation
    return annotation


def _keys(kind: type[BaseModel], key: Key) -> list[str]:
    """The keys that are known at a place inside nested settings."""
    inner = _model(_annotation(kind, key))
    return list(inner.model_fields) if inner is not None else []


def _model(annotation: Any) -> type[BaseModel] | None:
    """The settings among the alternatives of a type."""
    alternatives = _alternatives(annotation)
    return next((one for one in alternatives if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)
