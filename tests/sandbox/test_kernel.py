"""What a cell's author can rely on."""

import asyncio
import os

import pytest

from deepagent.errors import SandboxError
from deepagent.sandbox import Kernel, SandboxConfig
from tests.sandbox.processes import descendants, open_files, until, with_argument
from tests.sandbox.shop import SEARCH, echo

# Cells


async def test_variables_live_from_cell_to_cell(kernel):
    assert (await kernel.execute("x = 20")).value is None
    assert (await kernel.execute("def f(): return x + 1")).error is None
    run = await kernel.execute("x = 41\nf()")
    assert (run.value, run.error, run.restarted) == ("42", None, False)


async def test_output_is_in_the_order_of_printing_whoever_prints(kernel):
    run = await kernel.execute(
        "import sys, os, subprocess\n"
        "print('one')\n"
        "sys.stderr.write('two ')\n"
        "print('three', flush=True)\n"
        "os.write(2, b'four\\n')\n"
        "subprocess.run('echo five', shell=True).returncode"
    )
    assert run.output == "one\ntwo three\nfour\nfive\n"
    assert run.value == "0"


async def test_an_error_shows_only_the_lines_of_the_cells(kernel):
    await kernel.execute("import json\ndef load(text):\n    return json.loads(text)")
    run = await kernel.execute("print('before')\nload('{')")
    assert run.error_kind == "exception"
    assert run.output == "before\n"
    assert run.error == (
        "Traceback (most recent call last):\n"
        '  File "<cell 2>", line 2, in <module>\n'
        "    load('{')\n"
        '  File "<cell 1>", line 3, in load\n'
        "    return json.loads(text)\n"
        "           ^^^^^^^^^^^^^^^^\n"
        "json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    )


@pytest.mark.parametrize("code", ["def f(:", "return 1", "x = '\0'", "(" * 5000, "-" * 100_000 + "1"])
async def test_what_is_not_python_is_a_syntax_error(kernel, code):
    run = await kernel.execute(code)
    assert run.error_kind in ("syntax", "crash")  # some Pythons run out of stack and die
    assert run.error


async def test_await_works_at_the_top_level(kernel):
    await kernel.execute("import asyncio\nasync def twice(x):\n    await asyncio.sleep(0)\n    return 2 * x")
    assert (await kernel.execute("a, b = await asyncio.gather(twice(1), twice(2))\nawait twice(a + b)")).value == "12"
    assert (await kernel.execute("asyncio.run(twice(3))")).value == "6"


async def test_sys_exit_ends_the_cell_and_keeps_the_variables(kernel):
    run = await kernel.execute("x = 1\nimport sys\nsys.exit('enough')")
    assert (run.error_kind, run.restarted) == ("exception", False)
    assert "SystemExit: enough" in (run.error or "")
    assert (await kernel.execute("x")).value == "1"


@pytest.mark.parametrize(
    "code",
    [
        "class Bad(Exception):\n    def __str__(self): raise SystemExit\nraise Bad",
        "class Bad:\n    def __repr__(self): raise KeyboardInterrupt\nBad()",
        "import sys\nsys.stdout = sys.stderr = None\n1/0",
        "import sys\nsys.stdout.close()\n1/0",
        "import os\nos.close(1)\nos.close(2)\nprint(1)",
        "raise KeyboardInterrupt",
        "def f(): f()\nf()",
        "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])",
        "import builtins\nbuiltins.eval = builtins.repr = None\n1/0",
        "globals().clear()\n1/0",
        "import sys\nsys.modules.clear()\n1/0",
        "import os\nif os.fork():\n    os.wait()\n1/0",
        "raise Exception('\\ud800')",
        "class Bad:\n    def __repr__(self): return '\\ud800'\nBad() + 1",
    ],
)
async def test_a_strange_cell_is_an_error_and_the_next_one_runs(kernel, code):
    assert (await kernel.execute(code)).error_kind in ("exception", "crash")
    run = await kernel.execute("print('still'); 'here'")
    assert (run.output, run.value) == ("still\n", "'here'") or run.error_kind


async def test_text_that_is_not_unicode_comes_out_readable(kernel):
    run = await kernel.execute("import os\nprint('\\ud800', flush=True)\nos.write(1, b'\\xff\\n')\n'\\ud800 ü'")
    assert run.output == "\\ud800\n\ufffd\n"
    assert run.value == "'\\ud800 ü'"
    run = await kernel.execute("class Half:\n    def __repr__(self): return 'ü \\ud800'\nHalf()")
    assert (run.value, run.restarted) == ("ü \\ud800", False)


async def test_long_output_values_and_errors_keep_head_and_tail(walls):
    async with Kernel(SandboxConfig(output_chars=100)) as kernel:
        run = await kernel.execute("print('a' * 1000 + 'b' * 1000)\n'c' * 1000")
        assert run.output == "a" * 50 + "\n[... 1,901 bytes cut ...]\n" + "b" * 49 + "\n"
        assert run.value == "'" + "c" * 49 + "\n[... 902 characters cut ...]\n" + "c" * 49 + "'"
        assert len((await kernel.execute("raise ValueError('d' * 1000)")).error or "") < 200


# Time


async def test_an_endless_loop_is_interrupted_and_the_variables_are_kept(walls):
    async with Kernel(SandboxConfig(seconds=0.3)) as kernel:
        run = await kernel.execute("x = 1\nprint('so far')\nwhile True: pass")
        assert (run.error_kind, run.restarted, run.output) == ("timeout", False, "so far\n")
        assert "did not end within 0.3 s" in (run.error or "")
        assert "line 3" in (run.error or "")
        assert run.seconds < 2
        assert (await kernel.execute("x")).value == "1"


@pytest.mark.parametrize(
    "code",
    [
        "import time\ntime.sleep(99)",
        "import subprocess\nsubprocess.run(['sleep', '99'])",
        "import asyncio\nawait asyncio.sleep(99)",
        "import threading\nthreading.Event().wait()",
        "while True: print('x' * 100)",
        "import os\nfor n in range(10**6): os.write(1, b'x' * 1024)",
    ],
)
async def test_waiting_and_printing_are_interrupted_too(walls, code):
    async with Kernel(SandboxConfig(seconds=0.3, output_chars=200)) as kernel:
        await kernel.execute("x = 1")
        run = await kernel.execute(code)
        assert (run.error_kind, run.restarted) == ("timeout", False)
        assert len(run.output) < 300
        assert (await kernel.execute("x")).value == "1"


@pytest.mark.parametrize(
    "code",
    [
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        "import time\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass",
        "import os\nos.setpgid(0, 0)\nwhile True: pass",
        "import os\nos.closerange(3, 100)\nwhile True: pass",
    ],
)
async def test_a_cell_that_will_not_yield_is_killed_and_the_model_is_told(walls, monkeypatch, code):
    monkeypatch.setattr("deepagent.sandbox.kernel.GRACE_SECONDS", 0.2)
    async with Kernel(SandboxConfig(seconds=0.3), call_tool=echo) as kernel:
        await kernel.bind([SEARCH])
        await kernel.execute("x = 1")
        run = await kernel.execute("print('so far')\n" + code)
        assert (run.error_kind, run.restarted, run.output) == ("timeout", True, "so far\n")
        assert "variables are gone" in (run.error or "")
        assert not kernel.alive
        after = await kernel.execute("x")
        assert "NameError" in (after.error or "")
        assert not after.restarted
        assert "shop.search" in ((await kernel.execute("shop_search('a')")).value or "")


# Loss


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os\nos._exit(3)", "it ended with exit status 3"),
        ("import ctypes\nctypes.string_at(0)", "it was killed by SIGSEGV"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "it was killed by SIGKILL"),
        ("import os\nos.abort()", "it was killed by SIGABRT"),
        ("import os\nos.closerange(0, 100)", "it ended with exit status 1"),
    ],
)
async def test_a_crash_is_told_and_the_next_cell_has_a_fresh_interpreter(kernel, code, reason):
    await kernel.execute("x = 1")
    run = await kernel.execute("print('last words', flush=True)\n" + code)
    assert (run.error_kind, run.restarted, run.output) == ("crash", True, "last words\n")
    assert reason in (run.error or "")
    assert (await kernel.execute("'x' in globals()")).value == "False"


