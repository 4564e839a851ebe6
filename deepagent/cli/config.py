"""`deepagent config`: the settings that count, and where each comes from."""

from __future__ import annotations

import json
import os
import re
from typing import Annotated, Any

import typer
import yaml
from rich.text import Text

from deepagent.cli.options import ConfigOption, ModelOption, SetOption, given_by_options
from deepagent.cli.terminal import plain, stdout
from deepagent.config import FILE, PLACES, effective
from deepagent.models.weights import cache_folder
from deepagent.resources import default_store
from deepagent.settings import DEFAULT, Key

app = typer.Typer(no_args_is_help=True)

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_COLUMN = 48


@app.callback()
def _group() -> None:
    """Settings."""


@app.command()
def show(
    config: ConfigOption = None,
    set_: SetOption = None,
    model: ModelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the settings that count, and where each comes from.

    Options count more than the environment, that more than the file, that more than defaults. A setting's variable is
    its name in capitals, with __ for each dot: DEEPAGENT_AGENT__LIMITS__ACTIONS=20. What is printed is a file of
    settings itself.

    Examples:
      deepagent config show
      deepagent config show --config mine.yaml --set agent.fold=null
      deepagent config show > mine.yaml
    """
    merged = effective(config, given_by_options(model, set_))
    rows = [(key, _struck(value), origin) for key, value, origin in merged.rows()]
    if as_json:
        settings = [{"name": ".".join(key), "value": value, "origin": origin} for key, value, origin in rows]
        typer.echo(json.dumps({"settings": settings, "places": _places()}, ensure_ascii=False))
        return
    for name, place in _places().items():
        stdout.print(plain(f"# {name}: {place['value']}  ({place['origin']})"), soft_wrap=True)
    above: Key = ()
    for key, value, origin in rows:
        for depth, part in enumerate(key[:-1]):
            if above[: depth + 1] != key[: depth + 1]:
                stdout.print(plain(f"{'  ' * depth}{part}:"))
        above = key
        stdout.print(_line(key, value, origin), soft_wrap=True)


def _line(key: Key, value: Any, origin: str) -> Text:
    dumped = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1 << 30)
    spelled = dumped.removesuffix("\n").removesuffix("\n...")  # YAML ends a value that stands alone with dots
    setting = f"{'  ' * (len(key) - 1)}{key[-1]}: {spelled}"
    line = plain(setting, "" if origin == DEFAULT else "bold")
    line.append_text(plain(f"{' ' * max(2, _COLUMN - len(setting))}# {origin}", "dim"))
    return line


def _places() -> dict[str, dict[str, str]]:
    """Where things are: no settings, since commands without settings need them too."""
    values = (os.environ.get(FILE, ""), str(default_store()), str(cache_folder()))
    return {
        variable.removeprefix("DEEPAGENT_").lower(): {
            "value": value, "origin": variable if os.environ.get(variable) else DEFAULT
        }
        for variable, value in zip(PLACES, values, strict=True)
        if value
    }  # fmt: skip


def _struck(value: Any) -> Any:
    """A value without credentials in URLs, where they do not belong but may have been written all the same."""
    if isinstance(value, str):
        return _CREDENTIALS.sub("[credential]@", value)
    if isinstance(value, dict):
        return {key: _struck(inner) for key, inner in value.items()}
    return [_struck(inner) for inner in value] if isinstance(value, list) else value
