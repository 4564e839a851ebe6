"""The chart of tokens."""

import pytest

from deepagent.viewer.chart import HEIGHT, MOST_BARS, chart
from deepagent.viewer.reader import Reader
from tests.viewer.runs import begin, write_run


@pytest.mark.parametrize("steps", [1, 7, MOST_BARS, MOST_BARS + 1, 700])
async def test_every_step_is_in_one_bar_and_no_bar_leaves_the_chart(store, steps):
    drawn = chart(await Reader(store).timeline(write_run(store, steps)))
    assert len(drawn.bars) <= MOST_BARS
    covered = [step for bar in drawn.bars for step in range(bar.first, bar.last + 1)]
    assert covered == list(range(1, steps + 1))
    for bar in drawn.bars:
        sent = bar.usage.prompt_tokens + bar.usage.completion_tokens
        assert sum(height for height, _ in bar.parts) == pytest.approx(HEIGHT * sent / drawn.top, abs=0.05)
        assert all(-0.05 <= upper <= HEIGHT for _, upper in bar.parts)
    assert sum(bar.folded for bar in drawn.bars) == (steps - 1) // 60


async def test_before_the_first_reply_there_is_none(store):
    assert chart(await Reader(store).timeline(begin(store).id)) is None
