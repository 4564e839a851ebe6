"""GAIA: questions for assistants, many with a file, whose answers are short and can be compared as text.

Scored by the rules of the official scorer, written anew: numbers without `$`, `%` and commas; lists element by element;
all else without spaces, case and punctuation. They are GAIA's own, and right, so that there is one column.

The questions are not shipped and must not be: give the folder of the official files.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from deepagent.errors import UsageError
from deepagent.evaluation.base import BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.evaluation.benchmarks.questions import Questions, QuestionsConfig, rows_of

_PROMPT = """{question}

Answer with a number, as few words as possible, or a list of those with commas between them. Write a number without \
thousands separators and, unless asked for, without unit; words without article and abbreviation."""
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".svg")
_SOUNDS = (".mp3", ".wav", ".m4a", ".ogg", ".flac")
_FILMS = (".mp4", ".mov", ".webm", ".mkv", ".avi")
_MULTIMODAL = frozenset((*_PICTURES, *_SOUNDS, *_FILMS))
_FIELDS = ("task_id", "Question", "Level", "Final answer", "file_name")


class GaiaConfig(QuestionsConfig):
    """Where the questions are."""

    folder: Path | None = None
    """Of the official files: `metadata.jsonl` and the files that it names. By default a few questions of our own."""


class Gaia(Questions[GaiaConfig]):
    """The benchmark."""

    name = "gaia"
    about = "questions for assistants, many with a file"
    metrics = (Metric(name="correct", meaning="the answer is right by the official rules", binary=True),)
    Config = GaiaConfig

    def questions(self) -> Iterable[BenchmarkTask]:
        """Those of `metadata.jsonl`, each with its file."""
        examples = Path(str(resources.files("deepagent.evaluation.benchmarks").joinpath("examples", "gaia")))
        folder = self.config.folder or examples
        return (_task(row, folder) for row in rows_of(folder / "metadata.jsonl", _FIELDS, "GAIA"))

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """Compare the answer."""
        right = episode.answer is not None and same(episode.answer, episode.task.gold)
        return Score(values={"correct": Value.same(right)})


def _task(row: dict[str, Any], folder: Path) -> BenchmarkTask:
    name = str(row["file_name"] or "")
    path = folder / name
    if name and (Path(name).name != name or not path.is_file()):
        raise UsageError(
            f"{folder} lacks the file {name!r} of question {row['task_id']}; give the folder that holds it"
        )
    kind = "text" if not name else "multimodal" if path.suffix.lower() in _MULTIMODAL else "file"
    return BenchmarkTask(
        id=str(row["task_id"]),
        prompt=_PROMPT.format(question=str(row["Question"]).strip()),
        gold=str(row["Final answer"]),
        tags={"level": str(row["Level"]), "modality": kind},
        attachments=(path,) if name else (),
    )


def same(answer: str, gold: str) -> bool:
    """Whether an answer is right by the official rules."""
    if _number(gold) is not None:
        return _plain_number(answer) == _number(gold)
    if re.search("[,;]", gold):
        given, wanted = re.split("[,;]", answer), re.split("[,;]", gold)
        return len(given) == len(wanted) and all(map(_same_element, given, wanted))
    return _squeezed(answer) == _squeezed(gold)


def _same_element(given: str, wanted: str) -> bool:
    """An element of a list: unlike a whole answer it keeps its punctuation."""
    if _number(wanted) is not None:
        return _plain_number(given) == _number(wanted)
    return _squeezed(given, punctuation=True) == _squeezed(wanted, punctuation=True)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _plain_number(text: str) -> float | None:
    return _number(re.sub("[$%,]", "", text))


def _squeezed(text: str, *, punctuation: bool = False) -> str:
    squeezed = re.sub(r"\s", "", text).lower()
    return squeezed if punctuation else squeezed.translate(str.maketrans("", "", string.punctuation))
