"""The list of runs: what is asked for in its address, and the page that answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args
from urllib.parse import urlencode

from deepagent.runs.store import RunStore
from deepagent.runs.summary import RunFilter, RunSummary, State

PAGE = 50
"""Runs on one page."""
STATES: tuple[State, ...] = tuple(state for part in get_args(State) for state in get_args(part))


@dataclass(frozen=True)
class Filters:
    """Which runs are asked for; empty fields let all pass.

    Attributes:
        text: part of id, task or answer.
        page: number of the page, from 1.
    """

    text: str = ""
    status: str = ""
    model: str = ""
    benchmark: str = ""
    page: int = 1

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filters:
        """From an address; what makes no sense there is ignored."""
        page, status = query.get("page", ""), query.get("status", "")
        return cls(
            text=query.get("text", "").strip(),
            status=status if status in STATES else "",
            model=query.get("model", ""),
            benchmark=query.get("benchmark", ""),
            page=max(1, int(page)) if page.isdecimal() and len(page) < 9 else 1,
        )

    def __getitem__(self, name: str) -> str:
        return str(getattr(self, name))

    @property
    def any(self) -> bool:
        """Whether not all runs are asked for."""
        return bool(self.text or self.status or self.model or self.benchmark)

    @property
    def wanted(self) -> RunFilter:
        """As the store is asked."""
        return RunFilter.model_validate(
            {
                "state": self.status or None,
                "text": self.text,
                "model": self.model or None,
                "benchmark": f"{self.benchmark}/" if self.benchmark else None,
            }
        )


@dataclass(frozen=True)
class Page:
    """Some of the runs that were asked for, newest first."""

    runs: Sequence[RunSummary]
    total: int
    filters: Filters

    @property
    def number(self) -> int:
        """Of this page, from 1."""
        return self.filters.page

    @property
    def pages(self) -> int:
        """How many there are."""
        return max(1, -(-self.total // PAGE))

    def address(self, number: int) -> str:
        """Of another page."""
        fields = vars(replace(self.filters, page=number))
        return "/?" + urlencode({name: value for name, value in fields.items() if value})


def listed(store: RunStore, filters: Filters) -> Page:
    """The page of runs."""
    wanted = filters.wanted
    return Page(store.runs(PAGE, offset=(filters.page - 1) * PAGE, only=wanted), store.count(wanted), filters)
