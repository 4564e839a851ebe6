from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.errors import UsageError, WeightsError
from deepagent.retrieval import HashEncoder, SentenceEncoder

TEXTS = ["list the orders of a customer", "show purchases", "rain tomorrow in Oslo"]


@given(st.lists(st.text(max_size=40), max_size=5))
def test_hashed_rows_have_length_one_or_zero(texts: list[str]):
    vectors = HashEncoder(64).encode(texts)
    assert vectors.shape == (len(texts), 64)
    assert vectors.dtype == np.float32
    assert all(length == pytest.approx(1, abs=1e-5) or length == 0 for length in np.linalg.norm(vectors, axis=1))


def test_a_hashed_vector_does_not_depend_on_its_neighbours():
    alone = HashEncoder().encode([TEXTS[0]])
    assert (HashEncoder().encode(TEXTS)[0] == alone[0]).all()


def test_hashing_forgives_a_typing_error():
    orders, misspelt, rain = HashEncoder().encode([TEXTS[0], "list the ordrs of a custmer", TEXTS[2]])
    assert orders @ misspelt > orders @ rain + 0.2


def test_the_size_is_part_of_the_name():
    assert HashEncoder(64).name != HashEncoder(128).name


def test_a_vector_needs_a_dimension():
    with pytest.raises(UsageError, match="at least one dimension"):
        HashEncoder(0)


def test_progress_ends_with_all_texts():
    seen: list[tuple[int, int]] = []
    HashEncoder().encode(TEXTS, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)


def test_a_folder_without_weights_is_named(tmp_path: Path):
    with pytest.raises(WeightsError, match="no model weights"):
        SentenceEncoder(tmp_path).encode(["a"])


def test_a_folder_that_is_no_model_is_named(tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="is not a sentence-transformers model"):
        SentenceEncoder(tmp_path).encode(["a"])


def test_the_name_follows_the_weights_and_not_the_folder(tmp_path: Path):
    names = []
    for folder, content in (("one", b"A"), ("two", b"A"), ("three", b"B")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.safetensors").write_bytes(content)
        names.append(SentenceEncoder(tmp_path / folder).name)
    assert names[0] == names[1] != names[2]


@pytest.mark.weights
def test_minilm_knows_that_purchases_are_orders(minilm: SentenceEncoder):
    vectors = minilm.encode(TEXTS)
    assert vectors.shape == (3, minilm.dimension) == (3, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


@pytest.mark.weights
def test_minilm_reads_hostile_text(minilm: SentenceEncoder):
    vectors = minilm.encode(["", "\x00\x1b[31m", "x" * 50_000, "天気予報", "[CLS] [SEP] [PAD]"])
    assert np.isfinite(vectors).all()


@pytest.mark.weights
def test_minilm_prints_nothing(minilm: SentenceEncoder, capfd: pytest.CaptureFixture[str]):
    SentenceEncoder(minilm._folder).encode(["a"])
    assert capfd.readouterr() == ("", "")


@pytest.mark.weights
def test_minilm_serves_several_threads(minilm: SentenceEncoder):
    encoder = SentenceEncoder(minilm._folder)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda length: encoder.encode(["rain in Oslo"] * length), range(1, 13)))
    assert all(vectors[0] == pytest.approx(results[0][0], abs=1e-5) for vectors in results)
