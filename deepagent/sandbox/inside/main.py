"""Takes its place inside the walls, then serves the host until it goes away.

The host sends JSON lines: first the set-up, then files to put into the workspace and cells to run, and results while
tool calls wait for them.
"""

from __future__ import annotations

import builtins
import os
import resource
import sys

from deepagent.sandbox.inside.cells import Cells, open_output
from deepagent.sandbox.inside.channel import Channel, Interrupts, end_process

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes as long as half of the interpreter
    from typing import Any, NoReturn

    from deepagent.sandbox.inside.channel import Frame

_signal: Any = sys.modules["_signal"]  # the module signal takes long to import


def main() -> NoReturn:
    """Take the pipes away from the cells' fds, set the limits and serve."""
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    interrupts = Interrupts()
    channel = Channel(os.dup(0), os.dup(1), interrupts, lambda tools: cells.bind(tools, channel))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdout = sys.stderr = open_output()
    sys.argv = [""]
    sys.warnoptions.append("ignore:FigureCanvasAgg is non-interactive")  # what show() says; the figure is saved anyway
    vars(builtins).update(help=_help, exit=sys.exit, quit=sys.exit)  # which -S leaves out
    setup = channel.command()
    _set_limits(setup)
    if setup["die_with_parent"]:
        _die_with_parent()
    sys.path += setup["packages"]
    os.register_at_fork(after_in_child=channel.close)
    cells = Cells(setup["chars"], interrupts)
    try:
        _serve(channel, cells)
    except BaseException:  # whatever it is, this process is of no more use; the host sees it end
        end_process(1)


def _serve(channel: Channel, cells: Cells) -> NoReturn:
    folder = os.getcwd()
    channel.send(kind="ready")
    while True:
        frame = channel.command()
        if frame["kind"] == "put":
            _put(folder, frame)
            continue
        outcome = cells.run(frame["code"], frame["id"])
        if channel.closed:  # a child that the cell forked and let run on
            end_process(0)
        channel.send(kind="done", id=frame["id"], **outcome)


def _put(folder: str, frame: Frame) -> None:
    """Write a piece of a file of the workspace; the first makes it anew, the last of an attachment read-only."""
    import base64

    path = os.path.join(folder, frame["name"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb" if frame["first"] else "ab") as file:
        file.write(base64.b64decode(frame["data"]))
    if frame["read_only"]:
        os.chmod(path, 0o444)


def _set_limits(setup: Frame) -> None:
    limits = {
        resource.RLIMIT_AS: setup["memory"],
        resource.RLIMIT_FSIZE: setup["file_size"],
        resource.RLIMIT_NPROC: setup["processes"],
        resource.RLIMIT_NOFILE: setup["open_files"],
        resource.RLIMIT_CORE: 0,
    }
    for limit, most in limits.items():
        if most is not None:
            hard = resource.getrlimit(limit)[1]
            allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(limit, (allowed, allowed))


def _die_with_parent() -> None:
    """Have the kernel kill this process when the host ends; inside the walls bubblewrap sees to it."""
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, _signal.SIGKILL)


def _help(topic: Any) -> None:
    import pydoc

    pydoc.Helper(output=sys.stdout)(topic)
