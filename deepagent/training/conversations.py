"""Conversations as training sequences, in the tokens of the model that is to learn from them.

They are put together as the agent does it at work, so what is learnt is what will be met: the opening by the model's
template, then the model's own words, and what it is shown between them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from deepagent.errors import TrainingError
from deepagent.models.transformers import TransformersModel
from deepagent.training.sequences import NO_STEP, TrainingSequence
from deepagent.transcript import Message


class Turn(BaseModel):
    """A message of a chat; `weight` 0 keeps an assistant's message from being learnt."""

    role: Literal["system", "user", "assistant"]
    content: str
    weight: float = 1


class Conversation(BaseModel):
    """A line of the file, as `deepagent train collect` writes it; what else it holds does not matter."""

    messages: list[Turn]

    @property
    def task(self) -> str:
        """What it is about: what the user said last before the first words that are to be learnt."""
        first = next((at for at, turn in enumerate(self.messages) if _learnt(turn)), len(self.messages))
        asked = [turn.content for turn in self.messages[:first] if turn.role == "user"]
        return asked[-1].rpartition("Task: ")[2] if asked else ""


def read(path: Path) -> list[Conversation]:
    """All conversations of a file of JSON lines.

    Raises:
        TrainingError: the file cannot be read, a line is no conversation of texts, or there is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(Conversation.model_validate(json.loads(line)))
        except (ValueError, ValidationError) as error:
            problem = " ".join(str(error).split())[:200]
            raise TrainingError(f"{path}, line {number}: no conversation that can be learnt from: {problem}") from error
    if not found:
        raise TrainingError(f"{path} is empty: collect runs with `deepagent train collect`")
    return found


async def tokenised(conversations: Iterable[Conversation], model: TransformersModel) -> list[TrainingSequence]:
    """Each conversation as one sequence; those in which nothing is to be learnt are left out."""
    found = []
    for conversation in conversations:
        turns = conversation.messages
        first = next((at for at, turn in enumerate(turns) if _learnt(turn)), None)
        if first is not None:
            found.append(await _sequence(turns[:first], turns[first:], model))
    return found


async def _sequence(opening: list[Turn], rest: list[Turn], model: TransformersModel) -> TrainingSequence:
    prompt = await model.prompt([Message(role=turn.role, content=turn.content) for turn in opening])
    ids: list[int] = []
    generated: list[bool] = []
    for turn in rest:
        if turn.role == "assistant":
            new = model.tokenizer.encode(turn.content)
        else:
            new = (await model.observation(f"\n{turn.content}\n")).token_ids or ()
        ids += new
        generated += [_learnt(turn)] * len(new)
    return TrainingSequence(
        prompt_ids=prompt.token_ids or (),
        completion_ids=tuple(ids),
        generated=tuple(generated),
        actions=(NO_STEP,) * len(ids),
        logprobs=(0.0,) * len(ids),
    )


def _learnt(turn: Turn) -> bool:
    return turn.role == "assistant" and turn.weight > 0
