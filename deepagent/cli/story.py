"""A run told in the terminal, live or from the log: the same lines for both."""

from __future__ import annotations

import json
import textwrap
import time
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.status import Status
from rich.text import Text

from deepagent.actions import Action, Answer, Call, Execute, Malformed, Search
from deepagent.agent import Delta
from deepagent.cli.terminal import plain
from deepagent.models.base import Usage
from deepagent.runs.events import (
    ApprovalAsked,
    ApprovalGiven,
    Ended,
    Event,
    FoldBegan,
    Folded,
    Intended,
    Noticed,
    Observed,
    Performed,
    Replied,
    Resumed,
    Started,
    ToolCalled,
    ToolReturned,
    WindowOpened,
)

_LINES = 14
_COLOURS = {"search": "cyan", "call": "blue", "execute": "magenta", "fold": "yellow", "answer": "green"}


class Story:
    """Prints a run as it happens.

    Args:
        console: where to.
        full: show long results whole.
    """

    def __init__(self, console: Console, *, full: bool = False) -> None:
        self._console = console
        self._full = full
        self._status: Status | None = None
        self._writing = ""
        self._standing = _Standing()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._console.status(self._standing)
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def wait(self, text: str) -> None:
        """Say what is being waited for: a live line on a terminal, a plain line elsewhere."""
        if self._status is not None:
            self._standing.doing = text
        else:
            self._console.print(plain(text, "dim"))

    def hear(self, item: Event | Delta) -> None:
        """Tell one event: each kind has a method of its name."""
        if isinstance(item, Performed):
            return  # told when it is shown to the model
        self._standing.hear(item)
        getattr(self, f"_{item.kind}")(item)

    def _delta(self, item: Delta) -> None:
        self._writing = "" if item.restarted else (self._writing + item.text)[-400:]
        if self._status is not None:
            self._standing.doing = " ".join(self._writing.split())

    def _started(self, item: Started) -> None:
        self._line("task", item.task, "bold")
        self._detail(f"run {item.run}, model {item.model}, window {item.context} tokens")

    def _resumed(self, item: Resumed) -> None:
        count = len(item.rebuilt)
        again = f", code of {count} step{'s' if count > 1 else ''} run again" if count else ""
        self._line("resumed", f"model {item.model}, window {item.context} tokens{again}", "yellow")

    def _approval_asked(self, item: ApprovalAsked) -> None:
        self._line("approve?", f"{item.tool}({_arguments(item.arguments)})", "yellow")

    def _approval_given(self, item: ApprovalGiven) -> None:
        self._detail(f"{'approved' if item.approved else 'refused'} by {item.by}")

    def _window_opened(self, item: WindowOpened) -> None:
        self._detail(f"window {item.number} opens with {sum(s.tokens for s in item.segments)} tokens")

    def _replied(self, item: Replied) -> None:
        self._detail(f"{tokens(item.generated.usage)}, {item.generated.seconds:.1f} s")

    def _tool_called(self, item: ToolCalled) -> None:
        self._detail(f"  {item.name}({_arguments(item.arguments)})")

    def _tool_returned(self, item: ToolReturned) -> None:
        self._block(item.result, "red" if item.error else "dim", indent=6, lines=4)

    def _noticed(self, item: Noticed) -> None:
        self._line("limit", item.text, "yellow")

    def _fold_began(self, item: FoldBegan) -> None:
        self.wait(f"folding {item.tokens} tokens of history into memory ({item.reason})")

    def _intended(self, item: Intended) -> None:
        self._writing = ""
        if item.thought:
            self._indented(item.thought, "italic dim", 4)
        action = item.action
        if isinstance(action, Answer):
            return  # told at the end
        label = f"{item.step}. {action.kind}"
        colour = _COLOURS.get(action.kind, "red")
        if isinstance(action, Execute):
            self._line(label, "", colour)
            self._block(action.code, "", indent=4, lines=60)
        else:
            self._line(label, _describe(action), colour)

    def _observed(self, item: Observed) -> None:
        observation = item.observation
        if observation.error == "malformed":
            return  # the action said it already
        if observation.found:
            for tool in observation.found:
                self._detail(f"{tool.score:.2f}  {tool.name}  (dense {tool.dense:.2f}, lexical {tool.lexical:.2f})")
        else:
            self._block(observation.text, "red" if observation.error else "", indent=4, lines=_LINES)
        made_up = ", made up by a model" if observation.simulated else ""
        self._detail(f"{item.seconds:.2f} s{made_up}")

    def _folded(self, item: Folded) -> None:
        self._line(f"fold {item.number}", f"{item.before} -> {item.after} tokens ({item.reason})", "yellow")
        episodic, working, tool = item.memory["episodic"], item.memory["working"], item.memory["tool"]
        told = {
            "progress": episodic["current_progress"],
            "goal": working["immediate_goal"],
            "summary": item.memory.get("summary"),
        }
        for what, text in told.items():
            if text:
                self._detail(f"{what}: {text}")
        for record in tool["tools_used"]:
            self._detail(f"tool {record['tool_name']}: {record['calls']} calls, {record['success_rate']:.0%} succeeded")
        self._detail(f"{len(item.memory['ledger'])} steps in the log, {item.seconds:.1f} s, {tokens(item.usage)}")
        for problem in item.problems:
            self._detail(f"mended: {problem}")

    def _ended(self, item: Ended) -> None:
        style = "bold green" if item.status == "answered" else "bold yellow"
        label = "answer" if item.answer is not None else item.status
        self._line(label, item.answer if item.answer is not None else item.reason, style)
        forced = f" (asked for: {item.reason})" if item.status == "forced" else ""
        self._detail(f"{item.steps} steps, {item.folds} folds, {tokens(item.usage)}, {item.seconds:.1f} s{forced}")

    def _line(self, label: str, text: str, style: str) -> None:
        line = Text.assemble((f"{label:<11} " if text else label, style))
        self._console.print(line + plain(text), soft_wrap=not self._console.is_terminal)

    def _detail(self, text: str) -> None:
        self._indented(text, "dim", 4)

    def _block(self, text: str, style: str, *, indent: int, lines: int) -> None:
        rows = text.rstrip().splitlines()
        if not self._full and len(rows) > lines:
            half = lines // 2
            rows = [*rows[:half], f"... {len(rows) - 2 * half} more lines ...", *rows[-half:]]
        if not self._full:
            rows = [row if len(row) <= 600 else f"{row[:500]} ... {len(row) - 500} more characters" for row in rows]
        self._indented("\n".join(rows), style, indent)

    def _indented(self, text: str, style: str, indent: int) -> None:
        """Wrapped to the width of a terminal. Elsewhere lines stay whole, so that they can be searched."""
        if self._console.is_terminal:
            self._console.print(Padding(plain(text, style), (0, 0, 0, indent), expand=False))
        else:
            self._console.print(plain(textwrap.indent(text, " " * indent), style), soft_wrap=True)


