"""What training sees of a run is what the model saw and wrote, token for token."""

from pathlib import Path

import pytest

from deepagent import tool
from deepagent.config import AgentConfig
from deepagent.errors import TrainingError
from deepagent.memory.folder import FoldConfig
from deepagent.models.base import Sampling
from deepagent.models.scripted import PIECE
from deepagent.runs.events import Folded, Intended, Replied, WindowOpened
from deepagent.training.sequences import NO_STEP, TrainingSequence, sequences
from tests.support import Recording, answer, call, rebuild_prompts, record

SAMPLED = AgentConfig(encoder="hash", sampling=Sampling(logprobs=True))


@tool
def price(item: str) -> int:
    """The price of an item in cents."""
    return len(item)


def decoder(recording: Recording):
    """The scripted model's tokens are four characters each: their texts, learnt from the log."""

    def decode(ids):
        return "".join(known[token] for token in ids)

    known = {}
    for event in recording.of(Replied):
        segment = event.generated.segment
        pieces = [segment.text[at : at + PIECE] for at in range(0, len(segment.text), PIECE)]
        known |= dict(zip(segment.token_ids, pieces, strict=True))
    return decode


def written(sequence: TrainingSequence, decode, actions: bool) -> str:
    """The text of the generated tokens that are, or are not, part of an action."""
    return decode(
        [
            token
            for token, generated, step in zip(
                sequence.completion_ids, sequence.generated, sequence.actions, strict=True
            )
            if generated and (step != NO_STEP) == actions
        ]
    )


async def test_one_window_is_one_sequence_with_the_actions_marked(tmp_path: Path):
    recording = await record([call("price", item="tea"), answer("3")], tmp_path, tools=[price], config=SAMPLED)
    (sequence,) = sequences(recording.events, decoder(recording))

    _, ids = rebuild_prompts(recording.events)[-1]
    whole = [*sequence.prompt_ids, *sequence.completion_ids]
    final = recording.of(Replied)[-1].generated.segment.token_ids
    assert whole == [*ids, *final], "the sequence is the last prompt and the last reply"

    decode = decoder(recording)
    spelled = written(sequence, decode, actions=True)
    assert spelled.endswith("</tool_call>")
    assert '"item": "tea"' in spelled
    assert "<answer>" not in spelled, "an answer is no tool call"
    assert "I call it." not in spelled.removesuffix(spelled[PIECE:]), "the thought has no action credit"
    assert set(sequence.actions) == {NO_STEP, 1}
    assert all(not step or generated for step, generated in zip(sequence.actions, sequence.generated, strict=True))


async def test_logprobs_are_those_that_were_drawn(tmp_path: Path):
    recording = await record([call("price", item="tea"), answer("3")], tmp_path, tools=[price], config=SAMPLED)
    (sequence,) = sequences(recording.events, decoder(recording))
    drawn = [value for event in recording.of(Replied) for value in event.generated.segment.logprobs]
    kept = [value for value, generated in zip(sequence.logprobs, sequence.generated, strict=True) if generated]
    assert kept == drawn
    assert not any(v for v, generated in zip(sequence.logprobs, sequence.generated, strict=True) if not generated)


async def test_k_folds_make_k_plus_one_sequences(tmp_path: Path):
    config = AgentConfig(encoder="hash", sampling=Sampling(logprobs=True), fold=FoldConfig(shrink=0.99), execute="off")
    calls = [call("price", item=f"{n} {'tea' * 120}") for n in range(4)]
    recording = await record(
        [calls[0], "Enough.\n<fold_thought>", calls[1], "Enough.\n<fold_thought>", calls[2], answer("3")],
        tmp_path,
        tools=[price],
        config=config,
        chat_replies=lambda messages, schema: "{}",
    )
    assert len(recording.of(Folded)) == 2
    found = sequences(recording.events, decoder(recording))
    assert len(found) == len(recording.of(WindowOpened)) == 3
    decode = decoder(recording)
    for sequence in found[:2]:
        assert written(sequence, decode, actions=True).endswith("<fold_thought>"), "folding is an action too"
    total = sum(sum(sequence.generated) for sequence in found)
    assert total == sum(len(event.generated.segment.token_ids) for event in recording.of(Replied))


async def test_a_reply_left_out_of_the_stream_is_learnt_from_by_itself(tmp_path: Path):
    invented = "I know.\n<tool_call_result>\n12\n</tool_call_result>"
    recording = await record(
        [invented, call("price", item="tea"), answer("3")], tmp_path, tools=[price], config=SAMPLED
    )
    dropped, kept = sequences(recording.events, decoder(recording))
    decode = decoder(recording)
    assert written(dropped, decode, actions=False) + written(dropped, decode, actions=True) in invented
    assert sum(dropped.generated) == len(recording.of(Replied)[0].generated.segment.token_ids)
    assert dropped.prompt_ids == kept.prompt_ids
    assert "I know." not in written(kept, decode, actions=False)


async def test_every_step_that_acts_has_its_tokens(tmp_path: Path):
    script = [call("price", item="tea"), call("price", item="jam"), answer("6")]
    recording = await record(script, tmp_path, tools=[price], config=SAMPLED)
    acting = {event.step for event in recording.of(Intended) if event.action.kind == "call"}
    (sequence,) = sequences(recording.events, decoder(recording))
    assert set(sequence.actions) - {NO_STEP} == acting == {1, 2}


async def test_runs_without_logprobs_or_tokens_are_refused(tmp_path: Path):
    recording = await record([answer("3")], tmp_path)
    with pytest.raises(TrainingError, match="logprobs: true"):
        sequences(recording.events, decoder(recording))


async def test_every_reply_is_learnt_from_behind_what_the_model_saw(tmp_path: Path):
    """Also a fold that was asked for in vain, after which the answer is demanded."""

    @tool
    def lever(n: int) -> str:
        """Pull a lever."""
        raise RuntimeError("It is stuck.")

    config = AgentConfig(encoder="hash", sampling=Sampling(logprobs=True), fold=FoldConfig(shrink=0.99), execute="off")
    fold = "Enough.\n<fold_thought>"
    recording = await record(
        [call("lever", n=1), fold, call("lever", n=2), fold, answer("none")],
        tmp_path,
        tools=[lever],
        config=config,
        chat_replies=lambda messages, schema: "{}",
    )
    assert recording.run.status == "forced"
    learnt = [
        (*sequence.prompt_ids, *sequence.completion_ids) for sequence in sequences(recording.events, decoder(recording))
    ]
    seen = [ids for _, ids in rebuild_prompts(recording.events)]
    for ids, event in zip(seen, recording.of(Replied), strict=True):
        behind = (*ids, *event.generated.segment.token_ids)
        assert any(one[: len(behind)] == behind for one in learnt)
