"""An index on disk.

A folder holds `manifest.json` and the two files that it names by their SHA-256::

    manifest.json               format, encoder, dimension, count, checksums
    specs-<sha256>.jsonl        one tool per line, in order of their names
    embeddings-<sha256>.npy     float32, shape (count, dimension), in the same order

New files are written beside the old ones, then the manifest is replaced in one step: that is the moment at which the
index changes. Nothing in here is pickled.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_core import PydanticSerializationError

from deepagent.actions import Frozen
from deepagent.errors import IndexFormatError, OperatorError, ToolDefinitionError
from deepagent.retrieval.encoders import Encoder
from deepagent.tools import ToolSpec

if TYPE_CHECKING:
    from deepagent.retrieval.encoders import Matrix

_MANIFEST = "manifest.json"
_OURS = re.compile(r"(specs|embeddings)-[0-9a-f]{16}\.(jsonl|npy)")
_Sha256 = Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]


class Manifest(Frozen):
    """What an index folder holds.

    Attributes:
        format: version of the layout and of `tool_text`, since vectors of another text must not be taken over.
        encoder: name of the encoder that made the vectors.
        dimension: length of a vector.
        count: number of tools.
        specs: SHA-256 of the file of tools.
        embeddings: SHA-256 of the file of vectors.
    """

    format: Literal[1] = 1
    encoder: str
    dimension: int = Field(ge=1)
    count: int = Field(ge=0)
    specs: _Sha256
    embeddings: _Sha256

    @property
    def files(self) -> tuple[str, str]:
        """Names of the files of tools and of vectors."""
        return f"specs-{self.specs[:16]}.jsonl", f"embeddings-{self.embeddings[:16]}.npy"


def read_manifest(folder: Path) -> Manifest:
    """Return what the folder says of its index.

    Raises:
        IndexFormatError: there is no index, or it was made by another version, or its manifest is damaged.
    """
    try:
        return Manifest.model_validate_json((folder / _MANIFEST).read_bytes(), strict=True)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _missing(folder) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise _damaged(folder, f"{_MANIFEST}, {where}: {first['msg']}") from error


def read(folder: Path, encoder: Encoder) -> tuple[list[ToolSpec], Matrix]:
    """Return the tools of an index and their vectors, these mapped into memory.

    Raises:
        IndexFormatError: it is missing, damaged, or made by another encoder or version.
    """
    if not folder.is_dir():
        raise _missing(folder)
    try:
        with _locked(folder, fcntl.LOCK_SH):
            manifest = read_manifest(folder)
            if manifest.encoder != encoder.name:
                raise IndexFormatError(
                    f"the index in {folder} was made by encoder {manifest.encoder}, not {encoder.name};"
                    " open it with that encoder, or build it again"
                )
            for name, expected in zip(manifest.files, (manifest.specs, manifest.embeddings), strict=True):
                if _checksum(folder / name) != expected:
                    raise _damaged(folder, f"the checksum of {name} is wrong")
            return _read_specs(folder, manifest), _read_vectors(folder, manifest)
    except OSError as error:
        raise _damaged(folder, f"{error.filename} cannot be read ({error.strerror})") from error


def write(folder: Path, specs: Iterable[ToolSpec], vectors: Matrix, encoder: Encoder) -> None:
    """Replace the index in a folder, or make the first one.

    Raises:
        ToolDefinitionError: a tool's schema cannot be written as JSON.
        OperatorError: the folder cannot be written.
    """
    import numpy as np

    lines = [_line(spec) for spec in specs]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder, fcntl.LOCK_EX):
            with _partial(folder) as partial:
                partial.write_bytes(b"".join(lines))
                specs_sum = _install(partial, "specs-{}.jsonl")
            with _partial(folder) as partial:
                with partial.open("wb") as stream:
                    np.save(stream, vectors, allow_pickle=False)
                embeddings_sum = _install(partial, "embeddings-{}.npy")
            manifest = Manifest(
                encoder=encoder.name,
                dimension=vectors.shape[1],
                count=len(lines),
                specs=specs_sum,
                embeddings=embeddings_sum,
            )
            with _partial(folder) as partial:
                partial.write_text(manifest.model_dump_json())
                _install(partial, _MANIFEST)
            for path in folder.iterdir():
                if _OURS.fullmatch(path.name) and path.name not in manifest.files:
                    path.unlink()
    except OSError as error:
        raise OperatorError(
            f"the index cannot be written to {folder}: {error.strerror}; choose another folder"
        ) from error


def _line(spec: ToolSpec) -> bytes:
    try:
        return spec.model_dump_json().encode() + b"\n"
    except PydanticSerializationError as error:
        raise ToolDefinitionError(f"the schema of {spec.name} cannot be written as JSON: {error}") from error


def _read_specs(folder: Path, manifest: Manifest) -> list[ToolSpec]:
    name, _ = manifest.files
    try:
        specs = [ToolSpec.model_validate_json(line) for line in (folder / name).read_bytes().splitlines()]
    except ValidationError as error:
        raise _damaged(folder, f"{name} holds something that is not a tool") from error
    if len(specs) != manifest.count:
        raise _damaged(folder, f"{name} holds {len(specs)} tools instead of {manifest.count}")
    return specs


def _read_vectors(folder: Path, manifest: Manifest) -> Matrix:
    import numpy as np

    _, name = manifest.files
    try:
        vectors: Matrix = np.load(folder / name, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise _damaged(folder, f"{name} is not an array") from error
    if vectors.shape != (manifest.count, manifest.dimension) or vectors.dtype != np.float32:
        raise _damaged(folder, f"{name} has shape {vectors.shape} of {vectors.dtype}")
    return vectors


def _checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _missing(folder: Path) -> IndexFormatError:
    return IndexFormatError(f"there is no tool index in {folder}; build it with `deepagent index build`")


def _damaged(folder: Path, problem: str) -> IndexFormatError:
    return IndexFormatError(f"the index in {folder} is damaged or of another version: {problem}; build it again")


@contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    """Keep writers away from readers and from each other, so that no file vanishes while it is being opened."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, kind)
        yield
        if kind == fcntl.LOCK_EX:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    path = folder / ".partial"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _install(partial: Path, name: str) -> str:
    """Give a finished file its name (`{}` stands for its checksum) and return its checksum."""
    checksum = _checksum(partial)
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.replace(partial.with_name(name.format(checksum[:16])))
    return checksum
