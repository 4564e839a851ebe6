"""The escape programme: what hostile code tries, that it fails, and that each test would notice if it did not.

Every attack is made twice: with all walls, where it must fail and the host must be told, and without the walls that
hold it, where it must succeed. A test whose attack also fails without walls would prove nothing.
"""

import asyncio
import contextlib
import os
import stat
import sys
from pathlib import Path

import pytest

from deepagent.runs.store import RunStore
from deepagent.sandbox import Kernel, SandboxConfig
from deepagent.sandbox import kernel as kernel_module
from deepagent.sandbox import process as process_module
from deepagent.sandbox import workspace as workspace_module
from deepagent.sandbox.attacks import _SYSTEM_CALL, ATTACKS, Attack, _attack
from deepagent.sandbox.bubblewrap import Bubblewrap
from deepagent.sandbox.frames import Done
from deepagent.sandbox.groups import Group
from deepagent.sandbox.proof import CONFIG, attempt, baited, escaped
from deepagent.sandbox.walls import Wall
from deepagent.tools import ToolSpec
from tests.sandbox.processes import descendants, is_running, until
from tests.sandbox.test_process import PIPE

ROOT = Path(__file__).resolve().parents[2]
AS_ROOT = os.geteuid() == 0
MACHINE = os.uname().machine

OPENED = "'escaped' if open({!r}).read() else 'nothing'"
LOADED = """
import glob, subprocess, sys
loader = glob.glob('/lib*/ld-linux*')[0]
read = f"print(open({bait['file']!r}).read(), end='')"
found = subprocess.run([loader, sys.executable, '-I', '-S', '-c', read], capture_output=True, text=True)
'escaped' if found.stdout == bait['secret'] else found.stderr
"""


def call(name: str, numbers: dict[str, int], arguments: str, *more: Wall, root_only: bool = False) -> Attack:
    """One system call, with arguments that make the kernel do it, or look at them and find them wrong."""
    code = f"{_SYSTEM_CALL}\n'nothing' if refused({numbers[MACHINE]}, {arguments}) else 'escaped'"
    return _attack(f"{name} is refused", Wall.SYSTEM_CALLS, *more, code=code, root_only=root_only)


AS_IF_ROOT = (Wall.CAPABILITIES, Wall.USER, Wall.NAMESPACES)
MORE = (
    _attack("the project cannot be read", Wall.FILES, Wall.USER, code=OPENED.format(str(ROOT / "pyproject.toml"))),
    _attack("this test cannot be read", Wall.FILES, Wall.USER, code=OPENED.format(__file__)),
    _attack("a program started by the loader is confined too", Wall.FILES, Wall.USER, code=LOADED),
    call("ptrace", {"x86_64": 101, "aarch64": 117}, "0, 0, 0, 0"),
    call("keyctl", {"x86_64": 250, "aarch64": 219}, "0, -3, 0, 0, 0"),
    call("add_key", {"x86_64": 248, "aarch64": 217}, "b'user', b'name', b'value', 5, -3"),
    call("userfaultfd", {"x86_64": 323, "aarch64": 282}, "1"),
    call("process_vm_readv", {"x86_64": 310, "aarch64": 270}, "0, 0, 0, 0, 0, 0"),
    call("clone3", {"x86_64": 435, "aarch64": 435}, "0, 0"),
    call("a namespace by clone", {"x86_64": 56, "aarch64": 220}, "0x10000000 | 17 | 0x200, 0, 0, 0, 0"),
    call("mount", {"x86_64": 165, "aarch64": 40}, "b'x', b'/workspace', b'tmpfs', 0, 0", *AS_IF_ROOT, root_only=True),
    call("unshare", {"x86_64": 272, "aarch64": 97}, "0x20000", *AS_IF_ROOT, root_only=True),
    call("pivot_root", {"x86_64": 155, "aarch64": 41}, "b'/', b'/'", *AS_IF_ROOT, root_only=True),
    call("chroot", {"x86_64": 161, "aarch64": 51}, "b'/workspace'", *AS_IF_ROOT, root_only=True),
    call("open_by_handle_at", {"x86_64": 304, "aarch64": 265}, "-100, b'\\0' * 64, 0", *AS_IF_ROOT, root_only=True),
    call("setns", {"x86_64": 308, "aarch64": 268}, "0, 0"),
)
PROGRAMME = [*ATTACKS, *MORE]


@pytest.fixture
def bait():
    with baited() as bait:
        yield bait


