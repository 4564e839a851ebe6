"""What is installed is what is in the tree: the links inside the package become real folders in a wheel."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import yaml

import deepagent

ROOT = Path(__file__).parent.parent


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


def test_nothing_ships_but_what_is_in_the_tree(wheel):
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("deepagent/")}
    strays = {name for name in shipped if not (ROOT / name).is_file() or "__pycache__" in name or "/tests/" in name}
    assert strays == set()
    with tarfile.open(next(wheel.parent.glob("*.tar.gz"))) as sdist:
        assert not [name for name in sdist.getnames() if "/tests" in name]


def test_the_notice_names_the_origin_of_all_data_that_ships(wheel):
    archive = zipfile.ZipFile(wheel)
    licences = {name.partition("/licenses/")[2] for name in archive.namelist() if "/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE", "LICENSES/MIT.txt"}
    lines = (ROOT / "NOTICE").read_text().splitlines()
    places = {place.strip(",") for line in lines if line.startswith("deepagent/") for place in line.split()}
    data = [name for name in archive.namelist() if name.endswith((".gz", ".onnx"))]
    assert len(data) > 20
    for name in data:
        assert any(name == place or name.startswith(f"{place}/") for place in places), name
    for place in places:
        assert (ROOT / place).exists(), f"NOTICE names {place}, which is not there"
    for room in sorted({str(Path(name).parent) for name in data if name.startswith("deepagent/toolsets")}):
        assert f"{room}/ATTRIBUTION.md" in archive.namelist()


def test_the_version_is_the_same_everywhere(wheel):
    assert wheel.name.startswith(f"deepagent-{deepagent.__version__}-")
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == deepagent.__version__
    assert f"\n## {deepagent.__version__} " in (ROOT / "CHANGELOG.md").read_text()


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
