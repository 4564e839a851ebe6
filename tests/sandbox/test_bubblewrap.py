"""What hostile code in the sandbox cannot do."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from deepagent.errors import SandboxUnavailableError
from deepagent.sandbox import Kernel, SandboxConfig, bubblewrap, program
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
    way_down = [part for part in program.interpreter().split("/") if part]
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
    assert (await kernel.execute("open('notes', 'w').write('abc'); open('/workspace/notes').read()")).value == "'abc'"


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
    assert eval(run.value) == {*bubblewrap.ENVIRONMENT, "PWD"}


async def test_it_is_an_ordinary_user_without_capabilities(kernel):
    run = await kernel.execute("import os; print(open('/proc/self/status').read()); os.getuid()")
    status = dict(line.split(":\t", 1) for line in run.output.splitlines() if ":\t" in line)
    assert run.value != "0"
    assert {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


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


async def test_the_interpreter_survives_its_memory_limit(walls):
    async with Kernel(SandboxConfig(memory_mb=128)) as kernel:
        run = await kernel.execute("kept = 1\n'x' * 2**28")
        assert "MemoryError" in (run.error or "")
        assert (await kernel.execute("kept")).value == "1"


@pytest.mark.parametrize("folder", ["/workspace", "/tmp", "/dev/shm"])
async def test_every_place_for_files_is_limited(walls, folder):
    async with Kernel(SandboxConfig(workspace_mb=20)) as kernel:
        run = await kernel.execute(f"for n in range(3): open(f'{folder}/{{n}}', 'wb').write(bytes(8 * 2**20))")
        assert "No space left" in (run.error or "")


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
    assert bubblewrap.check() is None


@pytest.fixture
def no_programs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    bubblewrap.check.cache_clear()
    yield tmp_path
    bubblewrap.check.cache_clear()


async def test_without_bubblewrap_code_is_refused_with_a_remedy(no_programs):
    with pytest.raises(SandboxUnavailableError, match=r"is not installed; install bubblewrap .*--unsafe-execute"):
        async with Kernel() as kernel:
            await kernel.execute("1")
    assert "is not installed" in (bubblewrap.check() or "")


async def test_a_bubblewrap_that_fails_is_reported_in_its_own_words(walls, monkeypatch):
    monkeypatch.setattr(bubblewrap.Bubblewrap, "_isolation", lambda self: ["--no-such-option"])
    bubblewrap.check.cache_clear()
    with pytest.raises(SandboxUnavailableError, match=r"no-such-option.*--unsafe-execute"):
        async with Kernel() as kernel:
            await kernel.execute("1")
    assert "no-such-option" in (bubblewrap.check() or "")
    bubblewrap.check.cache_clear()