@pytest.mark.parametrize("attack", PROGRAMME, ids=lambda attack: attack.name)
async def test_it_holds(walls, bait, attack):
    made = await attempt(attack, bait, CONFIG, None)
    assert not escaped(made)
    assert made.error or made.value  # the host is told
    assert not made.restarted


@pytest.mark.parametrize("attack", PROGRAMME, ids=lambda attack: attack.name)
async def test_the_attack_succeeds_without_the_walls(walls, bait, attack):
    if attack.root_only and not AS_ROOT:
        pytest.skip("an ordinary user has no such rights that a wall could take away")
    assert escaped(await attempt(attack, bait, CONFIG, Bubblewrap(attack.walls)))


@pytest.mark.parametrize(
    "number", [321, 298, 425, 175], ids=["bpf", "perf_event_open", "io_uring_setup", "init_module"]
)
async def test_what_the_kernel_may_refuse_by_itself_is_refused_before_it_sees_it(walls, kernel, number):
    """With invalid arguments a kernel that is asked would answer EFAULT or EINVAL, or EPERM by its own settings."""
    if MACHINE != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    run = await kernel.execute(f"{_SYSTEM_CALL}\nrefused({number}, -1, -1, -1, -1, -1)")
    assert run.value == "True"


@pytest.mark.parametrize("guarded", [True, False])
async def test_the_run_log_cannot_be_read(walls, tmp_path, guarded):
    path = tmp_path / "runs.sqlite"
    with RunStore(path) as store:
        store.keep("run", "id", "what the model did")
    tmp_path.chmod(0o755)
    without = frozenset() if guarded else frozenset({Wall.FILES, Wall.USER})
    async with Kernel(walls=Bubblewrap(without)) as kernel:
        run = await kernel.execute(f"open({str(path)!r}, 'rb').read(6)")
    assert (run.value == "b'SQLite'") is not guarded


# Runs among themselves


SEGMENT = """
import ctypes
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget({key}, 4096, {flags})
"""


@pytest.mark.parametrize("without", [frozenset(), frozenset({Wall.SHARED_MEMORY})], ids=["walls", "no walls"])
async def test_runs_share_no_memory(walls, without):
    key = os.getpid()
    config = SandboxConfig()
    async with Kernel(config, walls=Bubblewrap(without)) as one, Kernel(config, walls=Bubblewrap(without)) as other:
        await one.execute(SEGMENT.format(key=key, flags="0o1600"))
        await one.execute("ctypes.memmove(libc.shmat(segment, None, 0), b'mine', 4)")
        try:
            run = await other.execute(SEGMENT.format(key=key, flags="0o600") + "segment != -1")
            assert run.value == str(bool(without))
        finally:
            await one.execute("libc.shmctl(segment, 0, None)")


async def test_a_run_cannot_read_the_workspace_of_another(walls):
    look = (
        "import glob, os\n"
        "here = glob.glob('/proc/*/root/workspace/*') + glob.glob('/proc/*/cwd/*') + glob.glob('/tmp/deepagent-*/*')\n"
        "[name for name in here if name.endswith('diary')]"
    )
    for unsafe in (False, True):
        config = SandboxConfig(unsafe=unsafe)
        async with Kernel(config) as one, Kernel(config) as other:
            await one.execute("open('diary', 'w').write('dear diary')")
            found = (await other.execute(look)).value or ""
            assert ("diary" in found) is unsafe


# Memory of all processes together


async def test_many_processes_have_no_more_memory_than_one(walls):
    group = Group.make(CONFIG)
    if group is None:
        pytest.skip("no control group can be made here: as an ordinary user, limits are per process")
    group.remove()
    bomb = (
        "import os, signal\n"
        "read, write = os.pipe()\n"
        "for _ in range(6):\n"
        "    if os.fork() == 0:\n"
        "        kept = b'x' * (100 * 2**20)\n"
        "        os.write(write, b'.')\n"
        "        signal.pause()\n"
        "held = b''\n"
        "while len(held) < 6: held += os.read(read, 6)\n"
        "'escaped'"
    )
    config = CONFIG.model_copy(update={"memory_mb": 200, "seconds": 5})
    async with Kernel(config) as kernel:
        made = await kernel.execute(bomb)
        assert not escaped(made)
        assert made.error
    async with Kernel(config.model_copy(update={"memory_mb": 2000})) as kernel:
        assert escaped(await kernel.execute(bomb))


# Crashes


CRASHES = {
    "exit": "import os; os._exit(3)",
    "segmentation fault": "import ctypes; ctypes.string_at(0)",
    "abort": "import os; os.abort()",
    "kills itself": "import os; os.kill(os.getpid(), 9)",
}


