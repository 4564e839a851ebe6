"""The pipes between the host and a worker."""

from __future__ import annotations

import os

PIPE_BYTES = 2**16
"""What a pipe can hold, so that one read of this size empties it."""


class Pipes:
    """The ends that the worker gets, and the host's ends, which never block.

    Attributes:
        commands: where the host writes frames.
        frames: where the worker's frames arrive.
        output: where all that the cells print arrives.
        info: a file in which bubblewrap tells about the sandbox. Not a pipe: if the host were gone, writing to it would
            kill bubblewrap half-way, and leave a process behind that waits for ever.
        inside: the worker's stdin, stdout and stderr.
    """

    def __init__(self) -> None:
        stdin, self.commands = os.pipe()
        self.frames, stdout = os.pipe()
        self.output, stderr = os.pipe()
        self.info = os.memfd_create("info")
        self.inside = (stdin, stdout, stderr)
        ours = (self.commands, self.frames, self.output)
        self._open = {*self.inside, *ours, self.info}
        for end in ours:
            os.set_blocking(end, False)

    def close_info(self) -> None:
        """Close what is of no more use once the program has started."""
        self._close(self.info)

    def close_inside(self) -> None:
        """Close the ends that the child has taken over, so that its end is seen."""
        self._close(*self.inside)

    def close(self) -> None:
        """Close all that is open; may be called again."""
        self._close(*self._open)

    def _close(self, *ends: int) -> None:
        for end in ends:
            if end in self._open:
                self._open.remove(end)
                os.close(end)
