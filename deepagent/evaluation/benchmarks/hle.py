"""Humanity's Last Exam: hard questions with short answers or choices, some with a picture.

Accuracy is judged by a model that is shown question, right answer and response, as in the original; what is equal as
text, and an answer that is a bare letter of a choice, is decided by rule. The questions are not shipped and must not
be: give the official file, written as JSONL.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from deepagent.errors import UsageError
from deepagent.evaluation.base import BenchmarkTask, Episode, Judge, Metric, Score, Value
from deepagent.evaluation.benchmarks.questions import Questions, QuestionsConfig, rows_of
from deepagent.evaluation.judges import quoted
from deepagent.models.weights import cache_folder

_PROMPT = """{question}

Answer with {what}."""
_WHAT = {"multipleChoice": "the letter of the right choice alone", "exactMatch": "the bare value or phrase"}
_JUDGE = """Is the response to a question correct, by the right answer below? Take from the response its final answer, \
and compare that with the right answer alone. Do not solve the question, and do not argue for another answer. A small \
difference in a number, in form or in wording that means the same is correct; anything else, also an answer that is \
vague, or more than one, is incorrect.

<question>{question}</question>
<right_answer>{gold}</right_answer>
<response>{answer}</response>"""
_RIGHT, _WRONG = "correct", "incorrect"
_DATA = re.compile(r"data:image/(?P<kind>png|jpeg|jpg|gif|webp);base64,(?P<data>.*)", re.DOTALL)
_FIELDS = ("id", "question", "answer", "answer_type")


class HleConfig(QuestionsConfig):
    """Where the questions are."""

    file: Path | None = None
    """The official set as JSONL (`load_dataset("cais/hle")["test"].to_json(...)`). By default a few of our own."""


class Hle(Questions[HleConfig]):
    """The benchmark."""

    name = "hle"
    about = "Humanity's Last Exam: hard questions with short answers, some with a picture"
    metrics = (Metric(name="correct", meaning="the answer is right, by rule or by the judge", binary=True),)
    Config = HleConfig

    def questions(self) -> Iterable[BenchmarkTask]:
        """Those of the file, their pictures kept in the cache."""
        examples = resources.files("deepagent.evaluation.benchmarks").joinpath("examples", "hle", "questions.jsonl")
        return (_task(row) for row in rows_of(self.config.file or Path(str(examples)), _FIELDS, "HLE"))

    async def score(self, episode: Episode, judge: Judge) -> Score:
        """Decide by rule where one decides, else ask the judge."""
        right = await self._right(episode.task, (episode.answer or "").strip(), judge)
        return Score(values={"correct": Value(published=right, corrected=right)})

    async def _right(self, task: BenchmarkTask, answer: str, judge: Judge) -> float | None:
        found = _by_rule(answer, task.gold, task.data["type"])
        if found is not None:
            reason, right = found
            judge.rule(reason, _RIGHT if right else _WRONG)
            return float(right)
        question = _JUDGE.format(question=task.data["question"], gold=task.gold, answer=quoted(answer))
        choice = await judge.choose(question, [_RIGHT, _WRONG])
        return None if choice is None else float(choice == _RIGHT)


def _by_rule(answer: str, gold: str, kind: str) -> tuple[str, bool] | None:
    """What needs no judge, and why; None where one is needed."""
    if not answer:
        return "there is no answer", False
    given, wanted = (" ".join(text.lower().split()).rstrip(".") for text in (answer, gold))
    if given == wanted:
        return "the answer is equal as text", True
    if kind == "multipleChoice" and re.fullmatch(r"\(?[a-z]\)?", given):
        return "the answer is a letter", given.strip("()") == wanted.strip("()")
    return None


def _task(row: dict[str, Any]) -> BenchmarkTask:
    picture = _picture(str(row.get("image") or ""), str(row["id"]))
    kind = str(row["answer_type"])
    question = str(row["question"]).strip()
    return BenchmarkTask(
        id=str(row["id"]),
        prompt=_PROMPT.format(question=question, what=_WHAT.get(kind, _WHAT["exactMatch"])),
        gold=str(row["answer"]),
        tags={"modality": "multimodal" if picture else "text", "category": str(row.get("category") or "none")},
        attachments=(picture,) if picture else (),
        data={"question": question, "type": kind},
    )


def _picture(told: str, id: str) -> Path | None:
    """A question's picture as a file; the set holds it as text."""
    if not told:
        return None
    match = _DATA.fullmatch(told.strip())
    try:
        data = base64.b64decode(match["data"], validate=True) if match else b""
    except binascii.Error:
        data = b""
    if match is None or not data:
        raise UsageError(f"the image of HLE's question {id} is no picture in base64; give the official file")
    path = cache_folder() / "hle" / f"{hashlib.sha256(data).hexdigest()[:24]}.{match['kind']}"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as written:
            written.write(data)
        os.replace(written.name, path)  # whole or not at all, whoever else writes it
    return path
