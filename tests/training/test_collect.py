"""Which recorded runs are imitated, and that what is learnt from them is what the model will meet."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deepagent.cli.main import app
from deepagent.errors import TrainingError
from deepagent.evaluation.store import ResultStore
from deepagent.runs.export.chat import conversations
from deepagent.runs.store import RunStore
from deepagent.training import conversations as chats
from deepagent.training.collect import collect, grades
from deepagent.training.families.lookup import Lookup, LookupConfig
from deepagent.training.sequences import sequences
from tests.evaluation.support import evaluation, result
from tests.support import answer, call, record
from tests.training.conftest import AGENT

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


WRONG, RIGHT = call("add", a=1), call("add", a=1, b=2)
REPAIRED = [WRONG, RIGHT, answer("3")]
SMOOTH = [RIGHT, call("add", a=2, b=2), answer("4")]
SHORT = [RIGHT, answer("3")]
INVALID = ["I do nothing.", "I still do nothing.", answer("3")]
BROKEN_AT_LAST = [RIGHT, WRONG, answer("3")]


async def kept(folder: Path, *scripts: list[str]) -> list[str]:
    """Runs of these scripts; their ids."""
    return [(await record(script, folder, tools=[add])).run.id for script in scripts]


async def test_what_is_imitated_repairs_a_mistake(tmp_path: Path):
    ids = await kept(tmp_path, REPAIRED, SMOOTH, SHORT, INVALID, BROKEN_AT_LAST)
    solved = dict.fromkeys(ids, True)
    with RunStore(tmp_path / "runs.sqlite") as store:
        assert [id for id, _ in collect(store, solved)] == [ids[0]]
        assert {id for id, _ in collect(store, solved, repaired=False)} == {ids[0], ids[1], ids[4]}


async def test_what_failed_is_never_imitated_and_what_nobody_graded_only_when_asked_for(tmp_path: Path):
    right, wrong, ungraded = await kept(tmp_path, REPAIRED, REPAIRED, REPAIRED)
    with ResultStore(tmp_path / "runs.evaluations.sqlite") as results:
        results.begin(evaluation())
        results.add("sums-1", result("a", run=right))
        results.add("sums-1", result("b", run=wrong, right=0.0))
        graded = grades(results)
    assert graded == {right: True, wrong: False}
    with RunStore(tmp_path / "runs.sqlite") as store:
        assert [id for id, _ in collect(store, graded)] == [right]
        assert {id for id, _ in collect(store, graded, ungraded=True)} == {right, ungraded}


async def test_the_worked_example_is_not_to_be_learnt(tmp_path: Path):
    await kept(tmp_path, REPAIRED)
    with RunStore(tmp_path / "runs.sqlite") as store:
        [(_, [line])] = collect(store, {}, ungraded=True)
    said = [message for message in json.loads(line)["messages"] if message["role"] == "assistant"]
    assert [message["content"] for message in said if message.get("weight", 1) > 0] == REPAIRED
    assert len(said) > len(REPAIRED)


async def test_a_conversation_has_the_tokens_and_the_mask_of_the_run_itself(tiny: Path, tmp_path: Path):
    transformers = pytest.importorskip("transformers", reason="needs the extra `train`")
    from deepagent.models.transformers import TransformersModel
    from deepagent.training.demonstrations import DictatedModel, demonstrate

    network = transformers.AutoModelForCausalLM.from_pretrained(tiny)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    family = Lookup(LookupConfig(tasks=3, hops=(2, 3)))
    agent = AGENT.model_copy(update={"limits": AGENT.limits.model_copy(update={"actions": 6})})
    model = TransformersModel("tiny", network, tokenizer, context=2048, turns=True)
    with RunStore(tmp_path / "runs.sqlite") as store:

        def dictated(replies):
            return DictatedModel(replies, "tiny", network, tokenizer, context=2048, turns=True)

        await demonstrate(family, family.tasks(), dictated, agent, store)
        for run in store.runs():
            recorded = store.events(run.id)
            [line] = conversations(recorded)
            [itself] = sequences((one.event for one in recorded), model.tokenizer.decode)
            async with model:
                [learnt] = await chats.tokenised([chats.Conversation.model_validate_json(line)], model)
            assert learnt.prompt_ids == itself.prompt_ids
            assert learnt.completion_ids == itself.completion_ids
            assert learnt.generated == itself.generated


def test_the_command_writes_what_fine_tuning_reads(tmp_path: Path):
    asyncio.run(kept(tmp_path, REPAIRED, SMOOTH))
    out = tmp_path / "data.jsonl"
    arguments = ["train", "collect", "--store", str(tmp_path / "runs.sqlite"), "--out", str(out)]
    nothing = CliRunner().invoke(app, arguments)
    assert isinstance(nothing.exception, TrainingError)
    assert [*tmp_path.glob("data*")] == []
    assert CliRunner().invoke(app, [*arguments, "--ungraded"]).exit_code == 0
    assert len(chats.read(out)) == 1


@pytest.mark.parametrize("text", ["", "no json\n", '{"messages": [{"role": "tool", "content": "x"}]}\n'])
def test_a_file_without_conversations_is_named(tmp_path: Path, text: str):
    path = tmp_path / "data.jsonl"
    path.write_text(text)
    with pytest.raises(TrainingError, match=r"data\.jsonl"):
        chats.read(path)


def test_what_a_benchmark_tests_is_not_learnt_from_a_file_either(tiny: Path, tmp_path: Path):
    pytest.importorskip("trl", reason="needs the extra `train`")
    prompt = Lookup(LookupConfig(split="test")).tasks()[0].prompt
    turns = [{"role": "user", "content": f"Tools: none\n\nTask: {prompt}"}, {"role": "assistant", "content": "tea"}]
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"messages": turns}) + "\n")
    config = tmp_path / "recipe.yaml"
    config.write_text(f"policy: {{model: {tiny}, context: 2048}}\nsft: {{data: {data}}}\n")
    result = CliRunner().invoke(app, ["train", "sft", "--config", str(config), "--out", str(tmp_path / "out")])
    assert "lookup tests what would be trained on" in str(result.exception)
