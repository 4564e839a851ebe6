"""Threads that wait for each other, without the module threading: its import is half of a start."""

from __future__ import annotations

import _thread

get_ident = _thread.get_ident
Lock = _thread.allocate_lock


class Condition:
    """As `threading.Condition` with a plain lock."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sleeping: list[_thread.LockType] = []

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self) -> None:
        """Let go of the lock until somebody notifies."""
        own = Lock()
        own.acquire()
        self._sleeping.append(own)
        self._lock.release()
        try:
            own.acquire()
        finally:
            self._lock.acquire()

    def notify_all(self) -> None:
        """Wake all who wait; they go on when the lock is free."""
        while self._sleeping:
            self._sleeping.pop().release()
