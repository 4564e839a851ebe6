"""The live line under a run that is told on a terminal."""

import io

from rich.console import Console

from deepagent.agent import Delta
from deepagent.cli.story import Story
from deepagent.models.base import Generated, Usage
from deepagent.runs.events import FoldBegan, Replied, Resumed, Started, WindowOpened
from deepagent.transcript import Segment


def told(terminal):
    """What a console gets of a run in which one reply was written and the next is under way."""
    out = io.StringIO()
    usage = Usage(prompt_tokens=900, completion_tokens=100)
    reply = Generated(segment=Segment(kind="generated", text="x"), finish="stop", usage=usage, seconds=1.0)
    console = Console(file=out, force_terminal=terminal, width=80, color_system=None)
    with Story(console) as story:
        story.hear(Started(run="r", task="count", model="m", context=4000, settings={}))
        story.hear(Replied(step=7, generated=reply))
        story.hear(Delta(text="half a \x1b[2Jthought " * 40))
        if story._status is not None:
            story._status._live.refresh()
    return out.getvalue()


def test_a_terminal_sees_how_far_the_run_is():
    shown = told(terminal=True)
    assert "step 7 · 1,000 tokens · window 25%" in shown
    assert "thought" in shown
    assert "\x1b[2J" not in shown


def test_what_was_waited_for_is_not_told_any_longer_than_it_takes():
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    opened = WindowOpened(number=1, messages=(), segments=(Segment(kind="prompt", text="x"),))
    with Story(console) as story:
        story.wait("opening the model")
        story.hear(Started(run="r", task="count", model="m", context=4000, settings={}))
        story.hear(opened)
        assert story._standing.doing == "thinking"
        story.wait("opening the model")
        story.hear(Resumed(model="m", context=4000, settings={}))
        assert story._standing.doing == "thinking"
        story.hear(FoldBegan(reason="window", tokens=3000))
        assert story._standing.doing.startswith("folding 3000 tokens")
        story.hear(opened)
        assert story._standing.doing == "thinking"


def test_elsewhere_lines_are_plain():
    shown = told(terminal=False)
    assert "\x1b" not in shown
    assert "window 25%" not in shown
