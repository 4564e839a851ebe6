"""`deepagent doctor`: what works on this machine, and what a model's server can do."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import platform
import sys
from collections.abc import Collection, Iterator
from typing import Annotated, Literal

import typer
from rich.table import Table

from deepagent import plugins
from deepagent.actions import Frozen
from deepagent.cli.terminal import plain, say_table
from deepagent.errors import DeepAgentError, UsageError
from deepagent.evaluation.registry import BUILT_IN
from deepagent.models import open_model, weights
from deepagent.models.capabilities import examine
from deepagent.models.http import HttpModel
from deepagent.models.resolve import SCHEMES, configs
from deepagent.resources import default_store
from deepagent.retrieval.choice import ENCODERS
from deepagent.runs.store import RunStore
from deepagent.sandbox.proof import TOGETHER, prove
from deepagent.toolsets import resolve

_EXTRAS = {
    "embedded": ("xllamacpp",),
    "view": ("starlette", "uvicorn", "jinja2", "pygments"),
    "serve": ("mcp", "starlette", "uvicorn"),
    "mcp": ("mcp",),
    "research": ("trafilatura",),
    "benchmarks": ("rapidfuzz", "starlette", "uvicorn"),
    "alfworld": ("alfworld",),
    "train": ("trl",),
    "vllm": ("vllm",),
    "ray": ("ray",),
    "otel": ("opentelemetry",),
}
"""What users may install besides, each with the modules that show it."""
_OURS: dict[plugins.Kind, Collection[str]] = {
    "toolsets": list(resolve.KINDS),
    "benchmarks": list(BUILT_IN),
    "models": [*SCHEMES, *configs()],
    "encoders": ENCODERS,
}
_MEANS = {
    "stream": "takes and reports token ids: a run is one continuing stream",
    "functions": "takes functions with messages (`dialect: native`, `api: chat`)",
    "schemas": "holds answers to a JSON Schema: folding relies on it",
    "grammar": "holds the inside of actions to a grammar",
    "logprobs": "reports the probability of each token: training needs it",
    "cache": "reports what came from its prefix cache",
    "reasoning": "earlier reasoning is part of later prompts",
}
_COLOURS = {"ok": "green", "no": "dim", "broken": "red"}


class Finding(Frozen):
    """One thing that was looked at.

    Attributes:
        state: `ok`; `no` for what is merely absent; `broken` for what should work and does not.
        said: what was found, or what to do about it.
    """

    part: str
    name: str
    state: Literal["ok", "no", "broken"]
    said: str = ""


def doctor(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Also try out a model and what its server can do.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at this machine: what is installed, and whether it works.

    Python, extras, plugins, the sandbox (attacked), weights, the run store. Exit code 1: something is broken.

    Examples:
      deepagent doctor
      deepagent doctor -m http://127.0.0.1:8000/v1
    """
    findings = [*_installed(), *_plugins(), *asyncio.run(_sandbox()), *_weights(), _store()]
    if model is not None:
        findings += asyncio.run(_model(model))
    if as_json:
        typer.echo(json.dumps([finding.model_dump() for finding in findings]))
    else:
        say_table(_table(findings))
    raise typer.Exit(1 if any(finding.state == "broken" for finding in findings) else 0)


def _installed() -> Iterator[Finding]:
    yield Finding(part="python", name=platform.python_version(), state="ok", said=sys.platform)
    for extra, modules in _EXTRAS.items():
        here = all(importlib.util.find_spec(module) is not None for module in modules)
        said = "" if here else f"pip install 'deepagent[{extra}]'"
        yield Finding(part="extra", name=extra, state="ok" if here else "no", said=said)


def _plugins() -> Iterator[Finding]:
    """What other packages bring: each is loaded, to see whether it can be."""
    for plugin in plugins.installed():
        state, said = "ok", plugin.package
        try:
            if plugin.name in _OURS[plugin.kind]:
                raise UsageError(f"{plugin} is never used: the name is built in; have it renamed")
            plugins.find(plugin.kind, plugin.name)
            plugin.load()
        except UsageError as error:
            state, said = "broken", str(error)
        yield Finding(part="plugin", name=f"{plugin.name} ({plugin.kind})", state=state, said=said)


async def _sandbox() -> list[Finding]:
    """The walls, proved by attacks on them."""
    try:
        proofs = await prove()
    except DeepAgentError as error:
        return [Finding(part="sandbox", name="code can be confined", state="broken", said=str(error))]
    return [
        Finding(
            part="sandbox",
            name=proof.name,
            state="ok" if proof.held else "no" if proof.name == TOGETHER else "broken",
            said=proof.happened if proof.held else "; ".join(filter(None, (proof.happened, proof.remedy))),
        )
        for proof in proofs
    ]


def _weights() -> Iterator[Finding]:
    for name, entry in weights.catalogue().items():
        here = weights.here(entry)
        said = "" if here else f"deepagent models pull {name}"
        yield Finding(part="weights", name=name, state="ok" if here else "no", said=said)


def _store() -> Finding:
    path = default_store()
    try:
        with RunStore(path) as store:
            store.runs(limit=1)
    except DeepAgentError as error:
        return Finding(part="runs", name="store", state="broken", said=str(error))
    return Finding(part="runs", name="store", state="ok", said=str(path))


async def _model(name: str) -> list[Finding]:
    try:
        async with open_model(name) as model:
            opened = Finding(part="model", name=model.name, state="ok", said=f"window of {model.context} tokens")
            if not isinstance(model, HttpModel):
                return [opened]
            found = (await examine(model)).model_dump(exclude={"model", "context"})
    except DeepAgentError as error:
        return [Finding(part="model", name=name, state="broken", said=str(error))]
    return [opened, *(_capability(key, value) for key, value in found.items())]


def _capability(key: str, value: object) -> Finding:
    if value is None:
        return Finding(part="server", name=key, state="no", said="cannot be told")
    if isinstance(value, bool):
        return Finding(part="server", name=key, state="ok" if value else "no", said=_MEANS[key])
    if isinstance(value, tuple):
        return Finding(part="server", name=key, state="no" if value else "ok", said=", ".join(value) or "nothing")
    said = f"{value:.1%} of all prompt tokens" if isinstance(value, float) else str(value)
    return Finding(part="server", name=key, state="ok", said=said)


def _table(findings: list[Finding]) -> Table:
    table = Table("part", "what", "", "", box=None, show_header=False)
    part = ""
    for finding in findings:
        mark = plain(finding.state, _COLOURS[finding.state])
        said = "" if finding.part == "sandbox" and finding.state == "ok" else finding.said  # one attack is like another
        table.add_row("" if finding.part == part else finding.part, plain(finding.name), mark, plain(said))
        part = finding.part
    return table
