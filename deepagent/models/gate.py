"""How many requests a server is sent at a time: as many as are asked for, until it says that it is too much.

Additive increase, multiplicative decrease, as TCP does it (Jacobson, SIGCOMM 1988; RFC 5681, section 3.1): a server
that refuses for being busy halves the number, every reply adds a little to it. All clients that behave so share a
server fairly, and none needs to know its limit.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Gate:
    """Admits requests to one server.

    Attributes:
        limit: how many may be in flight; infinite until the server is too busy for the first time.
        inside: how many are.
    """

    def __init__(self) -> None:
        self.limit = float("inf")
        self.inside = 0
        self._admitted = 0
        self._since = 0  # requests that were admitted before the last decrease say nothing new
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> int:
        """Wait for admission; first come, first served. Gives a ticket for `overloaded`."""
        if self.inside >= self.limit or self._waiting:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn  # who lets it in has counted it already
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.leave()
                raise
            finally:
                if turn in self._waiting:
                    self._waiting.remove(turn)
        else:
            self.inside += 1
        self._admitted += 1
        return self._admitted

    def leave(self) -> None:
        """A request is over, one way or the other."""
        self.inside -= 1
        self._admit()

    def served(self) -> None:
        """The server has answered: after as many answers as are in flight, one more may be."""
        self.limit += 1 / max(1.0, self.limit)
        self._admit()

    def overloaded(self, ticket: int) -> None:
        """The server is too busy: half as many as were in flight, once for all that were sent before it said so."""
        if ticket > self._since:
            self.limit = max(1.0, min(self.limit, self.inside) / 2)
            self._since = self._admitted

    def _admit(self) -> None:
        while self._waiting and self.inside < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.inside += 1
                turn.set_result(None)