@pytest.mark.parametrize("code", CRASHES.values(), ids=CRASHES)
async def test_a_crash_is_not_the_host_s(kernel, code):
    assert (await kernel.execute(code)).error_kind == "crash"
    assert (await kernel.execute("1 + 1")).value == "2"
    # The wall is that it is another process: in the host's own, nothing would come after it.
    host = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"exec({code!r})\nprint('still here')",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await host.communicate() == (b"", None)


# Processes that will not end


DAEMON = (
    "import os, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        open('{file}', 'w').write('x') if '{file}' else None\n"
    "        os.execv('/bin/sleep', ['sleep', '{seconds}'])\n"
    "    os._exit(0)\n"
    "os.wait()\n"
    "'started'"
)


def sleepers(seconds: str) -> set[int]:
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "cmdline").read_bytes() == b"sleep\0" + seconds.encode() + b"\0":
                found.add(int(folder.name))
    return {pid for pid in found if is_running(pid)}


async def test_a_daemon_ends_with_the_run(walls):
    seconds = f"9{os.getpid()}"
    async with Kernel() as kernel:
        assert (await kernel.execute(DAEMON.format(file="", seconds=seconds))).value == "'started'"
        await until(lambda: bool(sleepers(seconds)))
    # What is left in a namespace ends a moment after its first process.
    await until(lambda: not sleepers(seconds))
    async with Kernel(walls=Bubblewrap(frozenset({Wall.PROCESSES}))) as kernel:
        await kernel.execute(DAEMON.format(file="", seconds=seconds))
        await until(lambda: bool(sleepers(seconds)))
    left = sleepers(seconds)
    for pid in left:
        os.kill(pid, 9)
    assert left


STUBBORN = {
    "stops itself": "os.kill(os.getpid(), signal.SIGSTOP)",
    "ignores SIGINT": "signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
    "ignores SIGTERM and all that can be": (
        "for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}: signal.signal(number, signal.SIG_IGN)\n"
        "while True: pass"
    ),
    "leaves its process group": "os.setpgid(0, 0)\nwhile True: pass",
    "blocks signals": "signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))\nwhile True: pass",
}


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN)
async def test_what_cannot_be_interrupted_is_killed(walls, monkeypatch, code):
    monkeypatch.setattr(kernel_module, "GRACE_SECONDS", 0.2)
    async with Kernel(SandboxConfig(seconds=0.2)) as kernel:
        await kernel.execute("import os, signal; x = 1")
        run = await kernel.execute(code)
        assert (run.error_kind, run.restarted) == ("timeout", True)
        assert "could not be interrupted" in (run.error or "")
        monkeypatch.setattr(kernel_module, "GRACE_SECONDS", 60)
        await kernel.execute("import os, signal")
        with pytest.raises(TimeoutError):  # without the kill it would go on
            async with asyncio.timeout(1):
                await kernel.execute(code)
    assert not descendants(os.getpid())


