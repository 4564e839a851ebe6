"""Which walls stand on this machine, proved by trying to break them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepagent.actions import Frozen
from deepagent.errors import SandboxError
from deepagent.sandbox import bubblewrap
from deepagent.sandbox.attacks import ATTACKS, BY_FILTER, Attack
from deepagent.sandbox.config import SandboxConfig
from deepagent.sandbox.groups import Group
from deepagent.sandbox.kernel import Execution, Kernel
from deepagent.sandbox.walls import Walls

CONFIG = SandboxConfig(seconds=10, memory_mb=256, processes=8, workspace_mb=4, warm=0)
"""Small limits, so that trying to break them costs little."""

TOGETHER = "memory, processes and processor time are limited for all processes together"
"""What only some machines can prove; without it there is still a limit for each process."""
_SECONDS = 10
_HOST = """
import asyncio
from deepagent.sandbox import Kernel, SandboxConfig
async def main():
    async with Kernel(SandboxConfig(walls={walls!r})) as kernel:
        await kernel.execute('x = 1')
        print('ready', flush=True)
        await kernel.execute('while True: pass')
asyncio.run(main())
"""


class Proof(Frozen):
    """One thing that must hold.

    Attributes:
        name: what, in words.
        held: whether it did.
        happened: what the attempt to break it led to, in a line.
        remedy: what to do if it did not hold.
    """

    name: str
    held: bool
    happened: str
    remedy: str = ""


async def prove(config: SandboxConfig = CONFIG, *, walls: Walls | None = None) -> list[Proof]:
    """Attack the sandbox of this machine. Takes a few seconds, and harms nothing.

    Args:
        config: the limits to attack.
        walls: what encloses the code; by default what the config says.
    """
    if walls is None and config.walls == "bubblewrap" and (reason := bubblewrap.check()) is not None:
        return [Proof(name="code can be confined", held=False, happened="it was not started", remedy=reason)]
    with baited() as bait:
        attacks = [attack for attack in ATTACKS if config.walls == "bubblewrap" or not attack.walls <= BY_FILTER]
        proofs = [await _try(attack, bait, config, walls) for attack in attacks]
    return [*proofs, await _dies_with_its_host(config), _groups(config)]


@contextlib.contextmanager
def baited() -> Iterator[dict[str, Any]]:
    """Things of the host that no code may get at, for as long as the context lasts."""
    secret = secrets.token_hex(16)
    name = f"DEEPAGENT_BAIT_{os.getpid()}"
    abstract = f"\0deepagent-{secret}"
    with tempfile.TemporaryDirectory(prefix="deepagent-bait-") as folder, contextlib.ExitStack() as stack:
        file = Path(folder, "secret")
        file.write_text(secret, encoding="ascii")
        os.environ[name] = secret
        stack.callback(os.environ.pop, name)
        fd = os.open(file, os.O_RDONLY)
        stack.callback(os.close, fd)
        os.set_inheritable(fd, True)
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for address in (abstract, f"{folder}/socket"):
            listener = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
            listener.bind(address)
            listener.listen()
        yield {
            "secret": secret,
            "file": str(file),
            "fd": fd,
            "port": server.getsockname()[1],
            "abstract": abstract,
            "socket": f"{folder}/socket",
            "pid": os.getpid(),
            "cmdline": Path("/proc/self/cmdline").read_text(errors="replace"),
        }


async def attempt(attack: Attack, bait: dict[str, Any], config: SandboxConfig, walls: Walls | None) -> Execution:
    """Make one attack in an interpreter of its own."""
    async with Kernel(config, walls=walls) as kernel:
        await kernel.execute(f"bait = {bait!r}; limits = {config.model_dump(mode='json')!r}")
        return await kernel.execute(attack.code)


def escaped(execution: Execution) -> bool:
    """Whether an attack succeeded."""
    return execution.value == "'escaped'"


async def _try(attack: Attack, bait: dict[str, Any], config: SandboxConfig, walls: Walls | None) -> Proof:
    try:
        made = await attempt(attack, bait, config, walls)
    except SandboxError as error:
        return Proof(name=attack.name, held=False, happened=f"not tried: {error}", remedy=attack.remedy)
    last = (made.error or made.value or "nothing").strip().splitlines()[-1]
    return Proof(
        name=attack.name,
        held=not escaped(made),
        happened="it succeeded" if escaped(made) else last[:200],
        remedy=attack.remedy if escaped(made) else "",
    )


async def _dies_with_its_host(config: SandboxConfig) -> Proof:
    """Kill a host whose cell is running, and see what becomes of the interpreter."""
    name = "no interpreter outlives its host"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    host = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _HOST.format(walls=config.walls),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert host.stdout is not None
    try:
        async with asyncio.timeout(_SECONDS):
            started = await host.stdout.readline() == b"ready\n"
            handles = [os.pidfd_open(pid) for pid in _below(host.pid)]
            host.send_signal(signal.SIGKILL)
            gone = all([await _has_ended(handle) for handle in handles])
    except TimeoutError:
        started = gone = False
    finally:
        with contextlib.suppress(ProcessLookupError):
            host.kill()
        await host.communicate()
    happened = f"the host was killed, and its {len(handles)} processes ended" if started else "the host did not start"
    return Proof(name=name, held=started and gone, happened=happened, remedy="" if gone else "report this as a bug")


def _groups(config: SandboxConfig) -> Proof:
    group = Group.make(config)
    if group is not None:
        group.remove()
    return Proof(
        name=TOGETHER,
        held=group is not None,
        happened="a control group could be made" if group else "no control group can be made here",
        remedy="" if group else "run as root, or as a service with Delegate=yes; until then limits are per process",
    )


def _below(pid: int) -> list[int]:
    """The processes below one."""
    found: list[int] = []
    todo = [pid]
    while todo:
        parent = todo.pop()
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
        found += map(int, children)
        todo += map(int, children)
    return found


async def _has_ended(handle: int) -> bool:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        async with asyncio.timeout(_SECONDS):
            return await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
