"""The live line under a run that is told on a terminal."""

import io

from rich.console import Console

from deepagent.agent import Delta
from deepagent.cli.story import Story
from deepagent.models.base import Generated, Usage
from deepagent.runs.events import Replied, Started
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


def test_elsewhere_lines_are_plain():
    shown = told(terminal=False)
    assert "\x1b" not in shown
    assert "window 25%" not in shown
