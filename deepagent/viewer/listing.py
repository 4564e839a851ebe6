"""The list of runs: what is asked for in its address, and the page that answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from deepagent.runs.store import RunStore, RunSummary

PAGE = 50
"""Runs on one page."""


@dataclass(frozen=True)
class Filters:
    """Which runs are asked for; empty fields let all pass.

    Attributes:
        text: part of task or answer, whatever its case.
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
        page = query.get("page", "")
        return cls(
            text=query.get("text", "").strip(),
            status=query.get("status", ""),
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
    found = [run for run in store.runs(limit=100_000) if _fits(run, filters)]
    start = (filters.page - 1) * PAGE
    return Page(found[start : start + PAGE], len(found), filters)


def _fits(run: RunSummary, filters: Filters) -> bool:
    words = f"{run.started.task}\n{run.ended.answer if run.ended else ''}".casefold()
    return (
        filters.text.casefold() in words
        and filters.status in ("", run.ended.status if run.ended else "unfinished")
        and filters.model in ("", run.started.model)
        and filters.benchmark in ("", (run.started.benchmark or "").partition("/")[0])
    )
