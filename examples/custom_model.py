"""A model backend of your own: anything that continues a text can be the model.

    python examples/custom_model.py "17 * 23 + 4"

`TextModel` is the whole backend: five methods and four attributes, no base class. The function behind it here is a few
lines of Python instead of a network, which is enough to see the loop work. A package offers such a backend to the
command line (`--model NAME`) by an entry point: docs/plugins.md.
"""

import re
import sys
import time
from collections.abc import Callable, Sequence

from deepagent import Agent, AgentConfig, Sampling
from deepagent.models.base import Generated, Listen, Usage, room_for_reply
from deepagent.transcript import Function, Message, Segment, Window

TURN = "<|assistant|>"


class TextModel:
    """A `deepagent.models.base.Model` around a function that continues a text."""

    def __init__(self, name: str, complete: Callable[[str], str], context: int = 8192) -> None:
        self.name, self.context = name, context
        self.continues = True  # it can go on from words that are put into its mouth
        self.functions = False  # actions are tags in its text, not function calls of an API
        self._complete = complete

    async def __aenter__(self) -> "TextModel":
        """Open a connection or load weights here."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close them."""

    async def prompt(self, messages: Sequence[Message], functions: Sequence[Function] = ()) -> Segment:
        """The chat template. Without token ids, sizes are estimated from the text."""
        text = "".join(f"<|{message.role}|>\n{message.content}\n" for message in messages)
        return Segment(kind="prompt", text=f"{text}{TURN}\n")

    async def lead(self, text: str) -> Segment | None:
        """How the first reply begins is left to the model."""
        return None

    async def observation(self, text: str, *, before: str = "", after: str = "", answers: str | None = None) -> Segment:
        """What the model is shown, in its own stream. It may be hostile: it must not look like a turn."""
        return Segment(kind="observation", text=before + text.replace("<|", "< |") + after)

    async def generate(
        self, window: Window, sampling: Sampling, *, stop: Sequence[str] = (), listen: Listen | None = None,
        grammar: object = None, calls: bool = True,
    ) -> Generated:  # fmt: skip
        """Continue the stream up to and including a stop string."""
        room_for_reply(self.context, window.tokens, sampling)  # raises where the window is full: history is folded then
        begun = time.monotonic()
        text = self._complete(window.text)
        ends = [text.find(word) + len(word) for word in stop if word in text]
        segment = Segment(kind="generated", text=text[: min(ends, default=len(text))])
        if listen is not None:
            listen()(segment.text)  # a backend that streams tells each piece, and stops when it is told to
        usage = Usage(prompt_tokens=window.tokens, completion_tokens=segment.tokens, estimated=True)
        return Generated(segment=segment, finish="stop", usage=usage, seconds=time.monotonic() - begun)

    async def chat(self, messages: Sequence[Message], sampling: Sampling, *, schema: object = None) -> Generated:
        """A conversation of its own: folding uses it, and tools that ask a model."""
        window = Window(messages, [await self.prompt(messages)])
        return await self.generate(window, sampling)


def calculator(text: str) -> str:
    """A "model" that has one idea: compute the task in Python, then say what was printed."""
    task = re.findall(r"Task: (.*)", text)[-1]
    printed = re.findall(r"<execute_result>\n(.*)", text.rpartition(TURN)[2])
    if not printed:
        return f"I compute it.\n<execute>\nprint({task})\n</execute>"
    return f"That is it.\n<answer>{printed[-1]}</answer>"


if __name__ == "__main__":
    agent = Agent(TextModel("calculator", calculator), config=AgentConfig(dialect="tags"))
    run = agent.run_sync(" ".join(sys.argv[1:]) or "17 * 23 + 4")
    print(run.answer, run.status, f"{run.steps} steps")
