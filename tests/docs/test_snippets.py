"""Every code block of README and docs. Python and console blocks are run, or say what they need in a comment above:

    <!-- needs: a model server -->

What needs something is read all the same: Python must compile, each `deepagent` command must parse, and each YAML block
must be valid settings.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
import yaml
from typer.core import TyperGroup

from deepagent.cli.main import app
from deepagent.config import RunConfig
from deepagent.settings import validate
from deepagent.toolsets.indexed import IndexConfig
from deepagent.toolsets.mcp import McpConfig
from deepagent.toolsets.openapi.toolset import OpenApiConfig
from deepagent.toolsets.research.config import ResearchConfig
from deepagent.toolsets.simulated import SimulatedConfig

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted(path for path in ROOT.glob("docs/**/*.md") if path.parent.name != "reference")]
SOURCES = {
    "openapi": OpenApiConfig,
    "index": IndexConfig,
    "mcp": McpConfig,
    "research": ResearchConfig,
    "simulated": SimulatedConfig,
}
COMMAND = re.compile(r"^(\$ )?([A-Z_]+=\S+ )*(deepagent|make|pip|python|curl|docker|apt-get|npm) ")
ELSEWHERE = {"plugins.md": "tests/test_plugins.py installs the whole example"}
SCRIPTED = """
import deepagent.models.embedded
from deepagent import ScriptedModel
deepagent.models.embedded.EmbeddedModel = lambda *args, **options: ScriptedModel(["Done.\\n<answer>125</answer>"] * 2)
"""
"""Put before a Python block: the embedded model is played, so that no weights are needed and nothing takes long."""


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str
    needs: str | None

    @property
    def commands(self) -> list[str]:
        """Command lines, continued ones in one; in a block with prompts only what follows one."""
        lines = re.sub(r"\\\n\s*", " ", self.text).splitlines()
        prompted = any(line.startswith("$ ") for line in lines)
        return [line.removeprefix("$ ") for line in lines if COMMAND.match(line) and (line[:2] == "$ " or not prompted)]

    @property
    def is_console(self) -> bool:
        return self.language in ("", "sh", "bash", "console") and bool(self.commands)


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^(?:<!-- needs: (.*?) -->\n)?```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start(2)) + 1
            found.append(Block(str(page.relative_to(ROOT)), line, match[2], match[3], match[1]))
    return found


BLOCKS = blocks()


def of(kind: str) -> list:
    chosen = [block for block in BLOCKS if (block.is_console if kind == "console" else block.language == kind)]
    return [pytest.param(block, id=f"{block.page}:{block.line}") for block in chosen]


@pytest.mark.parametrize("block", of("python"))
def test_python_runs_from_an_empty_folder(block, tmp_path):
    compile(block.text, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if block.needs is not None or Path(block.page).name in ELSEWHERE:
        return
    done = subprocess.run(
        [sys.executable, "-c", SCRIPTED + block.text], cwd=tmp_path, env=environment(tmp_path),
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", of("console"))
def test_a_console_block_runs_or_says_what_it_needs(block, tmp_path):
    if block.needs is not None or Path(block.page).name in ELSEWHERE:
        return
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    refused = "\nerror: " in f"\n{block.text}"
    for line in block.commands:
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=environment(tmp_path), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        hint = "\nIf it needs something that tests lack, write `<!-- needs: ... -->` above the block."
        assert (done.returncode != 0) == refused, f"{line}\n{done.stdout}{done.stderr}{hint}"
        if refused:
            assert done.stderr.strip() in block.text


@pytest.mark.parametrize("block", of("console"))
def test_every_command_in_a_console_block_is_one(block):
    for line in block.commands:
        words = re.sub(r"^([A-Z_]+=\S+ )*", "", re.sub(r"\s{2,}(?![-\s]).*| #.*", "", line))
        if words.startswith("deepagent ") and " | " not in words:
            parse(shlex.split(re.sub(r"[\[\]]", "", words))[1:])


@pytest.mark.parametrize("block", of("yaml"))
def test_yaml_is_valid_settings(block):
    settings = validate(yaml.safe_load(block.text), RunConfig, where=f"{block.page}:{block.line}")
    for source in settings.tools:
        if isinstance(source, dict):
            validate(source, SOURCES[source["kind"]], where=f"{block.page}:{block.line}")


def test_there_are_blocks_of_every_kind():
    assert min(len(of(kind)) for kind in ("python", "console", "yaml")) >= 4


def parse(words: list[str]) -> None:
    """Have the command line read words without doing what they say."""
    command, name, context = typer.main.get_command(app), "deepagent", None
    while True:
        context = command.make_context(name, words, parent=context)
        if not isinstance(command, TyperGroup):
            return
        left = [*context._protected_args, *context.args]
        name, command, words = command.resolve_command(context, left)


def environment(folder: Path) -> dict[str, str]:
    """No weights, no network, and a store of its own."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "DEEPAGENT_STORE": str(folder / "runs.sqlite"),
        "DEEPAGENT_CACHE": str(folder / "cache"),
    }
