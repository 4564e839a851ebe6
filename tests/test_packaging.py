"""What is installed is what is in the tree: the links inside the package become real folders in a wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from the sdist, as a package index would serve it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_room_and_its_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in [
        "deepagent/py.typed",
        "deepagent/memory/folder.py",
        "deepagent/toolsets/functions.py",
        "deepagent/toolsets/toolhop/functions.jsonl.gz",
        "deepagent/toolsets/toolhop/ATTRIBUTION.md",
        "deepagent/evaluation/benchmarks/toolhop.jsonl.gz",
        "deepagent/models/catalog.yaml",
        "deepagent/configs/demo.yaml",
        "deepagent/configs/models/embedded.yaml",
        "deepagent/viewer/templates/run.html",
        "deepagent/viewer/static/viewer.js",
    ]:
        assert path in names
    tracked = {str(path.relative_to(ROOT)) for path in ROOT.glob("deepagent/**/*.py") if "__pycache__" not in str(path)}
    assert tracked <= names


def test_no_top_level_name_could_shadow_a_users_own(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"deepagent"}


def test_the_wheel_runs_from_an_empty_folder(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import asyncio, deepagent; from deepagent import Agent, AgentConfig, ScriptedModel;"
        "from deepagent.toolsets.toolhop.toolset import catalogue;"
        "assert 'site' in deepagent.__file__, deepagent.__file__;"
        "model = ScriptedModel(['<answer>' + str(len(catalogue())) + '</answer>']);"
        "print(Agent(model, store=__import__('pathlib').Path('r.sqlite')).run_sync('How many?').answer)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "235", done.stderr
