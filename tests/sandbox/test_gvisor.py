"""The same kernel on gVisor."""

import os
import shutil
import tempfile

import pytest

from deepagent.errors import SandboxUnavailableError
from deepagent.sandbox import Kernel, SandboxConfig
from deepagent.sandbox.attacks import ATTACKS, BY_FILTER
from deepagent.sandbox.proof import CONFIG, attempt, baited, escaped
from deepagent.tools import ToolSpec
from tests.sandbox.processes import descendants, until
from tests.sandbox.shop import echo

installed = pytest.mark.skipif(shutil.which("runsc") is None, reason="runsc is not installed: apt-get install runsc")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gVisor's walls need root")
GVISOR = SandboxConfig(walls="gvisor", seconds=20)


async def test_where_it_is_missing_the_remedy_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailableError, match="runsc is not installed: apt-get install runsc"):
        await Kernel(GVISOR).execute("1")


@installed
@pytest.mark.skipif(os.geteuid() == 0, reason="root may use it")
async def test_an_ordinary_user_is_told_to_use_other_walls():
    with pytest.raises(SandboxUnavailableError, match=r"need root.*set sandbox\.walls to bubblewrap"):
        await Kernel(GVISOR).execute("1")


@installed
@as_root
@pytest.mark.heavy
async def test_cells_tools_files_and_losses():
    async with Kernel(GVISOR, call_tool=echo, attachments={"given": b"1"}) as kernel:
        await kernel.bind([ToolSpec(name="tool")])
        run = await kernel.execute("x = 20\nprint(open('given').read())\ntool(), x + 1")
        assert (run.output, run.value) == ("1\n", "({'name': 'tool', 'arguments': {}}, 21)")
        run = await kernel.execute("import os; open('left', 'w').write('x'); os._exit(3)")
        assert run.restarted
        assert "it ended with exit status 3" in (run.error or "")
        assert (await kernel.execute("open('left').read()")).value == "'x'"
        assert (await kernel.collect()).files == {"left": b"x"}
    assert not descendants(os.getpid())
    assert not [name for name in os.listdir(tempfile.gettempdir()) if name.startswith(f"deepagent-{os.getpid()}-")]


@installed
@as_root
@pytest.mark.heavy
async def test_a_cell_is_interrupted_and_its_variables_are_kept():
    async with Kernel(GVISOR.model_copy(update={"seconds": 1})) as kernel:
        await kernel.execute("x = 1")
        run = await kernel.execute("while True: pass")
        assert (run.error_kind, run.restarted) == ("timeout", False)
        assert (await kernel.execute("x")).value == "1"


@installed
@as_root
@pytest.mark.heavy
async def test_a_daemon_ends_with_the_run():
    async with Kernel(GVISOR) as kernel:
        await kernel.execute("import subprocess; subprocess.Popen(['setsid', 'sleep', '99'])")
    await until(lambda: not descendants(os.getpid()))


@installed
@as_root
@pytest.mark.heavy
@pytest.mark.parametrize(
    "attack", [attack for attack in ATTACKS if not attack.walls <= BY_FILTER], ids=lambda attack: attack.name
)
async def test_it_holds(attack):
    with baited() as bait:
        made = await attempt(attack, bait, CONFIG.model_copy(update={"walls": "gvisor", "seconds": 20}), None)
    assert not escaped(made)
    assert made.error or made.value
