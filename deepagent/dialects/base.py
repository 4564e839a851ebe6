"""What the loop asks of a dialect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from deepagent.actions import Action
from deepagent.grammar import Grammar
from deepagent.tools import ToolSpec
from deepagent.transcript import Function, Message


@dataclass(frozen=True)
class Parsed:
    """What the model wrote: a thought, and one action or, where it calls functions, several at once.

    Attributes:
        thought: the text before the action.
        action: what the model decided.
        bare: the reply held no action, and was taken for the answer.
        further: what it decided besides, to be done at the same time.
        answers: ids of the function calls that the actions are, in order; none where they are not spelled as such.
        restore: closing text that the stream lacks, because the model or its server left it out; it is appended
            with the observation.
        discard: the reply is to be left out of the stream, because it invents what only the environment may say.
        resume: how the next reply is made to begin: with the action whose result was invented.
    """

    thought: str
    action: Action
    restore: str = ""
    discard: bool = False
    resume: str = ""
    bare: bool = False
    further: tuple[Action, ...] = ()
    answers: tuple[str, ...] = ()

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions, in order."""
        return (self.action, *self.further)


@dataclass(frozen=True)
class Opening:
    """What every window of a run begins with: messages, and the functions that the model may call."""

    messages: tuple[Message, ...]
    functions: tuple[Function, ...] = ()


@dataclass(frozen=True)
class Abilities:
    """The actions that a run allows besides answering.

    Attributes:
        call: the model may call tools itself.
        tools: code can call tools.
        packages: what code may import besides the standard library.
        guidance: what the model is told besides how to act.
        example: the model is shown a worked example.
    """

    search: bool
    call: bool
    execute: bool
    fold: bool
    tools: bool = False
    packages: tuple[str, ...] = ()
    guidance: str = ""
    example: bool = True

    @property
    def libraries(self) -> str:
        """What code may import, in words."""
        return f"standard library, {', '.join(self.packages)}" if self.packages else "standard library only"


class Dialect(Protocol):
    """A way to spell actions and observations; one object serves one run."""

    @property
    def stops(self) -> tuple[str, ...]:
        """Stop strings for the server: at most four, which is what every known server accepts."""
        ...

    def opening(self, task: str, shown: Sequence[ToolSpec], built_in: Sequence[ToolSpec]) -> Opening:
        """How to act, for the actions that this run allows; the task; the tools that need no search.

        Raises:
            ToolDefinitionError: a tool cannot be offered under its name.
        """
        ...

    def grammar(self, tools: Sequence[ToolSpec]) -> Grammar | None:
        """What replies can be held to while these tools are within reach; None holds them to nothing."""
        ...

    def parse(
        self, text: str, finish: Literal["stop", "length", "watch"], message: Message | None = None
    ) -> Parsed | None:
        """Read the step from a whole reply. None: the reply was stopped too early; generate on."""
        ...

    def watch(self) -> Callable[[str], bool]:
        """A detector that is fed pieces of text and says True once an action is complete."""
        ...

    def render(self, action: Action, observation: str) -> str:
        """The text that is appended to the stream after an action."""
        ...

    def push(self, action: Action) -> str:
        """How the reply is made to begin that uses what a search has found, or mends a call; may be empty."""
        ...

    def memory(self, text: str) -> str:
        """The text with which a window after a fold goes on from the prompt."""
        ...

    @property
    def answer_start(self) -> str:
        """What an answer begins with; empty where it is the reply itself."""
        ...

    def demand_answer(self, reason: str) -> str:
        """The text that is appended when a limit is reached; `answer_start` follows it, then the model goes on."""
        ...

    def demanded(self, text: str) -> str | None:
        """The answer in a reply to `demand_answer`, or None when it is empty."""
        ...
