"""A small model that is led through a plan.

Half a billion parameters cannot be relied on to search, call, compute and fold when they should. So the server's own
grammar holds each reply to a pattern: the requests, tokens, stops, caches and templates are all real.
"""

from __future__ import annotations

from typing import Any, Literal

from deepagent import AgentConfig, FoldConfig, Limits, tool
from deepagent.models import Generated, Sampling
from deepagent.models.http import HttpModel
from deepagent.transcript import Window

CONFIG = AgentConfig(
    encoder="hash", cards=1, limits=Limits(actions=12), sampling=Sampling(max_tokens=200), fold=FoldConfig(shrink=0.9)
)
SKU = Literal["lamp", "chair"]


@tool(effect="pure")
def price(sku: SKU) -> dict[str, Any]:
    """Price of an article in USD."""
    remark = "The price was checked by hand this morning and holds until the end of the month, tax included. " * 2
    return {"sku": sku, "price": {"lamp": 40, "chair": 85}[sku], "remark": remark}


@tool(effect="pure")
def stock(sku: SKU) -> int:
    """Pieces of an article in the warehouse."""
    return {"lamp": 3, "chair": 9}[sku]


_CALL = r'I look\.\n<tool_call>\{"name": "price", "arguments": \{"sku": "(lamp|chair)"\}\}</tool_call>'
IN_TAGS = (
    r"I search\.\n<tool_search>(price|cost) of an? [a-z]{3,9}</tool_search>",
    _CALL,
    r"I compute\.\n<execute>\nprint\(price\(sku=\"lamp\"\)\[\"price\"\] (\+|\*) [0-9]{2}\)\n</execute>",
    r'<tool_call>\{"name": "stock", "arguments": \{"sku": "(lamp|chair)"\}\}</tool_call>',
    r"I fold\.\n<fold_thought>",
    _CALL,
    r"I know\.\n<answer>[0-9]{1,3}</answer>",
)
NATIVE = ("tool_search", "tool_call", "execute", "tool_call", "fold_thought", "tool_call", None)
"""The function that each reply calls; None answers."""
ARGUMENTS = {
    "tool_search": {"query": {"enum": ["price of a lamp", "cost of a chair"]}},
    "tool_call": {
        "name": {"enum": ["price", "stock"]},
        "arguments": {
            "type": "object",
            "properties": {"sku": {"enum": ["lamp", "chair"]}},
            "required": ["sku"],
            "additionalProperties": False,
        },
    },
    "execute": {"code": {"enum": ["print(price(sku='lamp')['price'])", "print(price(sku='chair')['price'] + 1)"]}},
}
"""What the arguments of each function are held to."""


class SteeredModel(HttpModel):
    """A model whose n-th reply is held to the n-th step of a plan.

    Attributes:
        requests: the bodies that were sent.
        prompts: the prompt's token ids of each request, as the server reports them.
    """

    def __init__(self, url: str, plan: tuple[str | None, ...], **options: Any) -> None:
        super().__init__(url, **options)
        self.plan = list(plan)
        self.requests: list[dict[str, Any]] = []
        self.prompts: list[list[int]] = []

    async def generate(self, window: Window, sampling: Sampling, **options: Any) -> Generated:
        step = self.plan.pop(0)
        server = self._opened
        ask, read = type(server).request, type(server).read

        def request(window: Window, terms: Any, id: str) -> dict[str, Any]:
            body = ask(server, window, terms, id) | {"return_token_ids": True}
            body |= _in_native(body, step) if self.functions else {"structured_outputs": {"regex": step}}
            self.requests.append(body)
            return body

        def hear(event: dict[str, Any], reply: Any) -> None:
            choice = (event.get("choices") or [{}])[0]
            ids = event.get("prompt_token_ids") or choice.get("prompt_token_ids")
            if ids:
                self.prompts.append(ids)
            read(server, event, reply)

        server.request, server.read = request, hear  # type: ignore[method-assign]
        return await super().generate(window, sampling, **options | {"grammar": None})


def _in_native(body: dict[str, Any], function: str | None) -> dict[str, Any]:
    tools = []
    for one in body["tools"]:
        held = one["function"]["parameters"] | {"properties": ARGUMENTS.get(one["function"]["name"], {})}
        tools.append({"type": "function", "function": one["function"] | {"parameters": held, "strict": True}})
    if function is None:
        return {"tools": tools, "tool_choice": "none", "structured_outputs": {"regex": "[0-9]{1,3}"}}
    return {"tools": tools, "tool_choice": {"type": "function", "function": {"name": function}}}
