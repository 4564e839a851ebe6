import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deepagent.cli.models import app
from deepagent.errors import UsageError, WeightsError

runner = CliRunner()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPAGENT_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path


def test_list_says_which_weights_are_here(cache: Path):
    place = cache / "weights" / "smollm2-135m"
    place.mkdir(parents=True)
    (place / "smollm2-135m-instruct-q4_1.gguf").touch()
    listed = {row["name"]: row for row in json.loads(runner.invoke(app, ["list", "--json"]).stdout)}
    assert listed["smollm2-135m"]["here"] is True
    assert listed["qwen2.5-coder-1.5b"]["here"] is False
    assert listed["qwen2.5-coder-1.5b"]["size"] == 1_117_320_768
    assert "smollm2-135m" in runner.invoke(app, ["list"]).stdout


def test_pull_reports_its_steps_on_stderr_and_fails_typed():
    result = runner.invoke(app, ["pull", "smollm2-135m"])
    assert result.stdout == ""
    assert "smollm2-135m: part 1 of 1" in result.stderr
    assert isinstance(result.exception, WeightsError)


def test_pull_takes_the_file_of_an_embedded_model(tmp_path: Path):
    embedded, served = tmp_path / "a.yaml", tmp_path / "b.yaml"
    embedded.write_text("kind: embedded\nweights: smollm2-135m")
    served.write_text("kind: http\nurl: http://127.0.0.1:1/v1")
    assert isinstance(runner.invoke(app, ["pull", str(embedded)]).exception, WeightsError)
    assert isinstance(runner.invoke(app, ["pull", str(served)]).exception, UsageError)
