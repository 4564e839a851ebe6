"""Makes the pictures in docs/images: list, run, fold and comparison, as chromium shows them.

The runs are the real agent's, with real searches, calls, code and folds; their model is scripted, so that the pictures
can be made again. Run by `make screenshots`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from deepagent import Agent, AgentConfig, ScriptedModel
from deepagent.errors import ModelReplyError
from deepagent.runs.store import RunStore
from deepagent.viewer.server import Server

ORDERS = {"Ada": [40, 85, 19], "Grace": [310, 12], "Edsger": [99, 99, 99, 20], "Barbara": [250]}
TASK = "Which customer spent most in 2025, and by how much more than the second? Check the refunds too."


def list_customers(year: int) -> list[str]:
    """All customers who ordered something in a year."""
    return list(ORDERS)


def list_orders(customer: str, year: int) -> list[dict[str, Any]]:
    """Orders of one customer in a year: number and price in USD."""
    return [{"order": 1000 + n, "price": price} for n, price in enumerate(ORDERS[customer])]


def get_refund(order: int) -> float:
    """What was paid back for an order, in USD."""
    return 60.0 if order == 1000 else 0.0


def get_weather(city: str) -> str:
    """Weather of a city today."""
    return "rain"


def send_invoice(customer: str, amount: float) -> str:
    """Sends an invoice to a customer."""
    return "sent"


def convert_currency(amount: float, to: str) -> float:
    """Converts US dollars to another currency."""
    return amount * 0.9


def find_warehouse(sku: str) -> str:
    """The warehouse that keeps an article."""
    return "north"


def call(thought: str, name: str, **arguments: Any) -> str:
    """A call as a model writes it."""
    return f"{thought}\n<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def execute(thought: str, code: str) -> str:
    """Code as a model writes it."""
    return f"{thought}\n<execute>\n{code}\n</execute>"


SUMS = """totals = {}
for customer in list_customers(year=2025):
    orders = list_orders(customer=customer, year=2025)
    totals[customer] = sum(order["price"] for order in orders)
for customer, total in sorted(totals.items(), key=lambda item: -item[1]):
    print(f"{customer:<8} {total:>5}")"""
REFUNDS = """paid_back = {}
for customer in totals:
    orders = list_orders(customer=customer, year=2025)
    paid_back[customer] = sum(get_refund(order=order["order"]) for order in orders[:1])
print({customer: totals[customer] - paid_back[customer] for customer in totals})"""
SCRIPT = [
    "I need the customers first; a tool may list them.\n<tool_search>list all customers of a year</tool_search>",
    call("The first one fits. I ask for 2025.", "list_customers", year=2025),
    call("Four customers. I try the orders of one, to see their shape.", "list_orders", customer="Ada"),
    call("The year was missing.", "list_orders", customer="Ada", year=2025),
    execute("Every order has a price, so code can add them up for all customers at once.", SUMS),
    "Edsger leads by little. Before I look at refunds, I fold what I know.\n<fold_thought>",
    "Now the refunds.\n<tool_search>refund of an order</tool_search>",
    execute("I subtract what was paid back.", REFUNDS),
    "That settles it; I fold once more before I answer.\n<fold_thought>",
    "Everybody's first order was partly paid back.\n<answer>Grace: 262 USD, 5 more than Edsger.</answer>",
]
SHORT = [
    *SCRIPT[:2],
    execute("Code can add them up at once.", SUMS),
    "<answer>Grace, with 322 USD.</answer>",
]
PRIMES = "print(sum(n for n in range(2, 100) if all(n % d for d in range(2, n))))"
STORIES = [
    ("What is the sum of the primes below 100?", [execute("I compute it.", PRIMES), "<answer>1060</answer>"]),
    ("Which city has the best weather today?", [call("I ask.", "get_weather", city="Lisbon")]),
    (TASK, SHORT),
    (TASK, SCRIPT),
]
MEMORIES = [
    {
        "progress": "Totals are known: Grace 322, Edsger 317, Barbara 250, Ada 144",
        "goal": "Find what was paid back to each customer",
        "challenge": "No tool for refunds is known yet",
        "events": [
            ("2", "list_customers(2025)", "four customers"),
            ("5", "added up all orders", "Grace leads, 322 USD"),
        ],
        "rules": ["Always give the year"],
    },
    {
        "progress": "Totals without refunds are known: Grace 262, Edsger 257, Barbara 190, Ada 84",
        "goal": "Answer",
        "challenge": "",
        "events": [
            ("5", "added up all orders", "Grace leads, 322 USD"),
            ("8", "subtracted refunds", "Grace still leads"),
        ],
        "rules": ["Always give the year", "Refunds are asked for by order, not by customer"],
    },
]


class Folder:
    """Writes the memories of the folds, in order."""

    def __init__(self) -> None:
        self._answered = 0

    def __call__(self, messages: Any, schema: Any) -> str:
        """The memory that the schema asks for."""
        said = MEMORIES[min(self._answered // 3, len(MEMORIES) - 1)]
        self._answered += 1
        text = json.dumps(schema)
        if "key_events" in text:
            events = [dict(zip(("step", "description", "outcome"), one, strict=True)) for one in said["events"]]
            found: Any = {"task_description": TASK[:150], "key_events": events, "current_progress": said["progress"]}
        elif "immediate_goal" in text:
            action = {"type": "tool_call", "description": "ask for refunds by order"}
            found = {"immediate_goal": said["goal"], "current_challenges": said["challenge"], "next_actions": [action]}
        else:
            tool = {
                "tool_name": "list_orders",
                "response_pattern": "a list of order and price",
                "experience": "needs the year",
            }
            found = {"tools_used": [tool], "derived_rules": said["rules"]}
        return json.dumps(found)


async def record(path: Path) -> tuple[str, str]:
    """Run the stories; the ids of the long one and of the short one."""
    tools = [list_customers, list_orders, get_refund, get_weather, send_invoice, convert_currency, find_warehouse]
    config = AgentConfig(encoder="hash", found=3)
    ids = []
    with RunStore(path) as store:
        for task, script in STORIES:
            model = ScriptedModel(script, context=8192, chat_replies=Folder())
            agent = Agent(model, tools, config=config, store=store)
            with suppress(ModelReplyError):  # a script that ends early is a failed run
                ids.append((await agent.run(task)).id)
    return ids[-1], ids[-2]


def main() -> None:
    """Record, serve, and take the pictures."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.sqlite"
        long, short = asyncio.run(record(path))
        server = Server(path)
        threading.Thread(target=server.run, daemon=True).start()
        shots = [
            ("list", "", 1200, 640, "light", None),
            ("run", f"runs/{long}", 1200, 1250, "light", None),
            ("fold", f"runs/{long}#fold-2", 1200, 800, "dark", "#fold-2"),
            ("compare", f"compare?run={short}&run={long}", 1200, 1000, "light", None),
            ("phone", f"runs/{long}", 390, 844, "dark", None),
        ]
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            for name, address, width, height, scheme, part in shots:
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                page.set_default_timeout(120_000)
                page.goto(server.url + address)
                page.wait_for_load_state("networkidle")
                target = out / f"{name}.png"
                (page.locator(part) if part else page).screenshot(path=target, animations="disabled")
                shot = Image.open(target).convert("RGB")
                shot.quantize(256, method=Image.Quantize.FASTOCTREE).save(target, optimize=True)
                print(f"{target}  {target.stat().st_size // 1024} kB")  # noqa: T201
            browser.close()


if __name__ == "__main__":
    main()
