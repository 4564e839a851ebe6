"""What several tests need: agents with scripted models, and the promises that every recorded run must keep."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from deepagent.agent import Agent, Run
from deepagent.config import AgentConfig
from deepagent.models import Generated, ScriptedModel
from deepagent.runs.events import (
    Ended,
    Event,
    Folded,
    Intended,
    Observed,
    Resumed,
    Started,
    ToolCalled,
    ToolReturned,
    WindowOpened,
)
from deepagent.runs.progress import prompts as prompts_of
from deepagent.runs.store import RunStore
from deepagent.transcript import FunctionCall, Message, Window

HASHED = AgentConfig(encoder="hash", doubts=False)
"""For scripts: search without weights, and answers count as they are given."""


def call(name: str, **arguments: Any) -> str:
    """A tool call as a model writes it."""
    import json

    return f"I call it.\n<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def execute(code: str) -> str:
    """A code action as a model writes it."""
    return f"I compute.\n<execute>\n{code}\n</execute>"


def answer(text: str) -> str:
    """An answer as a model writes it."""
    return f"Done.\n<answer>{text}</answer>"


def calling(*calls: tuple[str, dict[str, Any] | str], content: str = "", reasoning: str = "") -> Message:
    """A reply that calls functions; arguments that are text stand as they are."""
    import json

    made = [
        FunctionCall(id=f"c{number}", name=name, arguments=args if isinstance(args, str) else json.dumps(args))
        for number, (name, args) in enumerate(calls)
    ]
    return Message(role="assistant", content=content, reasoning=reasoning, calls=tuple(made))


class WatchedModel(ScriptedModel):
    """A scripted model that remembers the tokens and windows it was sent, and the grammars it was held to."""

    sent: list[list[int] | None]
    windows: list[Window]
    grammars: list[Any]

    async def generate(self, window: Window, *args: Any, **options: Any) -> Generated:
        self.sent = [*getattr(self, "sent", []), window.token_ids]
        self.windows = [*getattr(self, "windows", []), window.extended([])]
        self.grammars = [*getattr(self, "grammars", []), options.get("grammar")]
        return await super().generate(window, *args, **options)


class Recording:
    """A scripted run and what its log says."""

    def __init__(self, run: Run | None, events: list[Event], model: WatchedModel) -> None:
        self.run = run
        self.events = events
        self.model = model

    def of(self, kind: type[Event]) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def observations(self) -> list[str]:
        """What the model read after each step."""
        return [event.observation.text for event in self.of(Observed)]


async def record(
    replies: Sequence[str | Message] | Callable[[Window], str | Message],
    folder: Path,
    *,
    tools: Iterable[Any] = (),
    task: str = "Do it.",
    config: AgentConfig = HASHED,
    context: int = 8192,
    chat_replies: Any = (),
    functions: bool = False,
) -> Recording:
    """Run a script, check the promises on its log, and return both."""
    model = WatchedModel(replies, context=context, chat_replies=chat_replies, functions=functions)
    with RunStore(folder / "runs.sqlite") as store:
        run = await Agent(model, tools, config=config, store=store).run(task)
        events = [recorded.event for recorded in store.events(run.id)]
    assert_promises(events, model)
    return Recording(run, events, model)


def assert_promises(events: Sequence[Event], model: ScriptedModel | None = None) -> None:
    """The promises of every run: append-only windows, intent before outcome, one end."""
    assert isinstance(events[0], Started)
    ends = [isinstance(event, Ended) for event in events].count(True)
    assert ends <= 1 + sum(isinstance(event, Resumed) for event in events)
    prompts = rebuild_prompts(events)
    if model is not None:
        assert [text for text, _ in prompts] == model.prompts, "the log does not rebuild the prompts that were sent"
    if isinstance(model, WatchedModel) and prompts:
        assert [ids for _, ids in prompts] == model.sent, "the log does not rebuild the tokens that were sent"
    intended: set[int] = set()
    called: set[tuple[int, int]] = set()
    for event in events:
        if isinstance(event, Intended):
            intended.add(event.step)
        elif isinstance(event, Observed):
            assert event.step in intended, "an outcome without intent"
        elif isinstance(event, ToolCalled):
            assert event.step in intended
            called.add((event.step, event.call))
        elif isinstance(event, ToolReturned):
            assert (event.step, event.call) in called
    for before, after in pairwise(events):
        if isinstance(before, Folded) or isinstance(after, WindowOpened):
            assert isinstance(after, WindowOpened), "a fold opens a window"
            assert isinstance(before, (Folded, Started, Resumed)), "a window opens only by a fold"


def rebuild_prompts(events: Sequence[Event]) -> list[tuple[str, list[int] | None]]:
    """Text and tokens of every request, from the log alone."""
    return [(window.text, window.token_ids) for _, window in prompts_of(events)]
