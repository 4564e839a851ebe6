import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from deepagent.errors import OperatorError, UsageError
from deepagent.retrieval import HashEncoder, ToolIndex
from deepagent.retrieval.embedding import embed, open_journal
from deepagent.retrieval.encoders import Progress
from deepagent.tools import ToolSpec

TEXTS = [f"text number {number}" for number in range(3_000)]


class Faulty(HashEncoder):
    """Breaks off after some chunks, or returns what is no vector."""

    def __init__(self, chunks: int = 10**6, wrong: object = None) -> None:
        super().__init__(8)
        self.chunks, self.wrong, self.seen = chunks, wrong, 0

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> np.ndarray:
        if not self.chunks:
            raise KeyboardInterrupt
        self.chunks -= 1
        self.seen += len(texts)
        vectors = super().encode(texts, progress=progress)
        if self.wrong is not None:
            vectors[-1, 0] = self.wrong
        return vectors


def test_work_that_was_broken_off_goes_on_where_it_was(tmp_path: Path):
    encoder = Faulty(chunks=2)
    with pytest.raises(KeyboardInterrupt), open_journal(tmp_path / "journal", encoder) as journal:
        embed(TEXTS, encoder, journal=journal)
    again = Faulty()
    with open_journal(tmp_path / "journal", again) as journal:
        vectors = embed(TEXTS, again, journal=journal)
    assert encoder.seen == 2048
    assert again.seen == 3_000 - 2048
    assert (vectors == HashEncoder(8).encode(TEXTS)).all()


def test_progress_counts_what_has_to_be_encoded():
    told: list[tuple[int, int]] = []
    embed([*TEXTS, *TEXTS], HashEncoder(8), progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 3_000)
    assert told[-1] == (3_000, 3_000)
    assert told == sorted(told)


def test_vectors_of_another_encoder_are_not_seen(tmp_path: Path):
    with open_journal(tmp_path / "journal", HashEncoder(8)) as journal:
        embed(TEXTS[:5], HashEncoder(8), journal=journal)
    with open_journal(tmp_path / "journal", HashEncoder(16)) as journal:
        assert embed(TEXTS[:5], HashEncoder(16), journal=journal).shape == (5, 16)


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\x00" + b"\xff" * 8000, b"no database at all" * 500])
def test_a_journal_that_is_damaged_is_begun_anew(tmp_path: Path, damage: bytes):
    (tmp_path / "journal").write_bytes(damage)
    with open_journal(tmp_path / "journal", HashEncoder(8)) as journal:
        assert (embed(TEXTS[:5], HashEncoder(8), journal=journal) == HashEncoder(8).encode(TEXTS[:5])).all()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_vector_that_is_not_finite_is_refused(wrong: float):
    with pytest.raises(UsageError, match="not finite for 'beta'"):
        embed(["alphabet", "beta"], Faulty(wrong=wrong))
    index = ToolIndex.build([ToolSpec(name="one")], HashEncoder(8))
    index._encoder = Faulty(wrong=wrong)
    with pytest.raises(UsageError, match="not finite"):
        index.search("anything")


BUILD = """
import os, signal, sys
from pathlib import Path
from deepagent.retrieval import HashEncoder, ToolIndex
from deepagent.tools import ToolSpec

def told(done, total):
    seen.append(total)
    if done >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

seen = []
tools = [ToolSpec(name=f"tool{row}", description="word " * (row % 50)) for row in range(3_000)]
index = ToolIndex.build_in(Path(sys.argv[1]), tools, HashEncoder(8), progress=told)
print(seen[0], len(index))
"""


def build(folder: Path, killed_at: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", BUILD, str(folder), str(killed_at)], capture_output=True, text=True, check=False
    )


def test_a_killed_build_leaves_the_old_index_and_goes_on(tmp_path: Path):
    ToolIndex.build_in(tmp_path, [ToolSpec(name="old")], HashEncoder(8))
    assert build(tmp_path, 2_500).returncode == -9
    assert [spec.name for spec in ToolIndex.open(tmp_path, HashEncoder(8)).specs] == ["old"]
    finished = build(tmp_path, 10**6)
    assert finished.stdout.split() == [str(3_000 - 2_048), "3000"]
    assert not (tmp_path / "building.sqlite").exists()


def test_two_builders_do_not_share_a_folder(tmp_path: Path):
    inside: list[str] = []

    def second(done: int, total: int) -> None:
        if not inside:
            with pytest.raises(OperatorError, match="another process is building") as told:
                ToolIndex.build_in(tmp_path, [ToolSpec(name="b")], HashEncoder(8))
            inside.append(str(told.value))

    ToolIndex.build_in(tmp_path, [ToolSpec(name="a")], HashEncoder(8), progress=second)
    assert inside
    assert "a" in ToolIndex.open(tmp_path, HashEncoder(8))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="cannot be written"):
        ToolIndex.build_in(tmp_path / "file", [ToolSpec(name="a")], HashEncoder(8))
    assert os.listdir(tmp_path) == ["file"]
