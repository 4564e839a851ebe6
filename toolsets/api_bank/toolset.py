"""API-Bank's APIs as tools: 52 of levels 1 and 2, 21 of level 3, over tables of each run's own."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from deepagent.errors import UsageError
from deepagent.tools import Arguments, Effect, JsonSchema, Tool, ToolSpec
from deepagent.toolsets.api_bank import accounts, calendar, knowledge, planning, services  # noqa: F401 (they register)
from deepagent.toolsets.api_bank.state import FUNCTIONS, Level, Tables, world
from deepagent.toolsets.base import ToolList

_tables: ContextVar[Tables] = ContextVar("tables")

_TYPES: dict[str, JsonSchema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "list": {"type": "array"},
    "list(str)": {"type": "array", "items": {"type": "string"}},
}
_OPTIONAL = {"ForgotPassword": ("status",), "Translate": ("src",)}
"""What must be given where not everything must, and the descriptions do not tell."""

_CHANGING = ("Add", "Delete", "Modify", "Register", "Open", "Book", "Cancel", "Record", "Send", "Timed", "Forgot",
             "Appointment", "Personal", "Email")  # fmt: skip


class ApiBank(ToolList):
    """The toolset.

    Args:
        level: `1-2` or `3`; the two have tools of the same name that differ.

    Raises:
        UsageError: there is no such level.
    """

    def __init__(self, level: str = "1-2") -> None:
        chosen: Level | None = "3" if level == "3" else "1-2" if level in ("1-2", "") else None
        if chosen is None:
            raise UsageError(f"API-Bank has no level {level!r}: write api_bank or api_bank:3")
        self.reset()
        told = [one for one in world()["apis"] if one["set"] == f"lv{chosen}" and one["name"] != "ToolSearcher"]
        super().__init__("api_bank", (_tool(one, chosen) for one in told))

    def reset(self) -> None:
        """Give the run that begins here tables of its own (see `World`)."""
        _tables.set(Tables())


def _tool(told: dict[str, Any], level: Level) -> Tool:
    name = told["name"]
    properties = {
        one: {**_TYPES[about["type"]], "description": about["description"]}
        for one, about in told["input_parameters"].items()
    }
    optional = {one.rstrip("?") for one in told["call_arguments"] if one.endswith("?")}
    required = [one for one in properties if one in _OPTIONAL.get(name, properties) and one not in optional]
    effect: Effect = "unsafe" if name.startswith(_CHANGING) else "pure"
    function = FUNCTIONS[level, name]

    async def invoke(arguments: Arguments) -> Any:
        return function(_tables.get(), **arguments)

    schema = {"type": "object", "properties": properties, "required": required}
    spec = ToolSpec(name=name, description=told["description"], parameters=schema, toolset="api_bank", effect=effect)
    return Tool(spec=spec, invoke=invoke)
