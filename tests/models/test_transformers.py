"""A model inside this process: many replies at once, each as if it were alone."""

import asyncio
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepagent.errors import ContextOverflowError, ModelUnavailableError
from deepagent.models.base import Sampling
from deepagent.models.batches import _common
from deepagent.models.transformers import TransformersModel
from deepagent.training.tiny import make_tiny
from deepagent.transcript import Message, Window

TEXTS = ["The price of tea is 12 cents.", '<tool_call>{"name": "price"}</tool_call>', "naïve café 日本"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tiny")
    make_tiny(place, TEXTS, hidden=64, layers=2, context=256, vocabulary=400)
    return place


@pytest.fixture
async def model(folder: Path):
    async with TransformersModel.load(folder, turns=True) as opened:
        yield opened


async def window_for(model: TransformersModel, text: str) -> Window:
    messages = (Message(role="user", content=text),)
    return Window(messages, (await model.prompt(messages),))


def sampled(seed: int, **values) -> Sampling:
    return Sampling(temperature=1.0, max_tokens=12, seed=seed, logprobs=True, **values)


async def test_a_batch_writes_what_each_would_write_alone(model: TransformersModel):
    windows = [await window_for(model, text) for text in ("tea", "What is the price of tea, please?", "日本")]
    alone = [await model.generate(window, sampled(n)) for n, window in enumerate(windows)]
    together = await asyncio.gather(*(model.generate(window, sampled(n)) for n, window in enumerate(windows)))
    assert [one.segment.token_ids for one in together] == [one.segment.token_ids for one in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.segment.logprobs == pytest.approx(other.segment.logprobs, abs=1e-4)


async def test_logprobs_are_those_of_the_network(model: TransformersModel):
    window = await window_for(model, "tea")
    generated = await model.generate(window, sampled(1, top_p=0.9, top_k=50))
    segment = generated.segment
    ids = torch.tensor([[*window.token_ids, *segment.token_ids]])
    with torch.inference_mode():
        logits = model._network(input_ids=ids).logits[0].float().log_softmax(-1)
    start = len(window.token_ids)
    expected = [float(logits[start + n - 1, token]) for n, token in enumerate(segment.token_ids)]
    assert segment.logprobs == pytest.approx(expected, abs=1e-4)


async def test_text_and_tokens_say_the_same(model: TransformersModel):
    window = await window_for(model, "日本 café")
    for seed in range(8):
        segment = (await model.generate(window, sampled(seed))).segment
        assert model.tokenizer.decode(segment.token_ids) == segment.text


async def test_a_listener_and_a_stop_string_end_a_reply(model: TransformersModel):
    window = await window_for(model, "tea")
    whole = (await model.generate(window, sampled(3))).segment
    stop = whole.text[2:4]
    stopped = await model.generate(window, sampled(3), stop=(stop,))
    assert stopped.finish == "stop"
    assert stop in stopped.segment.text
    assert len(stopped.segment.token_ids) < len(whole.token_ids)
    heard = await model.generate(window, sampled(3), listen=lambda: lambda text: True)
    assert heard.finish == "watch"


async def test_the_end_token_is_no_part_of_the_stream(model: TransformersModel):
    end = model.tokenizer.encode("<|im_end|>")[0]
    bias = torch.zeros(model._network.config.vocab_size)
    bias[end] = 4.0
    head = model._network.get_output_embeddings()
    hook = head.register_forward_hook(lambda module, args, output: output + bias)
    try:
        window = await window_for(model, "tea")
        generated = [await model.generate(window, sampled(seed)) for seed in range(6)]
    finally:
        hook.remove()
    ended = [one for one in generated if one.finish == "stop"]
    assert ended
    for one in ended:
        assert end not in one.segment.token_ids
        assert "<|im_end|>" not in one.segment.text


async def test_a_run_that_is_cancelled_leaves_the_others_alone(model: TransformersModel):
    window = await window_for(model, "tea")
    given_up = asyncio.create_task(model.generate(window, sampled(1)))
    kept = asyncio.create_task(model.generate(window, sampled(2)))
    await asyncio.sleep(0)
    given_up.cancel()
    expected = await model.generate(window, sampled(2))
    assert (await kept).segment.token_ids == expected.segment.token_ids


async def test_closing_gives_up_what_waits_and_what_comes_later_is_refused(folder: Path):
    async with TransformersModel.load(folder) as opened:
        window = await window_for(opened, "tea")
        waiting = [asyncio.create_task(opened.generate(window, sampled(seed))) for seed in range(3)]
        await asyncio.sleep(0)
    done, _ = await asyncio.wait(waiting, timeout=10)
    assert all(task.cancelled() for task in done)
    assert len(done) == 3
    with pytest.raises(ModelUnavailableError, match="closed"):
        await opened.generate(window, sampled(0))


async def test_a_prompt_without_room_is_refused(model: TransformersModel):
    with pytest.raises(ContextOverflowError):
        await model.generate(await window_for(model, "tea " * 400), sampled(0))


async def test_a_folder_without_a_model_is_named(tmp_path: Path):
    with pytest.raises(ModelUnavailableError, match=tmp_path.name):
        TransformersModel.load(tmp_path)


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple), min_size=1, max_size=5))
def test_what_prompts_begin_with_leaves_something_of_each(prompts: list[tuple[int, ...]]):
    same = _common(prompts)
    assert all(prompt[: len(same)] == same and len(prompt) > len(same) for prompt in prompts)
    longer = {prompt[: len(same) + 1] for prompt in prompts}
    assert len(longer) > 1 or min(map(len, prompts)) == len(same) + 1
