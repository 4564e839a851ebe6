import json
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from deepagent.retrieval import HashEncoder, ToolIndex
from deepagent.toolsets.base import Host
from deepagent.toolsets.sources import expand, read_sources

CODE = '''
from deepagent import tool

@tool(effect="pure")
def double(x: int) -> int:
    """Twice a number."""
    return 2 * x

@tool(effect="unsafe")
def launch(where: str) -> str:
    """Launch a rocket."""
    return f"launched to {where}"

@tool(effect="pure")
def broken() -> str:
    """Always fails."""
    raise ValueError("no luck")
'''
SHOP = {"id": "shop::orders", "name": "list_orders", "toolset": "shop", "description": "Orders of one customer."}


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """An index of two sources: a catalogue, and a Python file whose tools can be called."""
    (tmp_path / "shop.jsonl").write_text(json.dumps(SHOP))
    (tmp_path / "mine.py").write_text(CODE)
    sources = expand([str(tmp_path / "shop.jsonl"), str(tmp_path / "mine.py")])
    entries = [entry async for entry in read_sources(sources, Host())]
    ToolIndex.build(entries, HashEncoder()).save(tmp_path / "index")
    return tmp_path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from deepagent.cli.main import main; main()", "serve", "tools", *map(str, arguments)]


@pytest.fixture
def service(folder: Path) -> Iterator[tuple[str, "Popen[str]"]]:
    """A real server process over the index, and its URL."""
    process = Popen(
        command(folder / "index", "--port", 0, "--call", folder / "mine.py"), stdout=PIPE, stderr=PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().split(" at ")[1].split()[0]
    try:
        yield url, process
    finally:
        process.kill()
        process.communicate()
