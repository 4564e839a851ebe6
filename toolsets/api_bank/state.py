"""The tables of one run, and the register of the functions that work on them."""

from __future__ import annotations

import copy
import datetime
import gzip
import json
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any, Literal

from deepagent.errors import ToolFailedError

Level = Literal["1-2", "3"]
Function = Callable[..., Any]

FUNCTIONS: dict[tuple[Level, str], Function] = {}
"""What performs each API: called with the tables and the arguments by name."""


def api(*names: str, level: Level = "1-2") -> Callable[[Function], Function]:
    """Register a function under the names of the APIs that it performs."""

    def registered(function: Function) -> Function:
        for name in names:
            FUNCTIONS[level, name] = function
        return function

    return registered


@cache
def world() -> dict[str, Any]:
    """The data file: descriptions of the APIs, and the tables as every run finds them."""
    data = resources.files("deepagent.toolsets.api_bank").joinpath("world.json.gz").read_bytes()
    loaded: dict[str, Any] = json.loads(gzip.decompress(data))
    return loaded


class Tables:
    """A run's own copy of the tables; each is copied when it is first looked at."""

    def __init__(self) -> None:
        self._own: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._own:
            self._own[name] = copy.deepcopy(world()["tables"].get(name, {}))
        return self._own[name]

    def add(self, name: str, row: dict[str, Any]) -> str:
        """Put a row at the end of a table. Returns its number."""
        table = self[name]
        number = str(len(table) + 1)
        table[number] = row
        return number


def refuse(message: str) -> ToolFailedError:
    """An error in the words of the API."""
    return ToolFailedError(message)


def user_of(tables: Tables, token: str) -> str:
    """The user whose token this is.

    Raises:
        ToolFailedError: nobody's.
    """
    for name, account in tables["Account"].items():
        if account["token"] == token:
            return str(name)
    raise refuse("The token is invalid.")


def moment(text: str, form: str = "%Y-%m-%d %H:%M:%S") -> datetime.datetime:
    """A time as the APIs spell it.

    Raises:
        ToolFailedError: it is none.
    """
    try:
        return datetime.datetime.strptime(text.strip(), form)
    except ValueError as error:
        raise refuse(f"time data {text[:60]!r} does not match format {form!r}") from error


def day(text: str) -> datetime.datetime:
    """A date as the APIs spell it."""
    return moment(text, "%Y-%m-%d")
