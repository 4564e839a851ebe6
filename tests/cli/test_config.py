"""`deepagent config show`, and that commands obey what it shows."""

import json

import yaml

from deepagent.config import RunConfig
from deepagent.settings import validate
from tests.cli.conftest import complaint
from tests.support import answer, call, execute


def test_it_shows_every_setting_with_its_place(deepagent, tmp_path):
    (tmp_path / "mine.yaml").write_text("agent: {limits: {folds: 1}}")
    done = deepagent(
        "config", "show", "-c", "mine.yaml", "--set", "agent.found=9", "-m", "oracle",
        env={"DEEPAGENT_AGENT__LIMITS__ACTIONS": "7"},
    )  # fmt: skip
    lines = {" ".join(line.split()) for line in done.stdout.splitlines()}
    assert {
        "model: oracle # --model",
        "actions: 7 # DEEPAGENT_AGENT__LIMITS__ACTIONS",
        "folds: 1 # config mine.yaml",
        "found: 9 # --set agent.found",
        "cards: 6 # default",
        f"# store: {tmp_path / 'runs.sqlite'} (DEEPAGENT_STORE)",
    } <= lines
    shown = validate(yaml.safe_load(done.stdout), RunConfig, where="output")
    assert (shown.agent.limits.actions, shown.agent.limits.folds, shown.agent.found) == (7, 1, 9)


def test_json_holds_the_same(deepagent, tmp_path):
    done = json.loads(deepagent("config", "show", "--json", "--set", "agent.fold=null").stdout)
    rows = {row["name"]: row for row in done["settings"]}
    assert rows["agent.fold"] == {"name": "agent.fold", "value": None, "origin": "--set agent.fold"}
    assert done["places"]["cache"] == {"value": str(tmp_path / "cache"), "origin": "DEEPAGENT_CACHE"}


def test_no_secret_is_shown(deepagent, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "tools: [{kind: mcp, url: 'https://user:sesame@host/mcp', headers: {Authorization: {env: SOME_KEY}}}]"
    )
    for flag in ([], ["--json"]):
        done = deepagent(
            "config", "show", "-c", "mine.yaml", *flag, env={"SOME_KEY": "sesame", "DEEPAGENT_KEY": "sesame"}
        )
        assert "SOME_KEY" in done.stdout
        assert "sesame" not in done.stdout + done.stderr


def test_a_run_obeys_the_environment_and_the_option_over_it(deepagent, model):
    url = model(execute("print(1)"), execute("print(2)"), answer("2"))
    told = {"DEEPAGENT_MODEL": url, "DEEPAGENT_AGENT__LIMITS__ACTIONS": "1"}
    assert "the limit of 1 actions is reached" in deepagent("run", "Do it.", env=told).stdout
    done = deepagent("run", "Do it.", "--set", "agent.limits.actions=9", env=told)
    assert done.returncode == 0, done.stdout


def test_a_run_goes_on_with_its_own_settings_and_options_over_them(deepagent, model):
    url = model(execute("print(1)"), execute("print(2)"), execute("print(3)"), "</answer>")
    assert deepagent("run", "Do it.", "-m", url, "--set", "agent.limits.actions=1").returncode == 1
    again = deepagent("run", "--resume", "last", env={"DEEPAGENT_AGENT__LIMITS__ACTIONS": "9"})
    assert "the limit of 1 actions is reached" in again.stdout
    more = deepagent("run", "--resume", "last", "--set", "agent.limits.actions=2")
    assert "the limit of 2 actions is reached" in more.stdout


def test_what_a_run_was_resumed_with_is_what_it_goes_on_with(deepagent, model, tmp_path):
    (tmp_path / "tools.py").write_text('def lamp() -> str:\n    """Lights a lamp."""\n    return \'lit\'\n')
    limit = ("--set", "agent.limits.actions=1")
    assert deepagent("run", "Do it.", "-m", model(execute("print(1)"), "</answer>"), *limit).returncode == 1
    other = model(call("lamp"), "</answer>", answer("the other's"))
    options = ("-m", other, "-t", "python:tools.py", "--set", "agent.limits.actions=2")
    assert deepagent("run", "--resume", "last", *options).returncode == 1
    last = deepagent("run", "--resume", "last", "--set", "agent.limits.actions=9")
    assert "the other's" in last.stdout, last.stdout + last.stderr
    shown = deepagent("runs", "show", "last").stdout
    assert "lit" in shown
    assert "There is no tool" not in shown


def test_code_without_walls_can_be_asked_for_when_a_run_goes_on(deepagent, model, tmp_path):
    bare = {"PATH": str(tmp_path)}
    stuck = deepagent("run", "Do it.", "-m", model(execute("print(6*7)"), answer("42")), env=bare)
    assert "--unsafe-execute" in complaint(stuck, 1)
    done = deepagent("run", "--resume", "last", "--unsafe-execute", env=bare)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("warning: code runs without confinement")
    again = deepagent("runs", "fork", "last", "--at", "1", env=bare)
    assert "running code without walls must be asked for each time" in complaint(again, 2)


def test_running_without_walls_cannot_be_set_only_asked_for(deepagent):
    told = complaint(deepagent("run", "x", "--set", "agent.sandbox.unsafe=true"), 2)
    assert told == (
        "error: --set agent.sandbox.unsafe: running code without walls must be asked for each time: --unsafe-execute"
    )
    told = complaint(deepagent("run", "x", env={"DEEPAGENT_AGENT__SANDBOX__UNSAFE": "true"}), 2)
    assert "DEEPAGENT_AGENT__SANDBOX__UNSAFE" in told