@pytest.mark.parametrize("without", [frozenset(), frozenset({Wall.DEATH})], ids=["walls", "no walls"])
async def test_no_interpreter_outlives_a_host_that_is_killed(walls, without):
    names = [wall.name for wall in without]
    program = (
        "import asyncio\n"
        "from deepagent.sandbox import Kernel\n"
        "from deepagent.sandbox.bubblewrap import Bubblewrap\n"
        "from deepagent.sandbox.walls import Wall\n"
        "async def main():\n"
        f"    walls = Bubblewrap(frozenset(Wall[name] for name in {names!r}))\n"
        "    async with Kernel(walls=walls) as kernel:\n"
        "        await kernel.execute('x = 1')\n"
        "        print('ready', flush=True)\n"
        "        await kernel.execute('while True: pass')\n"
        "asyncio.run(main())\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    host = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert host.stdout is not None
    assert await host.stdout.readline() == b"ready\n"
    workers = descendants(host.pid)
    host.kill()
    await host.wait()
    if without:
        left = {pid for pid in workers if is_running(pid)}
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        assert left
    await until(lambda: not any(map(is_running, workers)))
    await host.stdout.read()


# The protocol


async def test_a_tool_that_was_not_granted_cannot_be_called_by_whatever_trick(walls, monkeypatch):
    called = []

    async def note(name, arguments):
        called.append(name)

    steal = (
        "granted.__name__ = 'secret'\n"
        "channel = next(c.cell_contents for c in granted.__closure__ if hasattr(c.cell_contents, 'call_later'))\n"
        "channel.call(name='secret', arguments={})['error']"
    )
    async with Kernel(SandboxConfig(seconds=10), call_tool=note) as kernel:
        await kernel.bind([ToolSpec(name="granted")])
        assert "is not a tool of this run" in ((await kernel.execute(steal)).value or "")
        assert not called
        kernel._names.add("secret")  # the wall
        await kernel.execute(steal)
    assert called == ["secret"]


async def test_a_forged_end_of_another_cell_is_not_believed(walls, monkeypatch):
    lie = PIPE + "done(id=7, value='forged')\nimport time; time.sleep(9)"
    async with Kernel(SandboxConfig(seconds=5)) as kernel:
        run = await kernel.execute(lie)
        assert (run.error_kind, run.restarted, run.value) == ("crash", True, None)

        def believe(line):
            frame = parse(line)
            return frame.model_copy(update={"id": kernel._cells}) if isinstance(frame, Done) else frame

        parse = process_module.parse_frame
        monkeypatch.setattr(process_module, "parse_frame", believe)
        assert (await kernel.execute(lie)).value == "forged"


async def test_numbers_that_json_does_not_have_reach_no_tool(walls, monkeypatch):
    called = []

    async def note(name, arguments):
        called.append(arguments)

    lie = PIPE + "frame(kind='call', id=99, name='tool', arguments={'x': float('nan')})\nimport time; time.sleep(0.5)"
    async with Kernel(SandboxConfig(seconds=5), call_tool=note) as kernel:
        await kernel.bind([ToolSpec(name="tool")])
        assert (await kernel.execute(lie)).error_kind == "crash"
        assert not called
        monkeypatch.setattr("deepagent.sandbox.frames._is_finite", lambda value: True)
        await kernel.execute(lie)
    assert len(called) == 1


async def test_poisoned_modules_harm_only_the_one_who_poisoned_them(kernel):
    poison = (
        "import builtins, json, os, sys\n"
        'json.dumps = json.loads = os.write = lambda *a, **k: \'{"kind": "ready"}\'\n'
        "builtins.len = builtins.memoryview = None\n"
        "sys.modules['json'] = sys.modules['os'] = None"
    )
    run = await kernel.execute(poison)
    assert run.error_kind in ("crash", "timeout")
    assert (await kernel.execute("import json; json.dumps(1)")).value == "'1'"


# Files that come out


async def test_no_link_leads_the_host_out_of_the_workspace(walls, monkeypatch, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    plant = (
        f"import os\nos.symlink({str(secret)!r}, 'file')\nos.symlink({str(tmp_path)!r}, 'folder')\n"
        "os.mkfifo('pipe')\nopen('plain', 'w').write('plain')\nos.link('plain', 'again')"
    )
    async with Kernel(SandboxConfig()) as kernel:
        await kernel.execute(plant)
        left = await kernel.collect()
        assert left.files == {"plain": b"plain", "again": b"plain"}
        assert set(left.skipped) == {"file: a link", "folder: a link", "pipe: no regular file"}
        monkeypatch.setattr(workspace_module, "_NO_LINKS", os.O_CLOEXEC)
        await kernel.execute(f"import os\nos.symlink({str(secret)!r}, 'file')")
        assert (await kernel.collect()).files["file"] == b"secret"


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_link_that_appears_at_the_last_moment_is_not_followed(monkeypatch, tmp_path, guarded):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("secret")
    inside = tmp_path / "inside"
    (inside / "folder").mkdir(parents=True)
    (inside / "folder" / "file").write_text("harmless")
    swapping = True

    def swap():
        while swapping:
            (inside / "folder").rename(inside / "kept")
            (inside / "folder").symlink_to(tmp_path / "outside")
            (inside / "folder").unlink()
            (inside / "kept").rename(inside / "folder")

    if not guarded:
        monkeypatch.setattr(workspace_module, "_NO_LINKS", os.O_CLOEXEC)
        monkeypatch.setattr(workspace_module.stat, "S_ISDIR", lambda mode: not stat.S_ISREG(mode))
    fd = os.open(inside, os.O_PATH)
    race = asyncio.create_task(asyncio.to_thread(swap))
    leaked = False
    try:
        for _ in range(500 if guarded else 100_000):
            left = await asyncio.to_thread(workspace_module.collect, fd, most_bytes=1000)
            leaked = b"secret" in left.files.values()
            if leaked:
                break
    finally:
        swapping = False
        await race
        os.close(fd)
    assert leaked is not guarded
