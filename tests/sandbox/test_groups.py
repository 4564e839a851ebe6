"""Control groups, in both forms of the kernel's interface."""

import pytest

from deepagent.sandbox import Kernel, SandboxConfig
from deepagent.sandbox.groups import Group
from deepagent.sandbox.walls import Wall

CONFIG = SandboxConfig(memory_mb=100, workspace_mb=10, processes=8, cpus=0.5)
MEMORY = str(120 * 2**20)


def written(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def older(tmp_path):
    """What a machine with a tree for each controller looks like."""
    own = tmp_path / "own"
    own.write_text("5:memory:/job\n4:pids:/\n3:cpu,cpuacct:/\n2:name=systemd:/\n0::/\n")
    for folder in ("memory/job", "pids", "cpu"):
        (tmp_path / "root" / folder).mkdir(parents=True)
    return {"root": tmp_path / "root", "own": own}


@pytest.fixture
def unified(tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/user/app\n")
    (tmp_path / "root" / "user" / "app").mkdir(parents=True)
    (tmp_path / "root" / "cgroup.controllers").touch()
    (tmp_path / "root" / "user" / "cgroup.subtree_control").write_text("cpu memory pids\n")
    return {"root": tmp_path / "root", "own": own}


def test_a_group_is_made_in_every_tree(older):
    group = Group.make(CONFIG, **older)
    assert group is not None
    found = {folder.parent.relative_to(older["root"]).as_posix(): written(folder) for folder in group.folders}
    assert found == {
        "memory/job": {"memory.limit_in_bytes": MEMORY},
        "pids": {"pids.max": "10"},
        "cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"},
    }


def test_a_group_is_made_where_the_controllers_are_shared_out(unified):
    group = Group.make(CONFIG, **unified)
    assert group is not None
    (folder,) = group.folders
    assert folder.parent == unified["root"] / "user"
    assert written(folder) == {
        "memory.max": MEMORY,
        "memory.oom.group": "1",
        "pids.max": "10",
        "cpu.max": "50000 100000",
    }
    assert group.joins == [f"{folder}/cgroup.procs"]


@pytest.mark.parametrize("text", ["oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "low 0\noom 1\noom_kill 1\n"])
def test_it_knows_whether_memory_was_used_up(unified, text):
    group = Group.make(CONFIG, **unified)
    assert group is not None
    name = "memory.oom_control" if "disable" in text else "memory.events"
    (group.folders[0] / name).write_text(text.replace("oom_kill 1", "oom_kill 0").replace("oom_kill 2", "oom_kill 0"))
    assert not group.out_of_memory()
    (group.folders[0] / name).write_text(text)
    assert group.out_of_memory()


def test_walls_can_be_left_out(older):
    group = Group.make(CONFIG, without=frozenset({Wall.MEMORY, Wall.COUNT}), **older)
    assert group is not None
    assert [folder.parent.name for folder in group.folders] == ["cpu"]


def test_there_is_none_where_none_can_be_made(tmp_path, unified):
    (unified["root"] / "user" / "cgroup.subtree_control").unlink()
    (unified["root"] / "user" / "cgroup.subtree_control").mkdir()
    assert Group.make(CONFIG, **unified) is None
    assert Group.make(CONFIG, root=tmp_path, own=tmp_path / "none") is None


async def test_real_limits_are_set_and_the_reason_for_an_end_is_told(walls):
    config = SandboxConfig(memory_mb=150, workspace_mb=5, cpus=0.5)
    group = Group.make(config)
    if group is None:
        pytest.skip("no control group can be made here: as an ordinary user, limits are per process")
    group.remove()
    async with Kernel(config) as kernel:
        run = await kernel.execute(
            "import time\nbegan, used = time.monotonic(), time.process_time()\n"
            "while time.monotonic() < began + 1: pass\ntime.process_time() - used"
        )
        assert float(run.value or "9") < 0.8  # of one second
        # Each process stays below its own limit; together they do not.
        run = await kernel.execute(
            "import os\n"
            "for _ in range(3):\n"
            "    if os.fork() == 0:\n"
            "        kept = b'x' * (60 * 2**20)\n"
            "        time.sleep(9)\n"
            "kept = b'x' * (60 * 2**20)\nos.wait()"
        )
        if run.error_kind == "crash":
            assert "all its memory was used" in (run.error or "")
        else:
            assert (run.value or "").endswith(", 9)")  # one of the others was killed
