"""Agents whose score is known beforehand."""

from deepagent.evaluation.judges import ModelJudge
from deepagent.evaluation.known import known_answers
from deepagent.evaluation.registry import get_benchmark


async def test_asked_as_a_judge_they_choose_nothing():
    for name in ("oracle", "empty"):
        known = known_answers(get_benchmark("tmdb"), name)

        async def judge(model=known.model):
            return model

        asked = ModelJudge(judge)
        assert await asked.choose("Was the request fulfilled?", ["fulfilled", "not fulfilled"]) is None
        assert [(verdict.by, verdict.choice) for verdict in asked.verdicts] == [(name, None)]


def test_the_oracle_rehearses_toolbench_without_a_model_or_a_key():
    (played,) = get_benchmark("toolbench").rehearsal
    assert len(played.tools) == 1996
    assert all(tool.simulated for tool in played.tools)
    assert get_benchmark("toolhop").rehearsal == get_benchmark("toolhop").sources
