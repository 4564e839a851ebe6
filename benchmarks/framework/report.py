"""What was measured, as a table and as JSON."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.framework.measure import Cell
from benchmarks.framework.passes import Measured
from benchmarks.framework.roster import HTTPX, OURS, SHARDED, STREAMED, Client
from benchmarks.framework.script import STEPS

CPU_TARGET = 2.0
"""deepagent's CPU time per step is at most so many times that of a raw loop on httpx."""
SPEED_TARGET = 0.8
"""Many runs at once make at least this share of the steps that raw loops on sharded clients make."""


def show(measured: Measured, clients: Sequence[Client], runs: dict[int, int]) -> None:
    """Print the table and the ratios."""
    console = Console(width=None if Console().is_terminal else 150)
    count = len(measured.passes)
    passes = "one pass" if count == 1 else f"median of {count} passes [min-max]"
    console.print(f"{machine()}\n{STEPS} steps a run; {passes}")
    for concurrency, count in runs.items():
        console.print(_table(measured, clients, concurrency, count))
    console.print(_ratios(measured, runs))


def record(measured: Measured, clients: Sequence[Client], runs: dict[int, int]) -> dict[str, Any]:
    """Everything that was measured, pass by pass, for a file."""
    return {
        "machine": machine(),
        "steps": STEPS,
        "cells": [
            {
                "client": client.name,
                "concurrency": concurrency,
                "runs": count,
                "passes": [asdict(cell) for cell in measured.cells(client, concurrency)],
            }
            for concurrency, count in runs.items()
            for client in clients
        ],
        "ratios": [{"what": what, "passes": values} for what, values, _ in _compared(measured, runs)],
    }


def machine() -> str:
    """What was measured on."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = f"{len(models)} x {models[0].partition(':')[2].strip()}" if models else platform.machine()
    return f"{cpu}, Python {platform.python_version()}, deepagent {version('deepagent')}"


def _table(measured: Measured, clients: Sequence[Client], concurrency: int, count: int) -> Table:
    table = Table(title=f"{concurrency} runs at a time, {count} in all", title_justify="left")
    table.add_column("client")
    for column in ("CPU ms/step", "steps/s", "overhead ms/step", "server ms/step", "kB/run", "connections", "RSS MiB"):
        table.add_column(column, justify="right")
    for client in clients:
        cells = measured.cells(client, concurrency)
        table.add_row(
            client.name,
            _spread([cell.cpu_ms for cell in cells], ".2f"),
            _spread([cell.steps_per_second for cell in cells], ".0f"),
            _spread([cell.overhead_ms for cell in cells], ".2f"),
            f"{statistics.median(cell.server_ms for cell in cells):.2f}",
            f"{statistics.median(cell.request_bytes for cell in cells) / 1000:.0f}",
            f"{statistics.median(cell.connections for cell in cells):.1f}",
            f"{_middle(cells, 'rss_import'):.0f} > {_middle(cells, 'rss_peak'):.0f}",
            style="bold" if client is OURS else None,
        )
    return table


def _ratios(measured: Measured, runs: dict[int, int]) -> Table:
    table = Table(title="deepagent beside raw loops of the same pass", title_justify="left")
    table.add_column("ratio")
    table.add_column("measured", justify="right")
    table.add_column("target", justify="right")
    for what, values, target in _compared(measured, runs):
        table.add_row(what, _spread(values, ".2f"), target)
    return table


def _compared(measured: Measured, runs: dict[int, int]) -> list[tuple[str, list[float], str]]:
    """Each ratio in words, pass by pass, and its target; a loop that streams on aiohttp is the floor, not a target."""
    found = []
    for theirs, target in ((HTTPX, f"<= {CPU_TARGET}"), (STREAMED, "")):
        for concurrency in runs:
            values = measured.ratios("cpu_ms", OURS, theirs, concurrency)
            found.append((f"CPU per step / {theirs.name}, {concurrency} runs at a time", values, target))
    most = max(runs)
    speed = measured.ratios("steps_per_second", OURS, SHARDED, most)
    return [*found, (f"steps/s / {SHARDED.name}, {most} runs at a time", speed, f">= {SPEED_TARGET}")]


def _middle(cells: Sequence[Cell], value: str) -> float:
    return float(statistics.median(getattr(cell, value) for cell in cells))


def _spread(values: Sequence[float], form: str) -> str:
    middle = f"{statistics.median(values):{form}}"
    return middle if len(values) == 1 else f"{middle} [{min(values):{form}}-{max(values):{form}}]"
