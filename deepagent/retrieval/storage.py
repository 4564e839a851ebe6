"""An index on disk.

A folder holds `manifest.json` and the files that it names by their SHA-256::

    manifest.json               format, encoder, dimension, count; for each part its files and their checksums
    vectors-<sha256>.faiss      float32, one row per tool
    graph-<sha256>.faiss        where the part is large: the HNSW graph over them
    <array>-<sha256>.npy        names, entries, words and the rest of a `Segment`

New files are written beside the old ones, then the manifest is replaced in one step: that is the moment at which the
index changes. A part that has not changed keeps its files. Nothing in here is pickled.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from deepagent.actions import Frozen
from deepagent.errors import IndexFormatError, OperatorError
from deepagent.retrieval.dense import DenseIndex
from deepagent.retrieval.encoders import Encoder
from deepagent.retrieval.segment import Segment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MANIFEST = "manifest.json"
_JOURNAL = "building.sqlite"
_BUILDER = ".builder"
_OURS = re.compile(r"[a-z-]+-[0-9a-f]{16}\.(npy|faiss|jsonl)")
_HASHERS = 2

_Sha256 = Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]
_Kind = Annotated[str, Field(pattern=r"\A[a-z]+(-[a-z]+)?\z")]


class Part(NamedTuple):
    """A segment of an index.

    Attributes:
        segment: its tools.
        gone: the rows of tools that are no longer part of the index, ascending.
        files: the SHA-256 of the segment's files, by what they hold; empty where it was never on disk.
    """

    segment: Segment
    gone: NDArray[np.int32]
    files: Mapping[str, str] = MappingProxyType({})


class Manifest(Frozen):
    """What an index folder holds.

    Attributes:
        format: version of the layout and of `tool_text`, since vectors of another text must not be taken over.
        encoder: name of the encoder that made the vectors.
        dimension: length of a vector.
        count: number of tools.
        parts: for each part the SHA-256 of its files, by what they hold.
    """

    format: Literal[3] = 3
    encoder: str
    dimension: int = Field(ge=1)
    count: int = Field(ge=0)
    parts: tuple[dict[_Kind, _Sha256], ...]

    @property
    def checksums(self) -> dict[str, str]:
        """The SHA-256 of every file, by its name."""
        return {_name(kind, checksum): checksum for part in self.parts for kind, checksum in part.items()}


def read_manifest(folder: Path) -> Manifest:
    """Return what the folder says of its index.

    Raises:
        IndexFormatError: there is no index, or it was made by another version, or its manifest is damaged.
    """
    try:
        return Manifest.model_validate_json((folder / _MANIFEST).read_bytes(), strict=True)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise IndexFormatError(f"there is no tool index in {folder}; build it with `deepagent index build`") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "JSON"
        raise _damaged(folder, f"{_MANIFEST}, {where}: {first['msg']}") from error


def read(folder: Path, encoder: Encoder) -> list[Part]:
    """Return the parts of an index, mapped into memory.

    Every file's checksum is computed, by reading it once; some gigabyte a second on an ordinary processor.

    Raises:
        IndexFormatError: it is missing, damaged, or made by another encoder or version.
    """
    try:
        with _locked(folder, fcntl.LOCK_SH):
            manifest = read_manifest(folder)
            if manifest.encoder != encoder.name:
                raise IndexFormatError(
                    f"the index in {folder} was made by encoder {manifest.encoder}, not {encoder.name};"
                    " open it with that encoder, or build it again"
                )
            _verify(folder, manifest)
            parts = [_read_part(folder, files) for files in manifest.parts]
    except (FileNotFoundError, NotADirectoryError) as error:
        if folder.is_dir():
            raise _damaged(folder, f"{error.filename} cannot be read ({error.strerror})") from error
        raise IndexFormatError(f"there is no tool index in {folder}; build it with `deepagent index build`") from error
    except OSError as error:
        raise _damaged(folder, f"{error.filename} cannot be read ({error.strerror})") from error
    count = sum(len(part.segment) - len(part.gone) for part in parts)
    if count != manifest.count or any(part.segment.dense.dimension != manifest.dimension for part in parts):
        raise _damaged(folder, f"{_MANIFEST} and the files disagree")
    return parts


def write(folder: Path, parts: Sequence[Part], encoder: Encoder, dimension: int) -> list[Part]:
    """Replace the index in a folder, or make the first one; returns the parts with the checksums of their files.

    Raises:
        OperatorError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder, fcntl.LOCK_EX):
            files = [_write_part(folder, part) for part in parts]
            manifest = Manifest(
                encoder=encoder.name,
                dimension=dimension,
                count=sum(len(part.segment) - len(part.gone) for part in parts),
                parts=tuple(files),
            )
            text = manifest.model_dump_json()
            _install(folder, lambda place: place.write_text(text), lambda checksum: _MANIFEST)
            for path in folder.iterdir():
                if _OURS.fullmatch(path.name) and path.name not in manifest.checksums:
                    path.unlink()
    except (OSError, RuntimeError) as error:  # FAISS tells of a full disk by a RuntimeError
        why = " ".join(str(getattr(error, "strerror", None) or error).split())[-200:]
        raise OperatorError(
            f"the index cannot be written to {folder}: {why}; free some space, or choose another folder"
        ) from error
    return [
        Part(segment, gone, {kind: checksum for kind, checksum in made.items() if kind != "gone"})
        for (segment, gone, _), made in zip(parts, files, strict=True)
    ]


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Keep other builders out of a folder; gives the place of the journal.

    Raises:
        OperatorError: another process builds there, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / _BUILDER).open("wb")
    except OSError as error:
        raise OperatorError(
            f"the index cannot be written to {folder}: {error.strerror}; choose another folder"
        ) from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OperatorError(
                f"another process is building the index in {folder}; wait for it, or choose another folder"
            ) from error
        yield folder / _JOURNAL


