"""Writes docs/reference from the code: public Python names, the help of every command, every setting, the examples."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import typing
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer.core import TyperGroup

import deepagent
from deepagent.cli.main import app
from deepagent.config import RunConfig
from deepagent.evaluation.plan import Baseline
from deepagent.models.config import EmbeddedConfig, HttpConfig, TransformersConfig, VllmConfig
from deepagent.toolsets.indexed import IndexConfig
from deepagent.toolsets.mcp import McpConfig
from deepagent.toolsets.openapi.toolset import OpenApiConfig
from deepagent.toolsets.research.config import ResearchConfig
from deepagent.toolsets.simulated import SimulatedConfig
from deepagent.training.recipe import Recipe

ROOT = Path(__file__).parent.parent
SEAMS = {
    "Models": ["deepagent.models.base.Model", "deepagent.models.base.Generated"],
    "Tools": ["deepagent.toolsets.base.Toolset", "deepagent.toolsets.base.Host", "deepagent.toolsets.base.Environment"],
    "Benchmarks": ["deepagent.evaluation.base.Benchmark", "deepagent.evaluation.base.BenchmarkTask"],
    "Search": ["deepagent.retrieval.ToolIndex", "deepagent.retrieval.Encoder"],
    "Errors": ["deepagent.errors"],
}
SETTINGS: dict[str, list[type[BaseModel]]] = {
    "A model's file": [HttpConfig, EmbeddedConfig, VllmConfig, TransformersConfig],
    "Tool sources": [OpenApiConfig, IndexConfig, McpConfig, ResearchConfig, SimulatedConfig],
    "A baseline's file": [Baseline],
    "A training recipe": [Recipe],
}
_WIDTH = 100
_SPELLED = {"openapi_catalogue": "OpenAPI catalogue", "toolpo": "ToolPO"}


def python() -> str:
    """The public names, and the protocols that other packages implement."""
    homes = deepagent._HOMES
    parts = ["# Python", "", "`from deepagent import ...`; each name is loaded when it is first used.", ""]
    parts += [f"::: deepagent.{homes[name]}.{name}\n" for name in deepagent.__all__]
    for title, names in SEAMS.items():
        parts += [f"## {title}", "", *(f"::: {name}\n" for name in names)]
    return "\n".join(parts)


def commands() -> str:
    """The help of every command, as it is printed."""
    root = typer.main.get_command(app)
    parts = [
        "# Command line",
        "",
        "What `--help` prints. `deepagent --install-completion` teaches them to your shell.",
        "",
    ]

    def add(command: Any, name: str, above: Any) -> None:
        context = command.context_class(
            command, info_name=name, parent=above, terminal_width=_WIDTH, max_content_width=_WIDTH
        )
        parts.extend([f"## {context.command_path}", "", "```text", command.get_help(context), "```", ""])
        for inner in command.list_commands(context) if isinstance(command, TyperGroup) else []:
            add(command.resolve_command(context, [inner])[1], inner, context)

    add(root, "deepagent", None)
    return "\n".join(parts)


def settings() -> str:
    """Every setting with its type, default and meaning."""
    parts = [
        "# Settings",
        "",
        "What a file of settings, `--set` and the environment can say ([how](../configuration.md)).",
        "",
    ]
    parts += ["## Of a run", "", *_table(RunConfig), ""]
    for title, models in SETTINGS.items():
        parts += [f"## {title}", ""]
        for model in models:
            kind = model.model_fields.get("kind")
            named = typing.get_args(kind.annotation)[0] if kind is not None else model.__name__
            parts += [f"### {named}", "", (model.__doc__ or "").split("\n")[0], "", *_table(model), ""]
    return "\n".join(parts)


def _table(model: type[BaseModel]) -> list[str]:
    return ["| setting | type | default | |", "|---|---|---|---|", *_rows(model, "")]


def _rows(model: type[BaseModel], at: str) -> list[str]:
    rows = []
    said = _said(model)
    for name, field in model.model_fields.items():
        default, place, meaning = field.get_default(call_default_factory=True), f"{at}{name}", _cell(said.get(name, ""))
        if isinstance(default, BaseModel):
            rows += [f"| **`{place}`** | | | {meaning} |", *_rows(type(default), f"{place}.")]
            continue
        shown = "required" if default is PydanticUndefined else f"`{default!r}`"
        rows.append(f"| `{place}` | {_type(field.annotation)} | {shown} | {meaning} |")
    return rows


def _type(annotation: object) -> str:
    """A type without the modules of its names."""
    named = isinstance(annotation, type) and not typing.get_args(annotation)
    text = annotation.__name__ if named else str(annotation).replace("NoneType", "None")
    return f"`{re.sub(r'([A-Za-z_]+[.])+(?=[A-Za-z_])', '', text)}`"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _said(model: type[BaseModel]) -> dict[str, str]:
    """What stands under each field, those of base classes included."""
    said: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not kind.__module__.startswith("deepagent"):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body
        for field, text in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                said[field.target.id] = text.value.value
    return said


def examples() -> str:
    """Every file of `examples`: what it says of itself, and its code."""
    parts = ["# Examples", "", "Each is one file in `examples/`, and is run by the tests.", ""]
    for path in sorted((ROOT / "examples").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        title = _SPELLED.get(path.stem) or path.stem.replace("_", " ").capitalize()
        _, about, code = (part.strip("\n") for part in text.split('"""', 2))
        parts += [f"## {title}", "", about, "", f'??? example "{path.name}"', ""]
        parts += [*textwrap.indent(f"```python\n{code}\n```", "    ").split("\n"), ""]
    return "\n".join(parts)


def main() -> None:
    """Write the pages."""
    folder = ROOT / "docs" / "reference"
    folder.mkdir(exist_ok=True)
    pages = {"python": python, "cli": commands, "settings": settings, "examples": examples}
    for name, text in ((name, write()) for name, write in pages.items()):
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
