"""Packages bring toolsets, benchmarks, models and encoders: real ones, installed by pip, seen by new processes.

A broken one costs one line and nobody else.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import command, complaint

ROOT = Path(__file__).parent.parent

PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "{name}"
version = "1.0"
{points}
[tool.setuptools]
py-modules = ["{module}"]
"""


def install(packages: dict[str, dict[str, str]], folder: Path) -> Path:
    """Build packages and install them into a folder of their own, with nothing fetched."""
    for name, files in packages.items():
        (folder / name).mkdir()
        for file, text in files.items():
            (folder / name / file).write_text(text)
    target = folder / "site"
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    sources = [str(folder / name) for name in packages]
    pip = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), *sources]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def package(name: str, code: str, **points: str) -> dict[str, str]:
    """A package of one module; `points` are names by kind, and each leads to the function `make_NAME`."""
    module = name.replace("-", "_")
    tables = [
        "\n".join(
            [f'[project.entry-points."deepagent.{kind}"]', *(f'{one} = "{module}:make_{one}"' for one in names.split())]
        )
        for kind, names in points.items()
    ]
    text = PYPROJECT.format(name=name, module=module, points="\n".join(tables))
    return {"pyproject.toml": text, f"{module}.py": code}


def documented() -> dict[str, str]:
    """The files of the example in docs/plugins.md."""
    text = (ROOT / "docs" / "plugins.md").read_text()
    return dict(re.findall(r"^`(\S+)`\n\n```\w+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


SORTS = """
from deepagent.evaluation.base import Benchmark, BenchmarkTask, Metric, Score, Value
from deepagent.models import ScriptedModel
from deepagent.retrieval import HashEncoder

class make_greetings(Benchmark):
    name = "greetings"
    metrics = (Metric(name="polite", meaning="says hello", binary=True),)
    def tasks(self):
        return [BenchmarkTask(id="hello", prompt="Say hello.", gold="hello")]
    async def score(self, episode, judge):
        return Score(values={"polite": Value.same(episode.answer == episode.task.gold)})

class make_cranky(make_greetings):
    def __init__(self, config, mode):
        raise ValueError("not today")

def make_parrot(rest):
    return ScriptedModel([f"<answer>{rest}</answer>"])

make_twice = make_parrot

def make_seeker(rest):
    return ScriptedModel([f"<tool_search>{rest}</tool_search>", "<answer>found</answer>"])

def make_faulty(rest):
    raise ValueError('out\\nof order')

def make_tiny():
    return HashEncoder(64)

def make_nothing(where, host):
    return None

make_openapi = make_nothing
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Where three packages are installed: the documented one, one with all sorts of things, and a broken one."""
    sorts = package(
        "sorts", SORTS, benchmarks="greetings cranky", models="parrot twice faulty seeker", encoders="tiny",
        toolsets="nothing openapi",
    )  # fmt: skip
    broken = package("broken-one", "import no_such_module", toolsets="broken", models="twice")
    return install({"tides": documented(), "sorts": sorts, "broken": broken}, tmp_path_factory.mktemp("plugins"))


@pytest.fixture
def deepagent(site, tmp_path):
    """Runs the command where the packages are installed."""
    env = {**os.environ, "PYTHONPATH": str(site), "DEEPAGENT_STORE": str(tmp_path / "runs.sqlite")}

    def run(*arguments):
        return subprocess.run(
            command(*arguments), env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )

    return run


def test_the_documented_toolset_is_found_by_its_name(deepagent):
    done = deepagent("tools", "call", "tidal_range", '{"port": "Brest"}', "-t", "tides")
    assert (done.stdout, done.stderr) == ("6.9\n", "")


def test_a_plugin_says_itself_what_it_cannot_take(deepagent):
    assert (
        complaint(deepagent("tools", "list", "-t", "tides:x"), 2) == "error: tides takes no settings: write just tides"
    )


def test_a_benchmark_and_a_model_of_a_package_run_together(deepagent):
    done = deepagent("eval", "greetings", "-m", "parrot:hello", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["score"]["values"]["polite"]["corrected"] == 1.0


def test_an_encoder_of_a_package_finds_tools(deepagent, tmp_path):
    (tmp_path / "c.yaml").write_text("agent: {encoder: tiny, cards: 0, doubts: false}")
    done = deepagent("run", "x", "-m", "seeker:tide", "-t", "tides", "-c", "c.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert "tidal_range(port: str)" in done.stdout
    (tmp_path / "c.yaml").write_text("agent: {encoder: large}")
    said = complaint(deepagent("run", "x", "-c", "c.yaml"), 2)
    assert "no encoder is called 'large'; known are minilm-tools, hash, tiny" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tools", "list", "-t", "broken"], "(toolsets) of broken-one 1.0 cannot be loaded: ModuleNotFoundError"),
        (["tools", "list", "-t", "nothing"], "of sorts 1.0 made NoneType, which is none of the toolsets"),
        (["run", "x", "-m", "faulty"], "of sorts 1.0 failed: ValueError: out of order; repair or uninstall"),
        (["eval", "cranky"], "of sorts 1.0 failed: ValueError: not today; repair or uninstall the package"),
        (["run", "x", "-m", "twice"], "'twice' is brought by broken-one 1.0 and sorts 1.0; uninstall all but one"),
        (["run", "x", "-m", "gpt-17"], "faulty, parrot, seeker, twice"),
        (["eval", "gaia-17"], ", cranky, gaia, greetings, hle, "),
        (["tools", "list", "-t", "tide"], "simulated:SOURCE, broken, nothing, openapi, tides"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_package(deepagent, arguments, words):
    assert words in complaint(deepagent(*arguments), 2)


def test_what_is_built_in_is_never_replaced(deepagent):
    assert "none.yaml: cannot be read" in complaint(deepagent("tools", "list", "-t", "openapi:none.yaml"), 2)


def test_doctor_lists_them_all_and_says_what_is_broken(deepagent):
    done = deepagent("doctor", "--json")
    plugins = {one["name"]: one for one in json.loads(done.stdout) if one["part"] == "plugin"}
    assert {name: one["state"] for name, one in plugins.items()} == {
        "broken (toolsets)": "broken",
        "nothing (toolsets)": "ok",  # what it makes is known only when it is used
        "openapi (toolsets)": "broken",
        "tides (toolsets)": "ok",
        "cranky (benchmarks)": "ok",
        "greetings (benchmarks)": "ok",
        "faulty (models)": "ok",
        "parrot (models)": "ok",
        "seeker (models)": "ok",
        "twice (models)": "broken",
        "tiny (encoders)": "ok",
    }
    assert plugins["tides (toolsets)"]["said"] == "deepagent-tides 1.0"
    assert "the name is built in" in plugins["openapi (toolsets)"]["said"]
    assert done.returncode == 1


def test_importing_deepagent_looks_for_no_plugin(site):
    code = """
import importlib.metadata as metadata, sys
asked, look = [], metadata.entry_points
metadata.entry_points = lambda **about: (asked.append(about.get("group", "all")), look(**about))[1]
import deepagent
deepagent.Agent("embedded", ["toolhop"])
print([group for group in asked if "deepagent" in group], {"tides", "sorts"} & set(sys.modules))
"""
    env = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "[] set()\n", done.stderr
