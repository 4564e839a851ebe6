"""Tool calls that wait for a yes, and what was decided on them, so that another process can decide."""

from __future__ import annotations

from collections.abc import Callable

from deepagent.database import Database
from deepagent.errors import UsageError
from deepagent.runs.events import ApprovalAsked, ApprovalGiven


class Decisions:
    """The table of approvals of a run store.

    Args:
        database: the store's file.
        number: of the run with an id.
    """

    def __init__(self, database: Database, number: Callable[[str], int]) -> None:
        self._database = database
        self._number = number

    def note(self, run: str, event: ApprovalAsked | ApprovalGiven) -> None:
        """Keep the table in step with an event."""
        if isinstance(event, ApprovalAsked):
            values = self._number(run), event.step, event.call, event.model_dump_json()
            self._database.execute(
                "INSERT OR IGNORE INTO approvals (run, step, call, asked) VALUES (?, ?, ?, ?)", values
            )
        else:
            self._database.execute(
                "UPDATE approvals SET approved = ?, by = ? WHERE run = ? AND step = ? AND call = ?",
                (event.approved, event.by, self._number(run), event.step, event.call),
            )

    def waiting(self, run: str) -> list[ApprovalAsked]:
        """The tool calls of a run that wait for approval, whether its process is there or was left."""
        rows = self._database.rows(
            "SELECT asked FROM approvals WHERE run = ? AND approved IS NULL", (self._number(run),)
        )
        with self._database.translated():
            return [ApprovalAsked.model_validate_json(asked) for (asked,) in rows]

    def decide(self, run: str, step: int, call: int = 0, *, approved: bool, by: str) -> None:
        """Approve or refuse a tool call that waits; the run's own process, now or when resumed, goes on with that.

        Args:
            run: its id.
            step: as in `ApprovalAsked`.
            call: as in `ApprovalAsked`.
            approved: the decision.
            by: where it was taken, for the log, such as `page`.

        Raises:
            UsageError: no such call waits.
        """
        decided = self._database.execute(
            "UPDATE approvals SET approved = ?, by = ? WHERE run = ? AND step = ? AND call = ? AND approved IS NULL",
            (approved, by, self._number(run), step, call),
        )
        if not decided:
            raise UsageError(f"no tool call of step {step} of run {run} waits for approval; it may be decided already")

    def of(self, run: str, step: int, call: int) -> ApprovalGiven | None:
        """What was decided on a tool call, or None while it waits."""
        row = self._database.row(
            "SELECT approved, by FROM approvals WHERE run = ? AND step = ? AND call = ? AND approved IS NOT NULL",
            (self._number(run), step, call),
        )
        if row is None:
            return None
        with self._database.translated():
            return ApprovalGiven(step=step, call=call, approved=bool(row[0]), by=row[1])
