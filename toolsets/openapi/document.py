"""Reading an OpenAPI document: JSON or YAML, its version, its references."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

import yaml
from referencing import Registry, Resource, Specification
from referencing.exceptions import NoSuchResource, Unresolvable

from deepagent.errors import ToolDefinitionError

if TYPE_CHECKING:
    from referencing._core import Resolver  # it has no public name

MAX_BYTES = 64 << 20
_MAX_NODES = 20_000_000
_MAX_DEPTH = 200
_MAX_HOPS = 32

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times faster, where it was built


@dataclass(frozen=True)
class Part:
    """A part of a document, together with what its own references are relative to."""

    value: Any
    resolver: Resolver[Any]
    seen: dict[tuple[int, str], Part] = field(default_factory=dict, repr=False, compare=False)
    """What references led to, by resolver: a lookup walks the whole path again each time."""

    def within(self, value: Any) -> Part:
        """Another value of the same place."""
        return Part(value, self.resolver, self.seen)

    def at(self, key: str) -> Part:
        """The part under a key; holds None where there is none."""
        return self.within(self.value.get(key) if isinstance(self.value, dict) else None)

    def items(self) -> Iterator[tuple[str, Part]]:
        """The parts of an object by key; none where it is no object."""
        if isinstance(self.value, dict):
            for key, value in self.value.items():
                yield key, self.within(value)

    def each(self) -> Iterator[Part]:
        """The parts of a list; none where it is no list."""
        if isinstance(self.value, list):
            for value in self.value:
                yield self.within(value)

    def text(self, key: str) -> str:
        """The text under a key, or none."""
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return value if isinstance(value, str) else ""

    def followed(self) -> Part:
        """What this part refers to, or itself.

        Raises:
            ToolDefinitionError: the reference leads nowhere, out of the document's folder, or in a circle.
        """
        part = self
        for _ in range(_MAX_HOPS):
            reference = part.value.get("$ref") if isinstance(part.value, dict) else None
            if not isinstance(reference, str):
                return part
            part = part._led(reference)
        raise ToolDefinitionError(f"the reference {reference!r} leads in a circle")

    def _led(self, reference: str) -> Part:
        key = id(self.resolver), reference  # resolvers live as long as the parts that are kept here
        if key not in self.seen:
            try:
                found = self.resolver.lookup(reference)
            except (Unresolvable, ValueError, TypeError, KeyError, IndexError) as error:
                # Besides its own errors, the library lets pass what a pointer into something odd raises.
                raise ToolDefinitionError(f"the reference {reference[:120]!r} leads nowhere") from error
            # Within one file its resolver stays what it was, so that what it found is found again.
            resolver = self.resolver if reference.startswith("#") else found.resolver
            self.seen[key] = Part(found.contents, resolver, self.seen)
        return self.seen[key]


@dataclass(frozen=True)
class Document:
    """A document, as it stands or brought up from Swagger 2.0.

    Attributes:
        root: the whole, in the form of OpenAPI 3.
        version: `3.0` or `3.1`; says how schemas are to be read.
        source: what was read: `2.0`, `3.0` or `3.1`.
    """

    root: Part
    version: str
    source: str

    @property
    def title(self) -> str:
        """The API's name."""
        return self.root.at("info").text("title")


def load(path: Path) -> Document:
    """Read a document.

    Args:
        path: a JSON or YAML file. It may refer to files beside and below it, and to nothing else.

    Raises:
        ToolDefinitionError: it cannot be read, is no OpenAPI document, or of a version that is not known.
    """
    try:
        return document(_read(path), path)
    except ToolDefinitionError as error:
        raise ToolDefinitionError(f"{path}: {error}") from error


def document(raw: Any, path: Path) -> Document:
    """A document that was read already; `path` is where its references to files start."""
    if not isinstance(raw, dict):
        raise ToolDefinitionError("is no OpenAPI document: it holds no object")
    told = str(raw.get("openapi") or raw.get("swagger") or "")
    version = ".".join(told.split(".")[:2])
    if version not in ("2.0", "3.0", "3.1"):
        said = f"its version is {told[:20]!r}" if told else "it names no version"
        raise ToolDefinitionError(f"is no OpenAPI document of version 2.0, 3.0 or 3.1: {said}")
    if not isinstance(raw.get("paths"), dict):
        raise ToolDefinitionError("describes no paths, so there is nothing to call")
    root = _root(raw, path)
    if version == "2.0":
        from deepagent.toolsets.openapi.swagger import modernised

        return Document(root.within(modernised(root)), "3.0", version)
    return Document(root, version, version)


