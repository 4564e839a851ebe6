"""How settings of user, baseline and benchmark come together, and what a setup records of them."""

import re

import pytest

from deepagent import AgentConfig, RunStore
from deepagent.actions import Answer, Call, Execute, Fold, Malformed, Search
from deepagent.budget import Limits
from deepagent.config import RunConfig
from deepagent.dialects import Abilities, TagsDialect, spelled
from deepagent.errors import ConfigError, UsageError
from deepagent.evaluation import registry
from deepagent.evaluation.plan import Plan, baselines, make_plan, opened, read_baseline

RUN = RunConfig(model="empty", agent=AgentConfig(encoder="hash"))


def plan(agent=None, name="toolhop", model="embedded", **options):
    return make_plan(name, RunConfig(model=model, agent=AgentConfig(**(agent or {}))), **options)


def test_a_benchmark_limits_what_the_user_has_not_limited():
    assert plan(name="webshop").run.agent.limits.actions == 30
    assert plan({"limits": Limits(actions=7)}, name="webshop").run.agent.limits.actions == 7
    mine = plan({"limits": Limits(tokens=9)}, name="webshop").run.agent.limits
    assert (mine.actions, mine.tokens, mine.folds) == (30, 9, Limits().folds)


def test_a_baseline_goes_over_the_users_settings_at_any_depth():
    made = plan({"found": 3, "search": "asked"}, baseline="react-preretrieved")
    agent = made.run.agent
    assert (agent.found, agent.search, agent.execute, agent.fold) == (10, "before", False, None)
    assert made.baseline == "react-preretrieved"


def test_a_baseline_can_be_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("about: mine\nagent: {limits: {actions: 3}, sampling: {temperature: 0.5}}")
    agent = plan({"limits": Limits(tokens=9)}, baseline=str(path)).run.agent
    assert (agent.limits.actions, agent.limits.tokens, agent.sampling.temperature) == (3, 9, 0.5)
    path.write_text("about: mine\nagent: {exekute: false}")
    with pytest.raises(ConfigError, match="did you mean 'execute'"):
        plan(baseline=str(path))
    with pytest.raises(UsageError, match="unknown baseline 'nonsense'"):
        plan(baseline="nonsense")


@pytest.mark.parametrize("name", baselines())
def test_every_baseline_can_be_used_and_says_what_it_is(name):
    assert len(read_baseline(name).about) > 10
    assert plan(baseline=name).baseline == name


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_every_benchmark_says_what_it_asks_for(name):
    assert len(registry.get_class(name).about) > 10


def test_labelled_tools_are_all_shown_and_open_ones_searched():
    assert plan(mode="labelled").run.agent.cards > 1000
    assert plan(mode="open-set").run.agent.cards == AgentConfig().cards
    with pytest.raises(UsageError, match="known are"):
        plan(name="nonsense")


def test_what_earlier_runs_learned_is_left_out():
    assert plan({"experience": True}).run.agent.experience is False


def test_a_plan_can_be_sent_elsewhere():
    made = plan(baseline="codeact", mode="labelled")
    assert Plan.model_validate_json(made.model_dump_json()) == made


async def setup(tmp_path, made):
    with RunStore(tmp_path / "runs.sqlite") as store:
        async with opened(made, store) as held:
            return held.setup


async def test_a_setup_is_the_same_each_time_and_another_with_other_settings(tmp_path):
    one, same = [await setup(tmp_path, make_plan("toolhop", RUN)) for _ in range(2)]
    assert one == same
    assert one.hash == same.hash
    real = await setup(tmp_path, make_plan("toolhop", RunConfig(model="empty")))
    assert re.fullmatch(r"onnx:[0-9a-f]{16}", real.retriever)
    hotter = RUN.model_copy(update={"agent": AgentConfig(encoder="hash", guidance="Hurry.")})
    other = await setup(tmp_path, make_plan("toolhop", hotter))
    assert other.prompt_hash != one.prompt_hash
    assert other.hash != one.hash
    judged = await setup(tmp_path, make_plan("toolhop", RUN.model_copy(update={"judge": "embedded"})))
    assert (judged.roles, judged.prompt_hash) == ({"judge": "embedded"}, one.prompt_hash)
    assert judged.hash != one.hash


def test_tasks_are_another_data_when_an_attachment_changes(tmp_path):
    from deepagent.evaluation.base import BenchmarkTask, data_hash

    path = tmp_path / "a.txt"
    hashes = set()
    for content in ("one", "two"):
        path.write_text(content)
        hashes.add(data_hash([BenchmarkTask(id="1", prompt="?", attachments=(path,))]))
    hashes.add(data_hash([BenchmarkTask(id="1", prompt="!", attachments=(path,))]))
    assert len(hashes) == 3


@pytest.mark.parametrize(
    "action",
    [
        Search(query="x y"),
        Call(name="f", arguments={"a": "</tool_call>", "b": [1]}),
        Execute(code="print('<answer>')\nx = 1"),
        Fold(),
        Answer(text="15"),
    ],
)
def test_what_an_oracle_does_is_read_as_it_was_meant(action):
    dialect = TagsDialect(Abilities(search=True, call=True, execute=True, fold=True, tools=True))
    assert dialect.parse(spelled(action), "stop").action == action


def test_an_oracle_makes_no_mistakes():
    with pytest.raises(UsageError, match="nobody writes malformed"):
        spelled(Malformed(problem="x"))
