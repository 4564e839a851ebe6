"""The command `deepagent` itself."""

from importlib import import_module

import pytest

from deepagent import __version__
from deepagent.cli import commands


def test_the_version_is_told(deepagent):
    assert deepagent("--version").stdout == f"{__version__}\n"


def test_help_names_the_commands(deepagent):
    shown = deepagent("--help")
    assert shown.returncode == 0
    for name, (about, *_) in commands._COMMANDS.items():
        assert [name, *about.split()] in [line.split() for line in shown.stdout.splitlines()]


@pytest.mark.parametrize("name", ["run", "view", "doctor"])
def test_the_help_says_of_a_command_what_the_command_says_of_itself(name):
    about = commands._COMMANDS[name][0]
    assert getattr(import_module(f"deepagent.cli.{name}"), name).__doc__.startswith(about)


def test_a_misspelt_command_is_answered_with_the_nearest(deepagent):
    assert "Did you mean 'doctor'?" in deepagent("doctr").stderr


def test_the_examples_of_help_stand_line_by_line(deepagent):
    shown = deepagent("eval", "run", "--help").stdout.splitlines()
    assert "    deepagent eval toolhop --limit 10" in shown[shown.index("  Examples:") :]


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run"], ["run", "x", "--nonsense"], ["eval", "toolhop", "-n", "0"]]
)
def test_wrong_usage_is_exit_code_2_and_no_traceback(deepagent, arguments):
    done = deepagent(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "error: " in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_without_network_a_pull_fails_in_one_line(deepagent):
    done = deepagent("models", "pull", "smollm2-135m")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "cannot be fetched" in done.stderr
    assert "Traceback" not in done.stderr
