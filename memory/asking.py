"""Asking the auxiliary model for one memory: held to a schema, checked, asked once more, and never trusted further."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from deepagent.errors import ModelError
from deepagent.memory.schema import one_line
from deepagent.models.base import Generated, Model, Sampling, Usage
from deepagent.tools import JsonSchema
from deepagent.transcript import Message

Part = TypeVar("Part")
Told = TypeVar("Told", bound=BaseModel)

_QUOTED = 2000
"""Characters of a wrong reply that are shown to the model again."""


@dataclass(frozen=True)
class Asked(Generic[Part]):
    """What came of a question.

    Attributes:
        part: the memory, or None when the model could not give it.
        problems: what the model got wrong, in words.
    """

    part: Part | None
    usage: Usage
    problems: tuple[str, ...] = ()


class Auxiliary:
    """The auxiliary model as folding uses it.

    Args:
        model: the model, entered.
        reply: longest reply in tokens.
        seconds: time limit of one call.
    """

    def __init__(self, model: Model, reply: int, seconds: float) -> None:
        self._model = model
        self._sampling = Sampling(temperature=0, max_tokens=reply)
        self._seconds = seconds

    async def ask(self, kind: type[Told], system: str, question: str) -> Asked[Told]:
        """One memory of this kind; a reply that does not fit its schema is asked for once more, with the error."""
        messages = [Message(role="system", content=system), Message(role="user", content=question)]
        usage = Usage()
        problems: list[str] = []
        for _ in range(2):
            reply = await self._chat(messages, kind.model_json_schema())
            if isinstance(reply, str):
                problems.append(f"{kind.__name__}: {reply}")
                break
            usage += reply.usage
            text = reply.segment.text
            try:
                return Asked(kind.model_validate_json(_object(text)), usage, tuple(problems))
            except ValidationError as error:
                problem = f"{kind.__name__}: {_first(error)}"
            problems.append(problem)
            mend = f"That does not fit the schema: {problem}. Answer with the corrected JSON only, and be brief."
            messages = [
                *messages[:2],
                Message(role="assistant", content=text[:_QUOTED]),
                Message(role="user", content=mend),
            ]
        return Asked(None, usage, (*problems, f"{kind.__name__}: taken from the log instead"))

    async def paragraph(self, system: str, question: str) -> Asked[str]:
        """Free text on one line."""
        reply = await self._chat([Message(role="system", content=system), Message(role="user", content=question)])
        if isinstance(reply, str):
            return Asked(None, Usage(), (f"summary: {reply}",))
        text = one_line(reply.segment.text)
        return Asked(text or None, reply.usage, () if text else ("summary: the reply is empty",))

    async def _chat(self, messages: Sequence[Message], schema: JsonSchema | None = None) -> Generated | str:
        """The reply, or what went wrong in words."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._model.chat(messages, self._sampling, schema=schema)
        except TimeoutError:
            return f"no answer within {self._seconds:g} s"
        except ModelError as error:
            return str(error)


def _object(text: str) -> str:
    """The JSON object in a reply, without the fences and words that models like to put around it."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
