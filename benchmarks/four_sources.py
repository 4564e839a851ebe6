"""One task, four kinds of tools: a function, an operation of a live OpenAPI server, a tool of an MCP server, a file.

None of them is in the prompt: each must be found by search, among the other tools of the same sources, and of others.

    python -m benchmarks.four_sources --attempts 5        with the embedded model
    python -m benchmarks.four_sources --others toolhop    among 235 tools more
    python -m benchmarks.four_sources --no-code           with search and calls alone
    python -m benchmarks.four_sources --model NAME        with another model

It prints, for each attempt, which of the four were called with success, and whether the answer is right.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import openpyxl
from fastapi import FastAPI, HTTPException

from deepagent import Agent, AgentConfig, Limits, RunStore, Sampling, tool
from deepagent.actions import Call
from deepagent.retrieval.choice import TUNED
from deepagent.runs.events import Event, Intended, Observed, ToolCalled, ToolReturned
from tests.toolsets.servers import serving

TASK = """\
Find four numbers, each with a tool of its own. A number that no tool gave is wrong. For each question: search for a \
tool, call it, then go on to the next question.
1. How many pupils are in class 7b?
2. What is the price of a ticket for the exhibition "space" of the museum?
3. What is the bus fare for all these pupils?
4. Read the file lunch.xlsx: what is the amount for lunch?
Only when all four are known, answer with the four numbers in this order, with commas between them."""
ANSWER = "24, 7, 96, 58"
WANTED = ("pupils_in_class", "ticket_price", "bus_fare", "read_file")
"""The tools that the four questions need."""

_MCP_SERVER = '''
from mcp.server import MCPServer

server = MCPServer("buses")


@server.tool()
def bus_fare(passengers: int) -> int:
    """The fare of the school bus to the museum, in euros, for a number of passengers."""
    return 4 * passengers


@server.tool()
def bus_departures(day: str) -> list[str]:
    """When buses leave on a day."""
    return ["8:15", "9:40"]


server.run(transport="stdio")
'''


@tool(effect="pure", toolset="school")
def pupils_in_class(school_class: str) -> int:
    """How many pupils a class of the school has.

    Args:
        school_class: such as 5a.
    """
    return {"7a": 27, "7b": 24}[school_class.lower()]


@tool(effect="pure", toolset="school")
def teacher_of_class(school_class: str) -> str:
    """Who teaches a class of the school.

    Args:
        school_class: such as 5a.
    """
    return {"7a": "Ms Ode", "7b": "Mr Lund"}[school_class.lower()]


def museum() -> FastAPI:
    """The museum's server."""
    app = FastAPI(title="museum")

    @app.get("/tickets/{exhibition}", operation_id="ticket_price")
    async def ticket_price(exhibition: str) -> dict[str, Any]:
        """Price of a ticket for an exhibition of the museum, in euros."""
        if exhibition.lower() != "space":
            raise HTTPException(404, f"there is no exhibition {exhibition!r}; there is space")
        return {"exhibition": "space", "price": 7}

    @app.get("/hours", operation_id="opening_hours")
    async def opening_hours(day: str) -> dict[str, str]:
        """When the museum is open on a day of the week."""
        return {"day": day, "open": "9:00", "closed": "17:00"}

    return app


@contextmanager
def sources(folder: Path) -> Iterator[list[Any]]:
    """The tool sources, with the servers behind them; the file is made in the folder."""
    book = openpyxl.Workbook()
    book.active.append(["item", "amount in euros"])
    book.active.append(["lunch", 58])
    book.save(folder / "lunch.xlsx")
    (folder / "buses.py").write_text(_MCP_SERVER)
    with serving(museum()) as url:
        with urlopen(f"{url}/openapi.json") as response:
            (folder / "museum.json").write_bytes(response.read())
        yield [
            pupils_in_class,
            teacher_of_class,
            {"kind": "openapi", "document": str(folder / "museum.json"), "server": url},
            {"kind": "mcp", "command": [sys.executable, str(folder / "buses.py")]},
            "research",
        ]


def used(events: Sequence[Event]) -> set[str]:
    """Which of the wanted tools were called with success after a search had found them, by the model or its code."""
    found: set[str] = set()
    done: set[str] = set()
    actions = {event.step: event.action for event in events if isinstance(event, Intended)}
    called = {(event.step, event.call): event.name for event in events if isinstance(event, ToolCalled)}
    for event in events:
        if isinstance(event, Observed):
            action = actions.get(event.step)
            if isinstance(action, Call) and event.observation.ok and action.name in found:
                done.add(action.name)
            found |= {one.name for one in event.observation.found}
        elif isinstance(event, ToolReturned):
            name = called[event.step, event.call]
            if name == "search_tools":  # how code searches
                found |= {wanted for wanted in WANTED if f"{wanted}(" in event.result}
            elif event.error is None and name in found:
                done.add(name)
    return done & set(WANTED)


async def attempt(
    model: Any,
    folder: Path,
    seed: int,
    *,
    others: Sequence[str] = (),
    code: bool = True,
    encoder: str = TUNED,
) -> dict[str, Any]:
    """One run; what it used and answered.

    Args:
        model: who works.
        folder: where files and runs are kept.
        seed: 0 is greedy, others are sampled.
        others: further sources, to search among.
        code: whether it may run Python.
        encoder: what tools are searched by.
    """
    config = AgentConfig(
        cards=0,
        found=3,
        encoder=encoder,
        execute=code,
        limits=Limits(actions=30),
        sampling=Sampling(temperature=0.3 if seed else 0.0, seed=seed, max_tokens=512),
    )
    with sources(folder) as tools, RunStore(folder / "runs.sqlite") as store:
        agent = Agent(model, [*tools, *others], config=config, store=store)
        run = await agent.run(TASK, attachments=[folder / "lunch.xlsx"])
        events = [recorded.event for recorded in store.events(run.id)]
    answer = (run.answer or "").strip()
    done = used(events)
    return {
        "used": sorted(done, key=WANTED.index),
        "all four": len(done) == len(WANTED),
        "answer": answer[:80],
        "right": re.findall(r"\d+(?:\.\d+)?", answer) == ANSWER.split(", "),
        "status": run.status,
        "steps": run.steps,
        "seconds": round(run.seconds),
    }


def main() -> None:
    """Attempts, one line each, and how many succeeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--attempts", type=int, default=5)
    parser.add_argument("--others", action="append", default=[], help="further source of tools, such as toolhop")
    parser.add_argument("--no-code", dest="code", action="store_false", help="only search and call, no Python")
    parser.add_argument("--keep", type=Path, help="folder in which the runs are kept")
    given = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for seed in range(given.attempts):
            results.append(asyncio.run(attempt(given.model, folder, seed, others=given.others, code=given.code)))
            print(json.dumps({"seed": seed, **results[-1]}), flush=True)
    print(
        f"{len(results)} attempts: {sum(one['all four'] for one in results)} used all four tools, "
        f"{sum(one['right'] for one in results)} answered right, "
        f"{sum(one['all four'] and one['right'] for one in results)} did both"
    )


if __name__ == "__main__":
    main()
