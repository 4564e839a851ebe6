"""The auxiliary model, its replies kept on disk: a benchmark of hours that was cut off goes on where it was."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepagent.errors import ModelUnavailableError
from deepagent.models import ScriptedModel
from deepagent.models.base import Generated, Model, Sampling
from deepagent.tools import JsonSchema
from deepagent.transcript import Message


class Broken(ScriptedModel):
    """A model that never answers: what is left of a method without one."""

    name = "none"

    async def chat(self, *_: Any, **__: Any) -> Generated:
        raise ModelUnavailableError("there is none")


class Formal(ScriptedModel):
    """A model that fills every field with words that say nothing: what a fold costs, whatever a model writes."""

    def __init__(self, context: int) -> None:
        super().__init__(context=context, chat_replies=_formal)


def _formal(messages: Sequence[Message], schema: JsonSchema | None) -> str:
    line = "The stations were inspected one after another and their reports were read with some care."
    if schema is None:
        return " ".join([line] * 5)
    event = {"step": "1", "description": line, "outcome": line}
    note = {"tool_name": "inspect", "response_pattern": line, "experience": line}
    parts: dict[str, Any] = {
        "EpisodicNotes": {"task_description": line, "key_events": [event] * 4, "current_progress": line},
        "WorkingMemory": {"immediate_goal": line, "current_challenges": line, "next_actions": []},
        "ToolNotes": {"tools_used": [note], "derived_rules": [{"rule": line, "steps": ["1"]}]},
    }
    return json.dumps(parts[schema["title"]])


class Remembering(ScriptedModel):
    """A model that is asked once for each question; it chats, which is all that folding wants.

    Args:
        model: the model.
        path: where its replies are kept.

    Attributes:
        calls: how often it was asked.
        seconds: how long the replies took when they were made.
    """

    def __init__(self, model: Model, path: Path) -> None:
        super().__init__(context=model.context)
        self.calls = 0
        self.seconds = 0.0
        self._model = model
        self._turn = asyncio.Lock()
        self._replies = sqlite3.connect(path, isolation_level=None)
        self._replies.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT)")

    @property
    def name(self) -> str:
        return self._model.name

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, *, schema: JsonSchema | None = None
    ) -> Generated:
        asked = [self._model.name, self.context, [one.model_dump() for one in messages], sampling.model_dump(), schema]
        key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        found = self._replies.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        if found is not None:
            reply = Generated.model_validate_json(found[0])
        else:
            async with self._turn:  # the embedded model answers one at a time: its time is not the others'
                began = time.monotonic()
                reply = await self._model.chat(messages, sampling, schema=schema)
                reply = reply.model_copy(update={"seconds": time.monotonic() - began})
            self._replies.execute("INSERT OR REPLACE INTO replies VALUES (?, ?)", (key, reply.model_dump_json()))
        self.calls += 1
        self.seconds += reply.seconds
        return reply