async def test_a_crash_between_cells_is_told_with_the_next_one(kernel):
    await kernel.execute("x = 1\nimport os, threading\nthreading.Timer(0.05, os._exit, [0]).start()")
    await until(lambda: not kernel.alive)
    run = await kernel.execute("1")
    assert (run.value, run.error, run.restarted) == ("1", None, True)


async def test_cancelling_leaves_a_kernel_that_can_be_used_and_no_process(kernel):
    await kernel.execute("x = 1")
    running = asyncio.create_task(kernel.execute("import subprocess\nsubprocess.run(['sleep', '99'])"))
    await until(lambda: len(descendants(os.getpid())) > 3)
    old = descendants(os.getpid())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not old & descendants(os.getpid()))
    run = await kernel.execute("'x' in globals()")
    assert (run.value, run.restarted) == ("False", True)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5])
async def test_cancelling_while_it_starts_leaves_nothing_behind(walls, turns):
    before = open_files()
    megabytes = 1000 + os.getpid() % 10_000  # something by which to tell our processes from all others
    async with Kernel(SandboxConfig(workspace_mb=megabytes)) as kernel:
        for _ in range(5):
            running = asyncio.create_task(kernel.execute("1"))
            for _ in range(turns + 1):
                await asyncio.sleep(0)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        assert (await kernel.execute("1")).value == "1"
        assert with_argument(str(megabytes * 2**20))
    await until(lambda: not with_argument(str(megabytes * 2**20)))
    assert open_files() == before


async def test_leaving_ends_every_process_and_closes_every_pipe(walls):
    before = open_files()
    async with Kernel() as kernel:
        await kernel.execute("import subprocess\nfor _ in range(3): subprocess.Popen(['setsid', 'sleep', '99'])")
        assert len(descendants(os.getpid())) > 3
    await until(lambda: not descendants(os.getpid()))
    assert open_files() == before
    with pytest.raises(SandboxError, match="closed"):
        await kernel.execute("1")


async def test_cells_that_are_sent_at_once_run_one_after_another(kernel):
    runs = await asyncio.gather(*(kernel.execute(f"print({n}); {n}") for n in range(5)))
    assert [run.output for run in runs] == [f"{n}\n" for n in range(5)]


# Without walls


async def test_unsafe_runs_the_same_without_walls():
    async with Kernel(SandboxConfig(seconds=0.5, unsafe=True), call_tool=echo) as kernel:
        await kernel.bind([SEARCH])
        await kernel.execute("x = 1\nopen('notes', 'w').close()\nimport os\nhere = os.getcwd()")
        folder = (await kernel.execute("print(here)")).output.strip()
        assert os.listdir(folder) == ["notes"]
        assert (await kernel.execute("while True: pass")).error_kind == "timeout"
        assert (await kernel.execute("x, shop_search('a')['name']")).value == "(1, 'shop.search')"
        assert "SIGSEGV" in ((await kernel.execute("import ctypes\nctypes.string_at(0)")).error or "")
    with pytest.raises(FileNotFoundError):
        os.listdir(folder)
    await until(lambda: not descendants(os.getpid()))
