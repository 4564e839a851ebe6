"""A worker that lies to the host, and a host that dies."""

import asyncio
import ctypes
import gc
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from deepagent.sandbox import Kernel, SandboxConfig
from deepagent.sandbox import process as process_module
from deepagent.sandbox.capture import Capture
from deepagent.tools import ToolSpec
from tests.sandbox.processes import descendants, is_running, until

ROOT = Path(__file__).resolve().parents[2]

# Hostile code can find the pipe to the host, as it runs in the same process.
PIPE = """
import fcntl, json, os
def to_host(fd):
    try: return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
    except OSError: return False
host = next(fd for fd in range(3, 64) if to_host(fd))
def tell(data):
    while data: data = data[os.write(host, data):]
def frame(**fields):
    tell(json.dumps(fields).encode() + b"\\n")
def done(**fields):
    rest = dict.fromkeys(("value", "error", "error_kind", "answer"))
    frame(kind="done", **{**rest, "pictures": [], **fields})
"""


@pytest.mark.parametrize(
    "lie",
    [
        "tell(b'nonsense\\n')",
        "tell(b'\\xff\\xfe\\n')",
        "tell(b'[' * 10**6 + b'\\n')",
        "frame(kind='ready')",
        "done(id=77)",
        "done(id=1, error_kind='timeout')",
        "done(id=1, pictures=['x'] * 101)",
        "frame(kind='call', id=1, name='f', arguments={'x': float('nan')})",
        'tell(b\'{"kind": "done"\')\nos._exit(0)',
    ],
)
async def test_a_forged_frame_costs_the_interpreter_and_nothing_else(kernel, lie):
    run = await kernel.execute(PIPE + lie)
    assert (run.error_kind, run.restarted) == ("crash", True)
    assert (await kernel.execute("1 + 1")).value == "2"


def megabytes() -> float:
    """Memory of this process, without garbage and what is free: use of that would not be seen."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


@pytest.mark.parametrize("limited", [True, False])
async def test_a_frame_without_end_is_cut_off(kernel, monkeypatch, limited):
    if not limited:
        monkeypatch.setattr(process_module, "FRAME_BYTES", 2**40)
    await kernel.execute(PIPE)
    before = megabytes()
    run = await kernel.execute("for _ in range(3200): tell(b'x' * 65536)\ntell(b'\\n')")
    assert ("bytes to the host at once" in (run.error or "")) is limited
    assert run.restarted
    if limited:
        assert megabytes() - before < 100


async def test_a_forged_end_cannot_be_mistaken_for_that_of_the_next_cell(kernel):
    assert (await kernel.execute(PIPE + "done(id=1, value='forged')")).value == "forged"
    run = await kernel.execute("'honest'")
    assert run.value == "'honest'" or run.error_kind == "crash"


async def test_a_forged_call_is_authorised_like_any_other(walls):
    called = []

    async def call(name, arguments):
        called.append(name)

    async with Kernel(SandboxConfig(seconds=10), call_tool=call) as kernel:
        await kernel.bind([ToolSpec(name="granted")])
        steal = (
            "channel = next(c.cell_contents for c in granted.__closure__ if hasattr(c.cell_contents, 'call_later'))\n"
            "granted()\n"
            "channel.call(name='secret', arguments={})['error']"
        )
        run = await kernel.execute(steal)
        assert "'secret' is not a tool of this run" in (run.value or "")
    assert called == ["granted"]


async def test_a_result_that_nobody_waits_for_is_not_taken_for_another(walls):
    count = iter(range(100))

    async def call(name, arguments):
        return next(count)

    async with Kernel(SandboxConfig(seconds=10), call_tool=call) as kernel:
        await kernel.bind([ToolSpec(name="tool")])
        assert (
            await kernel.execute(PIPE + "frame(kind='call', id=-1, name='tool', arguments={})\ntool()")
        ).value == "1"
        await kernel.execute("frame(kind='call', id=-1, name='tool', arguments={})")  # may end before it is called
        run = await kernel.execute("tool()")
        assert run.value in ("2", "3")
        assert not run.restarted


@pytest.mark.parametrize("limited", [True, False])
async def test_a_gigabyte_of_output_does_not_grow_the_host(kernel, monkeypatch, limited):
    kept: list[bytes] = []
    if not limited:
        monkeypatch.setattr(Capture, "feed", lambda self, data: kept.append(data))
    before = megabytes()
    run = await kernel.execute(f"line = 'x' * 2**20\nfor _ in range({1024 if limited else 256}): print(line)")
    assert run.error is None
    if limited:
        assert "bytes cut" in run.output
        assert megabytes() - before < 50
    else:
        assert sum(map(len, kept)) >= 256 << 20
        assert megabytes() - before > 100, "the measure would see it"  # some of it fits what was free before


@pytest.mark.parametrize("unsafe", [False, True])
async def test_the_worker_dies_with_a_host_that_is_killed(walls, unsafe):
    program = (
        "import asyncio\n"
        "from deepagent.sandbox import Kernel, SandboxConfig\n"
        "async def main():\n"
        f"    async with Kernel(SandboxConfig(unsafe={unsafe})) as kernel:\n"
        "        await kernel.execute('x = 1')\n"
        "        print('ready', flush=True)\n"
        "        await kernel.execute('while True: pass')\n"
        "asyncio.run(main())\n"
    )
    host = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert host.stdout is not None
    assert await host.stdout.readline() == b"ready\n"
    workers = descendants(host.pid)
    assert workers
    os.kill(host.pid, signal.SIGKILL)
    await host.wait()
    await until(lambda: not any(map(is_running, workers)))
    await host.stdout.read()