def _read_part(folder: Path, files: dict[str, str]) -> Part:
    import numpy as np

    places = {kind: folder / _name(kind, checksum) for kind, checksum in files.items()}
    try:
        dense = DenseIndex.open(places.pop("vectors"), places.pop("graph", None))
        # As plain arrays: every look at a memmap would make another memmap.
        arrays = {kind: np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)) for kind, path in places.items()}
        gone = arrays.pop("gone")
        segment = Segment.from_arrays(arrays, dense)
        if gone.dtype != np.int32 or gone.ndim != 1 or len(gone) > len(segment):
            raise ValueError(f"gone is of {gone.dtype}, {gone.shape}")
    except KeyError as error:
        raise _damaged(folder, f"{_MANIFEST} names no file of {error}") from error
    except (ValueError, RuntimeError) as error:  # of numpy, and of FAISS
        raise _damaged(folder, " ".join(str(error).split())[-200:]) from error
    return Part(segment, gone, {kind: checksum for kind, checksum in files.items() if kind != "gone"})


def _write_part(folder: Path, part: Part) -> dict[str, str]:
    """Write those files of a part that are not there already; returns the checksums of all."""
    writers: dict[str, Callable[[Path], None]] = {
        kind: partial(_save, array=array) for kind, array in part.segment.arrays().items()
    }
    writers["vectors"] = part.segment.dense.save_vectors
    if part.segment.dense.has_graph:
        writers["graph"] = part.segment.dense.save_graph
    files = {"gone": _install(folder, partial(_save, array=part.gone), partial(_name, "gone"))}
    for kind, put in writers.items():
        known = part.files.get(kind)
        there = known is not None and (folder / _name(kind, known)).is_file()
        files[kind] = known if known is not None and there else _install(folder, put, partial(_name, kind))
    return files


def _save(path: Path, array: NDArray[Any]) -> None:
    import numpy as np

    with path.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def _name(kind: str, checksum: str) -> str:
    suffix = "faiss" if kind in ("vectors", "graph") else "npy"
    return f"{kind}-{checksum[:16]}.{suffix}"


def _verify(folder: Path, manifest: Manifest) -> None:
    checksums = manifest.checksums
    with ThreadPoolExecutor(_HASHERS) as pool:
        found = pool.map(_checksum, [folder / name for name in checksums])
        for name, expected, actual in zip(checksums, checksums.values(), found, strict=True):
            if actual != expected:
                raise _damaged(folder, f"the checksum of {name} is wrong")


def _checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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


def _install(folder: Path, put: Callable[[Path], object], name: Callable[[str], str]) -> str:
    """Write a file as a whole, give it the name that follows from its checksum, and return the checksum."""
    place = folder / ".partial"
    try:
        put(place)
        checksum = _checksum(place)
        with place.open("rb") as stream:
            os.fsync(stream.fileno())
        place.replace(folder / name(checksum))
    finally:
        place.unlink(missing_ok=True)
    return checksum
