from pathlib import Path

import pytest

from deepagent.errors import ConfigError, UsageError
from deepagent.models import open_model
from deepagent.models.embedded import EmbeddedModel
from deepagent.models.http import HttpModel
from deepagent.models.resolve import CONFIGS, read_config


@pytest.mark.parametrize(
    ("spec", "kind", "name"),
    [
        ("embedded", EmbeddedModel, "qwen2.5-coder-1.5b"),
        ("embedded:smollm2-135m", EmbeddedModel, "smollm2-135m"),
        ("embedded:/models/own-7.5b.gguf", EmbeddedModel, "own-7.5b"),
        ("http://127.0.0.1:8000/v1#Qwen/Qwen3-8B", HttpModel, "Qwen/Qwen3-8B"),
        ("https://example.com/v1", HttpModel, "https://example.com"),
        ("embedded-tiny", EmbeddedModel, "smollm2-135m"),
        (str(CONFIGS / "local.yaml"), HttpModel, "http://127.0.0.1:8000"),
    ],
)
def test_a_word_names_a_model(spec: str, kind: type, name: str):
    model = open_model(spec)
    assert isinstance(model, kind)
    assert model.name == name


def test_an_unknown_word_is_answered_with_what_there_is():
    with pytest.raises(UsageError, match="one of embedded, embedded-4k, embedded-tiny, hosted, local"):
        open_model("gpt-17")


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_config_is_valid(file: Path):
    read_config(str(file))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kind: http\nurl: http://h/v1\ntimeuot: 3", "unknown key 'timeuot'; did you mean 'timeout'"),
        ("kind: embedded\ncontext: 3", "context"),
        ("kind: embedded\nthreads: many", "threads"),
        ("kind: oracle", "kind"),
        ("kind: http", "url"),
        ("- a list", "dictionary"),
        ("kind: [", "not YAML"),
        ("!!python/object/apply:os.getcwd []", "not YAML"),
    ],
)
def test_a_wrong_config_says_what_is_wrong(tmp_path: Path, text: str, problem: str):
    file = tmp_path / "model.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        open_model(str(file))


def test_a_key_is_read_from_a_file_and_never_from_the_config(tmp_path: Path):
    (tmp_path / "key").write_text("sesame\n")
    file = tmp_path / "model.yaml"
    file.write_text(f"kind: http\nurl: http://127.0.0.1:1/v1\napi_key: {{file: {tmp_path / 'key'}}}")
    assert "sesame" not in repr(open_model(str(file)))
    file.write_text("kind: http\nurl: http://127.0.0.1:1/v1\napi_key: sesame")
    with pytest.raises(ConfigError, match=r"api_key: .*never written down: name its place") as refused:
        open_model(str(file))
    assert "sesame" not in str(refused.value)


def test_the_key_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "model.yaml"
    file.write_text("kind: http\nurl: http://127.0.0.1:1/v1\nmodel: m\napi_key: {env: SOME_KEY}")
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(UsageError, match="the environment variable SOME_KEY is empty"):
        open_model(str(file))
    monkeypatch.setenv("SOME_KEY", "ses\name")
    with pytest.raises(UsageError, match="line breaks"):
        open_model(str(file))
    monkeypatch.setenv("SOME_KEY", "sesame")
    assert "sesame" not in repr(open_model(str(file)))