def _root(raw: dict[str, Any], path: Path) -> Part:
    folder = path.resolve().parent

    def retrieve(uri: str) -> Resource[Any]:
        parts = urlsplit(uri)
        place = Path(unquote(parts.path)).resolve()
        if parts.scheme != "file" or not place.is_relative_to(folder):
            raise _no_such(uri)
        try:
            return Specification.OPAQUE.create_resource(_read(place))
        except ToolDefinitionError as error:
            raise _no_such(uri) from error

    uri = path.resolve().as_uri()
    resource: Resource[Any] = Specification.OPAQUE.create_resource(raw)
    registry: Registry[Any] = Registry(retrieve=retrieve)  # type: ignore[call-arg]  # attrs hides the parameter
    return Part(raw, registry.with_resource(uri, resource).resolver(base_uri=uri))


def _no_such(uri: str) -> NoSuchResource:
    return NoSuchResource(ref=uri)  # type: ignore[call-arg]  # attrs hides the parameter


def _read(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ToolDefinitionError(f"is larger than {MAX_BYTES >> 20} MiB")
        packed = path.read_bytes()
        text = (_unpacked(packed) if path.suffix == ".gz" else packed).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ToolDefinitionError(f"is no UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise ToolDefinitionError(f"cannot be read: {error.strerror}") from error
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text)
        except RecursionError as error:
            raise ToolDefinitionError("is nested too deeply") from error
        except ValueError:
            pass  # YAML may begin with a bracket too
    try:
        data = yaml.load(text, _PlainLoader)  # noqa: S506 (a safe loader, with fewer types still)
    except (yaml.YAMLError, ValueError) as error:
        raise ToolDefinitionError(f"is neither JSON nor YAML: {' '.join(str(error).split())[:200]}") from error
    except RecursionError as error:
        raise ToolDefinitionError("is nested too deeply") from error
    _measure(data)
    return data


def _unpacked(packed: bytes) -> bytes:
    """What a gzip file holds; never more than a document may have."""
    try:
        data = zlib.decompressobj(wbits=31).decompress(packed, MAX_BYTES + 1)
    except zlib.error as error:
        raise ToolDefinitionError(f"is no gzip file: {error}") from error
    if len(data) > MAX_BYTES:
        raise ToolDefinitionError(f"is larger than {MAX_BYTES >> 20} MiB when unpacked")
    return data


class _PlainLoader(_Loader):  # type: ignore[misc]  # chosen at run time
    """YAML as JSON means it: `no` is a word, a date is text, keys are text, and nothing is merged.

    Merge keys are not part of YAML 1.2; a few lines of them can stand for billions of entries.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        letter: [(tag, found) for tag, found in rules if tag.rpartition(":")[2] in ("int", "float", "null")]
        for letter, rules in _Loader.yaml_implicit_resolvers.items()
    }


def _text_keys(loader: Any, node: Any) -> dict[str, Any]:
    loader.flatten_mapping = lambda node: None
    made = loader.construct_mapping(node, deep=True)
    return {key if isinstance(key, str) else json.dumps(key, default=str): value for key, value in made.items()}


def _add_rules() -> None:
    import re

    bools = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
    _PlainLoader.add_implicit_resolver("tag:yaml.org,2002:bool", bools, list("tTfF"))
    _PlainLoader.add_constructor("tag:yaml.org,2002:map", _text_keys)


_add_rules()


def _measure(data: Any) -> None:
    """Refuse what aliases make endless or enormous: every later walk would follow them."""
    count, stack = 0, [(data, 0)]
    while stack:
        value, depth = stack.pop()
        count += 1
        if count > _MAX_NODES or depth > _MAX_DEPTH:
            raise ToolDefinitionError("expands without end, or is nested too deeply; write it without such aliases")
        if isinstance(value, (dict, list)):
            inner = value.values() if isinstance(value, dict) else value
            stack += [(one, depth + 1) for one in inner]
