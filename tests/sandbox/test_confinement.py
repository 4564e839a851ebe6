"""What hostile code in the sandbox cannot do."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from deepagent.errors import SandboxUnavailableError
from deepagent.sandbox import Kernel, SandboxConfig, confinement
from tests.sandbox.processes import descendants, until

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/etc/passwd",
        "/root",
        "/home",
        os.path.expanduser("~/.ssh"),
        str(ROOT),
        __file__,
        "/proc/1/root/etc/shadow",
    ],
)
async def test_files_of_the_host_cannot_be_read(kernel, path):
    read = f"import os; print(os.listdir({path!r}) if os.path.isdir({path!r}) else open({path!r}).read())"
    run = await kernel.execute(read)
    # Folders above the interpreter's own exist, with nothing in them but the way down to it.
    way_down = [part for part in confinement.interpreter().split("/") if part]
    assert run.error_kind == "exception" or run.output.strip() in {f"[{part!r}]" for part in way_down}


@pytest.mark.parametrize(
    "path",
    [
        "/x",
        "/usr/x",
        "/etc/x",
        "/dev/x",
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        sys.base_prefix + "/x",
    ],
)
async def test_only_the_workspace_can_be_written(kernel, path):
    assert (await kernel.execute(f"open({path!r}, 'w')")).error_kind == "exception"
    assert (await kernel.execute("open('notes', 'w').write('abc'); open('/tmp/notes').read()")).value == "'abc'"


async def test_the_host_s_environment_is_nowhere_to_be_found(monkeypatch, walls):
    monkeypatch.setenv("API_KEY", "very-secret")
    async with Kernel() as kernel:
        run = await kernel.execute(
            "import glob, os\n"
            "for name in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline'):\n"
            "    try: print(open(name).read())\n"
            "    except OSError: pass\n"
            "set(os.environ)"
        )
    assert "very-secret" not in run.output
    assert run.value is not None
    assert eval(run.value) == {*confinement.ENVIRONMENT, "PWD"}


async def test_there_is_no_network(kernel):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connect = "import socket\nsocket.create_connection(({!r}, {}), timeout=2)"
        assert "refused" in ((await kernel.execute(connect.format("127.0.0.1", port))).error or "")
    assert "unreachable" in ((await kernel.execute(connect.format("192.0.2.1", 80))).error or "")
    assert (await kernel.execute("[name for _, name in socket.if_nameindex()]")).value == "['lo']"


async def test_it_is_an_ordinary_user_without_capabilities(kernel):
    run = await kernel.execute("import os; print(open('/proc/self/status').read()); os.getuid()")
    status = dict(line.split(":\t", 1) for line in run.output.splitlines() if ":\t" in line)
    assert run.value != "0"
    assert {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


async def test_no_further_namespaces_can_be_made(kernel):
    unshare = "import ctypes; [ctypes.CDLL(None).unshare(kind) for kind in (0x10000000, 0x20000, 0x40000000)]"
    assert (await kernel.execute(unshare)).value == "[-1, -1, -1]"
    clone = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    code = f"import os\nchild = ctypes.CDLL(None).syscall({clone}, 0x10000000 | 17, 0, 0, 0, 0)\n"
    code += "os._exit(0) if child == 0 else child"
    assert (await kernel.execute(code)).value == "-1"


async def test_only_its_own_processes_and_pipes_are_visible(kernel):
    assert (await kernel.execute("import os; [p for p in os.listdir('/proc') if p.isdigit()]")).value == "['1', '2']"
    run = await kernel.execute("sorted({os.readlink(f'/proc/self/fd/{fd}').split(':')[0] for fd in range(5)})")
    assert run.value == "['/dev/null', 'pipe']"
    assert "No such device" in ((await kernel.execute("open('/dev/tty')")).error or "")


async def test_limits_cannot_be_raised(kernel):
    for limit in ("AS", "NPROC", "FSIZE", "NOFILE", "CORE"):
        code = f"import resource\nlimit = resource.RLIMIT_{limit}\nhard = resource.getrlimit(limit)[1]\n"
        run = await kernel.execute(code + "assert hard >= 0\nresource.setrlimit(limit, (hard, hard + 1))")
        assert "not allowed to raise maximum limit" in (run.error or "")


async def test_memory_is_limited(walls):
    async with Kernel(SandboxConfig(memory_mb=128)) as kernel:
        run = await kernel.execute("kept = 1\n'x' * 2**28")
        assert "MemoryError" in (run.error or "")
        assert (await kernel.execute("kept")).value == "1"


async def test_the_workspace_is_limited(walls):
    async with Kernel(SandboxConfig(workspace_mb=2)) as kernel:
        run = await kernel.execute("for n in range(4): open(f'{n}', 'wb').write(bytes(2**20))")
        assert "No space left" in (run.error or "")
        assert "File too large" in ((await kernel.execute("open('/dev/shm/x', 'wb').write(bytes(2**22))")).error or "")


async def test_a_fork_bomb_is_contained(walls):
    async with Kernel(SandboxConfig(seconds=0.5, processes=8)) as kernel:
        running = asyncio.create_task(
            kernel.execute("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass")
        )
        most = 0
        while not running.done():
            most = max(most, len(descendants(os.getpid())))
            await asyncio.sleep(0.01)
        assert (await running).error_kind == "timeout"
        assert 8 <= most < 8 + 10
    await until(lambda: not descendants(os.getpid()))


def test_check_is_content_here(walls):
    assert confinement.check() is None


@pytest.fixture
def no_programs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    confinement.check.cache_clear()
    yield tmp_path
    confinement.check.cache_clear()


async def test_without_bubblewrap_code_is_refused_with_a_remedy(no_programs):
    with pytest.raises(SandboxUnavailableError, match=r"is not installed; install bubblewrap .*--unsafe-execute"):
        async with Kernel() as kernel:
            await kernel.execute("1")
    assert "is not installed" in (confinement.check() or "")


async def test_a_bubblewrap_that_fails_is_reported_in_its_own_words(walls, monkeypatch):
    monkeypatch.setattr(confinement, "_isolation", lambda: ["--no-such-option"])
    confinement.check.cache_clear()
    with pytest.raises(SandboxUnavailableError, match=r"no-such-option.*--unsafe-execute"):
        async with Kernel() as kernel:
            await kernel.execute("1")
    assert "no-such-option" in (confinement.check() or "")
    confinement.check.cache_clear()