class _Standing:
    """The live line under a story: how far the run is, and the end of what is being written or waited for.

    Attributes:
        doing: shown as far as there is room.
    """

    def __init__(self) -> None:
        self.doing = "thinking"
        self._began = time.monotonic()
        self._step = self._tokens = self._filled = self._window = 0

    def hear(self, item: Event | Delta) -> None:
        """Keep count."""
        if isinstance(item, (Started, Resumed)):
            self._window, self.doing = item.context, "thinking"
        elif isinstance(item, WindowOpened):
            self._filled = sum(segment.tokens for segment in item.segments)
            self.doing = "thinking"  # what was opened or folded before is there now
        elif isinstance(item, Replied):
            usage = item.generated.usage
            self._step = item.step
            self._filled = usage.prompt_tokens + usage.completion_tokens
            self._tokens += self._filled
        elif isinstance(item, Folded):
            self._tokens += item.usage.prompt_tokens + item.usage.completion_tokens
        elif isinstance(item, Intended):
            self.doing = f"{item.action.kind} is under way"
        elif isinstance(item, (Observed, Noticed)):
            self.doing = "thinking"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rendered anew several times a second, so that the clock goes on while nothing happens."""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        parts = [f"{minutes}:{seconds:02}"]
        if self._step:
            parts += [f"step {self._step}", f"{self._tokens:,} tokens"]
        if self._window and self._filled:
            parts.append(f"window {self._filled / self._window:.0%}")
        counts = " · ".join(parts)
        room = options.max_width - len(counts) - 3
        doing = self.doing if len(self.doing) <= room else f"…{self.doing[-max(1, room - 1) :]}"
        yield Text.assemble(counts, "  ", plain(doing, "dim"), no_wrap=True, overflow="ellipsis", end="")


def tokens(usage: Usage) -> str:
    """Token use in words."""
    about = "about " if usage.estimated else ""
    return (
        f"{about}{usage.prompt_tokens} prompt tokens ({usage.cached_tokens} cached) + {usage.completion_tokens} written"
    )


def _describe(action: Action) -> str:
    if isinstance(action, Search):
        return action.query
    if isinstance(action, Call):
        return f"{action.name}({_arguments(action.arguments)})"
    if isinstance(action, Malformed):
        return action.problem
    return ""


def _arguments(arguments: dict[str, object]) -> str:
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())
