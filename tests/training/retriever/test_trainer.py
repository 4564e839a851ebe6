"""Training a very small encoder, for real."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from deepagent.errors import UsageError, WeightsError
from deepagent.retrieval.onnx import OnnxEncoder
from deepagent.training.retriever.examples import Example, Pool
from deepagent.training.retriever.model import TrainedEncoder
from deepagent.training.retriever.trainer import Progress, RetrieverTraining, train

WORDS = ("order", "rain", "song", "flight", "price", "mail", "photo", "map", "game", "news")
THINGS = ("purchase", "weather", "music", "plane", "cost", "letter", "picture", "chart", "match", "report")
CONFIG = RetrieverTraining(epochs=30, batch=10, learning_rate=5e-3, warmup=2, frozen_layers=0, max_tokens=16)
POOLS = [
    Pool([Example.of(f"find {word}", [f"get {thing}"], []) for word, thing in zip(WORDS, THINGS, strict=True)]),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two small layers that knows nothing."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("base")
    tokenizer = BertWordPieceTokenizer()
    tokenizer.train_from_iterator([*WORDS, *THINGS, "find get"] * 2, vocab_size=300, show_progress=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=300, **size)).save_pretrained(folder)
    return folder


def losses(base: Path, out: Path, config: RetrieverTraining = CONFIG, stop: int = 0) -> list[float]:
    told: list[float] = []

    def tell(progress: Progress) -> None:
        told.append(progress.loss)
        if progress.step == stop:
            raise KeyboardInterrupt

    train(POOLS, base, out, config, tell)
    return told


def test_epochs_of_made_up_wishes_may_differ_in_length(base: Path, tmp_path: Path):
    pools = [
        Pool([Example.of(f"find {word} {n}", [f"get {word} {n}"], []) for n in range(13 + place)], run=12)
        for place, word in enumerate(WORDS)
    ]
    config = RetrieverTraining(epochs=6, batch=16, warmup=2, frozen_layers=0, max_tokens=8)
    told: list[Progress] = []
    train(pools, base, tmp_path / "encoder", config, told.append)
    assert told[-1].step == told[-1].steps


def test_strangers_are_wrong_answers_too(base: Path, tmp_path: Path):
    example = Example.of("find rain", ["get weather"], ["get music"], ["get letter", "get news"])
    told: dict[int, list[Progress]] = {0: [], 1: []}
    for count, steps in told.items():
        config = RetrieverTraining(epochs=1, batch=2, frozen_layers=0, strangers=count)
        train([Pool([example])], base, tmp_path / str(count), config, steps.append)
    assert told[1][0].loss > told[0][0].loss


def test_what_was_trained_finds_the_tools(base: Path, tmp_path: Path):
    told = losses(base, tmp_path / "encoder")
    assert told[-1] < told[0]
    encoder = OnnxEncoder(tmp_path / "encoder")
    cosines = (
        encoder.encode([f"find {word}" for word in WORDS]) @ encoder.encode([f"get {thing}" for thing in THINGS]).T
    )
    assert (cosines.argmax(axis=1) == np.arange(len(WORDS))).mean() > 0.7, cosines.argmax(axis=1)


def test_rounding_keeps_the_vectors(base: Path, tmp_path: Path):
    losses(base, tmp_path)
    exact = TrainedEncoder(tmp_path, max_tokens=16, frozen_layers=0, device="cpu")
    exact._half = torch.autocast("cpu", torch.bfloat16, enabled=False)
    texts = ["find rain", "get picture and chart", "news"]
    with torch.no_grad():
        vectors = exact.encode(texts).numpy()
    assert (vectors * OnnxEncoder(tmp_path).encode(texts)).sum(axis=1) == pytest.approx([1, 1, 1], abs=0.01)


def test_training_goes_on_where_it_was_interrupted(base: Path, tmp_path: Path):
    whole = losses(base, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        losses(base, tmp_path / "broken", stop=5)
    assert not (tmp_path / "broken" / "model.onnx").exists()
    assert losses(base, tmp_path / "broken") == pytest.approx(whole[5:], rel=1e-3)
    assert not (tmp_path / "broken" / "checkpoint.safetensors").exists()


def test_a_checkpoint_of_another_training_is_refused(base: Path, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        losses(base, tmp_path, stop=1)
    with pytest.raises(UsageError, match="remove it, or choose another --out"):
        losses(base, tmp_path, CONFIG.model_copy(update={"seed": 1}))


def test_a_damaged_checkpoint_is_told(base: Path, tmp_path: Path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(UsageError, match="damaged"):
        losses(base, tmp_path)


def test_frozen_layers_stay_as_they_are(base: Path, tmp_path: Path):
    losses(base, tmp_path, CONFIG.model_copy(update={"frozen_layers": 1, "epochs": 2.0}))
    change: Callable[[str], bool] = lambda name: not torch.equal(before[name], after[name])  # noqa: E731
    before, after = (
        TrainedEncoder(folder, max_tokens=16, frozen_layers=0, device="cpu").network.state_dict()
        for folder in (base, tmp_path)
    )
    weight = "encoder.layer.{}.output.dense.weight"
    assert not change("embeddings.word_embeddings.weight")
    assert not change(weight.format(0))
    assert change(weight.format(1))


def test_nothing_to_train_on_is_told(base: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="nothing to train on"):
        train([], base, tmp_path, CONFIG)


def test_a_base_that_is_no_model_is_told(tmp_path: Path):
    with pytest.raises(WeightsError, match="no model that can be trained"):
        train(POOLS, tmp_path, tmp_path / "out", CONFIG)
