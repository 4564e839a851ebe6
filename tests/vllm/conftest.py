"""A real vLLM server on this machine's CPU, on the weights that `scripts/vllm_cpu.sh` makes."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / ".venv-vllm" / "weights" / "qwen2.5-coder-0.5b"
BLOCK = 32
"""Tokens of one cache block."""
CONTEXT = 8192
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))),
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
}
_THINKS = "{%- if message.reasoning %}{{- '\\n<think>' + message.reasoning + '</think>' }}{%- endif %}"
_START_SECONDS = 400


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    why = None
    if importlib.util.find_spec("vllm") is None:
        why = "vLLM is not installed here: `make test-vllm` runs these tests in an environment that has it"
    elif not WEIGHTS.is_dir():
        why = "the weights for vLLM are not here: `make test-vllm` makes them"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))
            if why:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's template, made to keep reasoning as templates of reasoning models do."""
    text = (WEIGHTS / "chat_template.jinja").read_text()
    opening = "{{- '<|im_start|>' + message.role }}"
    assert opening in text
    file = tmp_path_factory.mktemp("template") / "template.jinja"
    file.write_text(text.replace(opening, opening + _THINKS))
    return file


@pytest.fixture(scope="session")
def url(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of a server that runs while the tests do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "log"
    command = [
        str(Path(sys.executable).parent / "vllm"), "serve", str(WEIGHTS), "--served-model-name", "qwen",
        "--host", "127.0.0.1", "--port", str(port), "--dtype", "bfloat16", "--max-model-len", str(CONTEXT),
        "--max-num-seqs", "8", "--max-num-batched-tokens", str(CONTEXT), "--block-size", str(BLOCK), "--enforce-eager",
        "--enable-prefix-caching", "--enable-prompt-tokens-details", "--enable-auto-tool-choice",
        "--tool-call-parser", "hermes", "--max-logprobs", "5", "--chat-template", str(template),
        "--enable-lora", "--max-lora-rank", "8", "--logprobs-mode", "processed_logprobs",
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | ENVIRONMENT, start_new_session=True
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(health: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"vLLM ended while it started:\n{log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(health, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.5)  # nothing to wait on but the port
    pytest.fail(f"vLLM did not start in {_START_SECONDS} s:\n{log.read_text()[-3000:]}")
