"""Whatever becomes of kernels, nothing of them is left: no process, open file, mount, folder or control group."""

import asyncio
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from deepagent.sandbox import Kernel, SandboxConfig, groups, leftovers
from tests.sandbox.processes import descendants, open_files, until, with_argument

MARK = 64 + os.getpid() % 1000  # a size by which to tell our processes from all others, also when they are orphans
CONFIG = SandboxConfig(seconds=5, warm=0, workspace_mb=MARK)


def left_on_the_host() -> dict[str, object]:
    return {
        "processes": descendants(os.getpid()) | with_argument(str(MARK * 2**20)),
        "open files": open_files(),
        "mounts": Path("/proc/self/mounts").read_text(),
        "folders": sorted(path.name for path in Path(tempfile.gettempdir()).glob(f"deepagent-{os.getpid()}-*")),
        "groups": sorted(
            str(path) for parent in groups.leftovers() for path in parent.glob(f"deepagent-{os.getpid()}-*")
        ),
    }


async def one_life(kind: str, chance: random.Random) -> str:
    """A kernel that ends in one of many ways."""
    async with Kernel(CONFIG.model_copy(update={"unsafe": kind == "unsafe"})) as kernel:
        await kernel.execute("import os, subprocess; open('file', 'w').write('x')")
        if kind == "daemon":
            await kernel.execute("subprocess.Popen(['setsid', 'sleep', '99'])")
        elif kind == "crash":
            assert (await kernel.execute("os._exit(1)")).restarted
        elif kind == "collect":
            assert (await kernel.collect()).files == {"file": b"x"}
        elif kind == "killed":
            victims = sorted(descendants(kernel._worker._process.pid) | {kernel._worker._process.pid})
            os.kill(chance.choice(victims), signal.SIGKILL)
            await kernel.execute("1")
        elif kind == "given up":
            await kernel.collect()
            starting = asyncio.create_task(kernel.execute("1"))
            await asyncio.sleep(chance.random() / 20)
            starting.cancel()
            await asyncio.wait([starting])
        elif kind == "cancelled":
            running = asyncio.create_task(kernel.execute("while True: pass"))
            await asyncio.sleep(chance.random() / 50)
            running.cancel()
            await asyncio.wait([running])
    return kind


KINDS = ("plain", "daemon", "crash", "collect", "killed", "given up", "cancelled", "unsafe")


async def live_and_die(count: int) -> None:
    await one_life("plain", random.Random(0))  # what is imported and opened once is there now
    before = left_on_the_host()
    chance = random.Random(5)
    kinds = [chance.choice(KINDS) for _ in range(count)]
    at_once = asyncio.Semaphore(4)

    async def live(kind):
        async with at_once:
            return await one_life(kind, chance)

    done = Counter(await asyncio.gather(*map(live, kinds)))
    assert done.total() == count
    await until(lambda: not left_on_the_host()["processes"])
    assert left_on_the_host() == before


async def test_kernels_leave_nothing_however_they_end(walls):
    await live_and_die(40)


async def test_a_host_that_is_killed_while_an_interpreter_starts_leaves_nothing(walls):
    program = (
        "import asyncio\n"
        "from deepagent.sandbox import Kernel, SandboxConfig\n"
        "print('ready', flush=True)\n"
        f"asyncio.run(Kernel(SandboxConfig(workspace_mb={MARK})).execute('1'))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for after in range(0, 40, 3):
        host = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, env=environment
        )
        assert host.stdout is not None
        await host.stdout.readline()
        await asyncio.sleep(after / 1000)
        host.kill()
        await host.communicate()
    await until(lambda: not with_argument(str(MARK * 2**20)))


@pytest.mark.heavy
@pytest.mark.timeout(1200)
async def test_a_thousand_kernels_leave_nothing(walls):
    await live_and_die(1000)


def test_what_a_killed_host_left_is_cleared_away_and_what_is_in_use_is_not(tmp_path):
    ours = tmp_path / leftovers.name_of_ours()
    ours.mkdir()
    pid = os.getpid()
    dead = [tmp_path / f"deepagent-{pid}-1-7", tmp_path / "deepagent-4194300-55-1-abc"]
    others = [tmp_path / "deepagent-cache", tmp_path / "something"]
    for folder in [*dead, *others]:
        folder.mkdir()
        (folder / "file").touch()
    (tmp_path / "deepagent-4194301-55-1").symlink_to(others[0])
    assert sorted(leftovers.clear([tmp_path, tmp_path / "none"])) == sorted(dead)
    assert ours.exists()
    assert all((folder / "file").exists() for folder in others)
