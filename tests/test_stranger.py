"""What someone does first who has only README and docs/start.md, in an empty folder with an empty home.

The path is walked twice: in this environment, and (`make test-dist`) with the wheel in a clean one.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepagent import __version__
from deepagent.models import weights
from deepagent.models.weights import DEFAULT
from tests.cli.conftest import ScriptServer, serving
from tests.conftest import ROOT
from tests.docs.test_snippets import BLOCKS
from tests.support import answer, call, execute

START = [block for block in BLOCKS if block.page == "docs/start.md"]
INSTALL = next(line for block in START for line in block.commands if line.startswith("pip install "))
MY_TOOLS = next(block.text for block in START if block.language == "python")
WHEEL = "file:///path/to/deepagent-0.1.0-py3-none-any.whl"
SLOW = """
import time
from pathlib import Path
from deepagent import tool

@tool(effect="pure")
def look() -> str:
    "Looks, and takes its time when it does so first."
    if not Path("looked").exists():
        Path("looked").touch()
        time.sleep(60)
    return "a lamp"
"""
SHOP = {
    "openapi": "3.0.3",
    "info": {"title": "Shop", "version": "1"},
    "servers": [{"url": "https://shop.example.com"}],
    "paths": {"/orders": {"get": {"operationId": "listOrders", "summary": "Orders of one customer", "responses": {}}}},
}
TABLE = {"name": "table", "description": "A place to eat for two: books a table in a restaurant.", "toolset": "town"}


@dataclass
class Stranger:
    """Someone with an installation, a folder and a home."""

    binaries: Path
    folder: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.binaries}:{os.environ['PATH']}", "HOME": str(self.home), "LANG": "C.UTF-8"}

    def __call__(self, line: str, code: int = 0, **environment: str) -> str:
        """What a line in the shell prints, both streams together."""
        done = subprocess.run(
            ["bash", "-c", f"{line}\nexit $?"], cwd=self.folder, env={**self.environment, **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{line}\n{done.stdout}"
        assert "Traceback" not in done.stdout
        return done.stdout

    @contextmanager
    def begun(self, line: str, until: str) -> Iterator[subprocess.Popen[str]]:
        """A command that goes on, once it has printed these words."""
        with subprocess.Popen(
            shlex.split(line), cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            try:
                self.heard(process, until)
                yield process
            finally:
                process.kill()

    @staticmethod
    def heard(process: subprocess.Popen[str], until: str) -> str:
        """What it prints up to the line with these words."""
        printed = ""
        while until not in printed:
            printed += process.stdout.readline() or pytest.fail(printed)
        return printed


@pytest.fixture(scope="module", params=["here", pytest.param("wheel", marks=pytest.mark.dist)])
def stranger(request, tmp_path_factory) -> Stranger:
    folder, home = tmp_path_factory.mktemp("folder"), tmp_path_factory.mktemp("home")
    (folder / "my_tools.py").write_text(MY_TOOLS)
    if request.param == "here":
        return Stranger(Path(sys.executable).parent, folder, home)
    clean, wheel = tmp_path_factory.mktemp("clean"), request.getfixturevalue("wheel")
    subprocess.run([sys.executable, "-m", "venv", clean], check=True)
    install = shlex.split(INSTALL.replace(WHEEL, wheel.as_uri()))
    subprocess.run([clean / "bin" / install[0], *install[1:], "--quiet", "-c", ROOT / "constraints.txt"], check=True)
    return Stranger(clean / "bin", folder, home)


@pytest.fixture
def model():
    """Makes a model that gives these replies, and gives its URL."""
    with ExitStack() as stack:
        yield lambda *script: stack.enter_context(serving(ScriptServer(script)))


def test_it_is_installed(stranger):
    assert stranger("deepagent --version") == f"{__version__}\n"
    found = {one["name"]: one for one in json.loads(stranger("deepagent doctor --json | cat"))}  # also without walls
    assert {found[name]["state"] for name in ("embedded", "view", "store")} == {"ok"}
    assert found[DEFAULT]["said"] == f"deepagent models pull {DEFAULT}"


def test_without_the_weights_one_is_told_how_to_get_them(stranger):
    assert stranger("deepagent run 'Hello?'", 1).endswith(f"run `deepagent models pull {DEFAULT}`\n")


def test_a_task_is_run_and_its_story_told_again(stranger, model, walls):
    code = "print(sum(p for p in range(2, 100) if all(p % q for q in range(2, p))))"
    url = model(f"I compute it. {execute(code)}", answer("1060"))
    told = stranger('deepagent run "What is the sum of the primes below 100?"', DEEPAGENT_MODEL=url)
    assert "1. execute" in told
    assert "answer      1060" in told
    assert told.splitlines()[1:] == stranger("deepagent runs show last").splitlines()


def test_a_function_becomes_a_tool(stranger, model):
    line = 'deepagent tools call list_orders \'{"customer": "Ada"}\' --tools python:my_tools.py'
    assert json.loads(stranger(line))[0] == {"sku": "lamp", "price": 40}
    url = model(call("list_orders", customer="Ada"), answer("40"))
    told = stranger("deepagent run --tools python:my_tools.py 'What does the lamp cost?'", DEEPAGENT_MODEL=url)
    assert '1. call     list_orders(customer="Ada")' in told
    assert "answer      40" in told


def test_a_catalogue_becomes_an_index_that_is_searched_and_called_from(stranger, model):
    (stranger.folder / "apis").mkdir()
    (stranger.folder / "apis" / "shop.json").write_text(json.dumps(SHOP))
    (stranger.folder / "town.jsonl").write_text(json.dumps(TABLE) + "\n")
    assert "3 tools in my-index" in stranger("deepagent index build apis/ town.jsonl my_tools.py --out my-index")
    found = stranger("deepagent index search my-index 'a place to eat for two' --json").splitlines()
    assert json.loads(found[0])["spec"]["name"] == "table"
    url = model("<tool_search>orders of a customer</tool_search>", call("list_orders", customer="Ada"), answer("40"))
    settings = {"DEEPAGENT_MODEL": url, "DEEPAGENT_AGENT__CARDS": "0"}
    told = stranger("deepagent run --tools index:my-index 'What does the lamp cost?'", **settings)
    assert "1. search" in told
    assert "its source is not open to calls" in told, "Python is run for nobody who has not said so"
    preview = stranger("deepagent tools call listOrders --dry-run -t index:my-index")
    assert preview.startswith("GET https://shop.example.com/orders")


def test_a_model_is_measured(stranger):
    told = stranger("deepagent eval toolhop --limit 2 --model oracle")
    assert re.search(r"^correct +100.0%", told, re.MULTILINE)
    assert "toolhop" in stranger("deepagent eval list")
    assert stranger("deepagent eval report last").split() == ["report.html", "report.json"]
    assert "2 of 2 episodes are done already" in stranger("deepagent eval toolhop --limit 2 --model oracle --resume")


@pytest.fixture
def slow(stranger, model) -> str:
    """Begins a run whose first call takes long, the first time."""
    (stranger.folder / "slow.py").write_text(SLOW)
    (stranger.folder / "looked").unlink(missing_ok=True)
    return f"deepagent run -m {model(call('look'), answer('a lamp'))} -t python:slow.py 'What is there?'"


def test_an_interrupted_run_says_how_it_goes_on_and_does(stranger, slow):
    with stranger.begun(slow, "1. call") as process:
        process.send_signal(signal.SIGINT)
        stranger.heard(process, "Ctrl-C again stops at once")
        process.send_signal(signal.SIGINT)
        said = process.communicate()[0]
    assert process.returncode == 130
    assert "answer      a lamp" in stranger(said.rpartition("go on: ")[2])


def test_a_killed_run_goes_on(stranger, slow):
    with stranger.begun(slow, "1. call") as process:
        process.kill()
    assert "answer      a lamp" in stranger("deepagent run --resume last")


def test_runs_are_shown_in_a_web_page(stranger, model):
    stranger("deepagent run 'Who are you?'", DEEPAGENT_MODEL=model(answer("nobody")))
    run = json.loads(stranger("deepagent runs list --json -n 1"))["id"]
    with stranger.begun("deepagent view --port 0", "") as process:
        url = re.search(r"http://\S+", stranger.heard(process, "Ctrl-C ends"))[0]
        with urllib.request.urlopen(f"{url}runs/{run}") as page:
            assert "nobody" in page.read().decode()
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 0


def test_settings_are_told_with_where_they_come_from(stranger):
    shown = stranger("deepagent config show --set agent.limits.actions=20", DEEPAGENT_AGENT__FOUND="3")
    assert re.search(r"actions: 20 +# --set agent.limits.actions", shown)
    assert re.search(r"found: 3 +# DEEPAGENT_AGENT__FOUND", shown)
    assert f"# store: {stranger.home}/" in shown


def test_the_shell_learns_the_commands(stranger):
    stranger("deepagent --install-completion")
    assert "deepagent.sh" in (stranger.home / ".bashrc").read_text()
    asked = {"_DEEPAGENT_COMPLETE": "complete_bash", "COMP_WORDS": "deepagent runs re", "COMP_CWORD": "2"}
    assert stranger("deepagent", **asked) == "replay\n"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("deepagent run --modle x 'Hello?'", 2, "Possible options: --model"),
        ("deepagent rnu 'Hello?'", 2, "Did you mean 'run'"),
        ("deepagent run --set agent.limts.actions=2 'Hello?'", 2, "did you mean 'limits'?"),
        ("deepagent run --config none.yaml 'Hello?'", 2, "config none.yaml: No such file or directory"),
        ("deepagent run --tools my_tools.py 'Hello?'", 2, "for the file write python:my_tools.py"),
        ("deepagent run -m http://127.0.0.1:1/v1 'Hello?'", 1, "is the server running?"),
        ("deepagent index search nowhere 'a lamp'", 1, "build it with `deepagent index build`"),
        ("deepagent eval toolhp", 2, "known are "),
        ("deepagent view --store none.sqlite", 2, "there is no run store none.sqlite"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(stranger, line, code, said):
    assert said in stranger(line, code)


@pytest.mark.dist
@pytest.mark.weights
def test_a_small_model_works_in_this_process(stranger):
    if not weights.here(weights.catalogue()["smollm2-135m"]):
        pytest.skip("fetch the weights first: deepagent models pull smollm2-135m")
    short = "--set agent.limits.actions=1 --set agent.sampling.max_tokens=16"
    cache = {"DEEPAGENT_CACHE": str(weights.cache_folder())}
    told = stranger(f"deepagent run -m embedded:smollm2-135m {short} 'Hello?' || true", **cache)
    assert "model smollm2-135m" in told
    assert "1 steps" in told
