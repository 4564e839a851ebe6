"""`deepagent view`, as a process."""

import re
import signal
import subprocess
import urllib.error
import urllib.request

import pytest

from tests.cli.conftest import command, complaint
from tests.support import answer, record


@pytest.fixture
def view(environment, tmp_path):
    """Starts the page and gives its address; ends it as a user does."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            command("view", "--port", "0", *arguments),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path, text=True,
        )  # fmt: skip
        started.append(process)
        return re.search(r"at (http://\S+)", process.stdout.readline())[1]

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")


def read(url):
    with urllib.request.urlopen(url) as page:
        return page.read().decode()


async def test_the_page_is_where_the_command_says(view, tmp_path):
    recording = await record([answer("42")], tmp_path, task="What is it?")
    url = view()
    assert url.startswith("http://127.0.0.1:")
    assert "What is it?" in read(url)
    assert "42" in read(f"{url}runs/{recording.run.id}")


def test_beyond_this_machine_a_token_is_asked_for(view):
    url = view("--host", "0.0.0.0")
    port, token = re.fullmatch(r"http://0\.0\.0\.0:(\d+)/\?token=(\S{20,})", url).groups()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/")
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Authorization": f"Bearer {token}"})
    assert "Runs" in read(asked)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--store", "typo.sqlite"], "there is no run store typo.sqlite"),
        (["--host", "192.0.2.1"], "cannot listen at 192.0.2.1"),
        (["--host", "no such host"], "give another --host or --port"),
    ],
)
def test_a_mistake_is_answered_with_one_line(deepagent, arguments, words):
    assert words in complaint(deepagent("view", "--port", "0", *arguments), 2)
