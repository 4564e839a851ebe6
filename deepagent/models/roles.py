"""The models of an agent by what they are for. Each has its own server and its own window."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Literal, Self

from deepagent.errors import UsageError
from deepagent.models.base import Model
from deepagent.models.resolve import open_model

Role = Literal["main", "auxiliary", "judge", "vision"]
"""Who thinks and acts; who folds memory, extracts and plays simulated APIs; who grades answers; who sees images."""

_STANDS_IN: dict[Role, Role] = {"auxiliary": "main", "judge": "auxiliary"}
"""Who takes the part of a role that has no model of its own. Nobody sees for a model that cannot."""


class Models:
    """Opens the model of a role when it is first needed; roles that name the same model share it.

    Args:
        chosen: the model of each role, or its name; roles may be left out, except the main one.
    """

    def __init__(self, chosen: Mapping[Role, str | Model | None]) -> None:
        self._chosen = {role: model for role, model in chosen.items() if model is not None}
        self._opened: dict[str | int, Model] = {}
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._opened.clear()

    async def get(self, role: Role) -> Model:
        """The open model of a role.

        Raises:
            UsageError: no model is named for it, and none can stand in; or the name names none.
            OperatorError: it cannot be opened.
        """
        asked = role
        while role not in self._chosen:
            if role not in _STANDS_IN:
                raise UsageError(f"no model is named for the role {asked!r}: set {asked} in the config")
            role = _STANDS_IN[role]
        source = self._chosen[role]
        key = source if isinstance(source, str) else id(source)
        async with self._opening:  # two that need it at once must not open it twice
            if key not in self._opened:
                model = open_model(source) if isinstance(source, str) else source
                self._opened[key] = await self._stack.enter_async_context(model)
        return self._opened[key]
