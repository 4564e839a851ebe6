"""A run in one line, and which of many are wanted."""

from __future__ import annotations

from typing import Any, Literal

from deepagent.actions import Frozen
from deepagent.runs.events import Ended, Status

State = Status | Literal["running", "dead"]
"""How a run stands: how it ended; `waiting` also while a living one waits for approval; `running`; `dead` when its
process is gone without a word. All but `answered`, `forced` and `running` can be resumed."""


class RunSummary(Frozen):
    """A run as listed.

    Attributes:
        at: when it started, seconds since the epoch.
        task: its first thousand characters.
        benchmark: id of the benchmark task that it solves, if any.
        parent: the run that it is a fork of, if any.
        ended: how it ended, or None while it runs or when its process was killed.
        steps: so far.
        pending: tool calls that wait for approval.
    """

    id: str
    at: float
    task: str
    model: str
    benchmark: str | None = None
    parent: str | None = None
    state: State
    ended: Ended | None = None
    steps: int = 0
    pending: int = 0


class RunFilter(Frozen):
    """Which runs are wanted; what is not given does not matter.

    Attributes:
        state: how it stands.
        text: part of the id, the task or the answer; small and capital letters of ASCII are the same.
        model: name of the main model.
        benchmark: beginning of the benchmark task's id.
    """

    state: State | None = None
    text: str = ""
    model: str | None = None
    benchmark: str | None = None

    def where(self) -> tuple[str, dict[str, Any]]:
        """The condition on a row of `runs` in SQL, and its values."""
        found: dict[str, tuple[str, object]] = {}
        if self.state in ("running", "dead"):
            alive = "alive(owner, beat)" if self.state == "running" else "NOT alive(owner, beat)"
            waits = " AND NOT EXISTS (SELECT 1 FROM approvals WHERE run = number AND approved IS NULL)"
            found["open"] = f"status IS NULL AND {alive}{waits if self.state == 'running' else ''}", None
        elif self.state == "waiting":
            waits = "EXISTS (SELECT 1 FROM approvals WHERE run = number AND approved IS NULL)"
            found["waiting"] = f"(status = 'waiting' OR (status IS NULL AND alive(owner, beat) AND {waits}))", None
        elif self.state is not None:
            found["status"] = "status = :status", self.state
        if self.text:
            likes = " OR ".join(f"{column} LIKE :text ESCAPE '\\'" for column in ("id", "task", "ended"))
            escaped = "".join(f"\\{one}" if one in "\\%_" else one for one in self.text)
            found["text"] = f"({likes})", f"%{escaped}%"
        if self.model is not None:
            found["model"] = "model = :model", self.model
        if self.benchmark is not None:
            found["benchmark"] = "substr(benchmark, 1, length(:benchmark)) = :benchmark", self.benchmark
        values = {name: value for name, (_, value) in found.items() if value is not None}
        return " AND ".join(condition for condition, _ in found.values()) or "1", values
