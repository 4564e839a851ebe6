"""The encoder that comes with the package."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import deepagent.retrieval
from deepagent.errors import WeightsError
from deepagent.retrieval import ToolIndex
from deepagent.retrieval.choice import TUNED, open_encoder
from deepagent.retrieval.onnx import OnnxEncoder, part_tokens

from .conftest import SHOP

FOLDER = Path(deepagent.retrieval.__file__).parent / "weights" / TUNED
TEXTS = ["list the orders of a customer", "show purchases", "rain tomorrow in Oslo"]


@pytest.fixture(scope="module")
def encoder() -> OnnxEncoder:
    return OnnxEncoder(FOLDER)


def test_rows_have_length_one(encoder: OnnxEncoder):
    vectors = encoder.encode(TEXTS)
    assert (vectors.shape, vectors.dtype, encoder.dimension) == ((3, 384), np.float32, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


def test_purchases_are_orders(encoder: OnnxEncoder):
    orders, purchases, rain = encoder.encode(TEXTS)
    assert orders @ purchases > orders @ rain + 0.2


def test_a_vector_does_not_depend_on_its_neighbours(encoder: OnnxEncoder):
    alone = encoder.encode([TEXTS[0]])[0]
    among = encoder.encode([TEXTS[2] * 9, TEXTS[0], *TEXTS])[1]
    assert (alone == among).all()


def test_threads_get_the_same_vectors(encoder: OnnxEncoder):
    expected = encoder.encode(TEXTS)
    fresh = OnnxEncoder(FOLDER)
    with ThreadPoolExecutor(4) as pool:
        assert all((vectors == expected).all() for vectors in pool.map(lambda _: fresh.encode(TEXTS), range(8)))


def test_hostile_texts_are_read(encoder: OnnxEncoder):
    vectors = encoder.encode(
        ["", "\x00\x1b[31m", "x" * 50_000, "word " * 20_000, "天気予報", "[CLS] [SEP] [PAD]", "💥"]
    )
    assert np.isfinite(vectors).all()


def test_no_text_gives_no_rows(encoder: OnnxEncoder):
    assert encoder.encode([]).shape == (0, 384)


def test_progress_ends_with_all_texts(encoder: OnnxEncoder):
    seen: list[tuple[int, int]] = []
    encoder.encode(TEXTS, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 3)]


def test_a_wish_finds_its_tool_without_a_common_word(encoder: OnnxEncoder):
    index = ToolIndex.build(SHOP, encoder)
    assert index.search("do I need an umbrella")[0].spec.name == "forecast"
    assert index.search("which things did this client buy")[0].spec.name == "list_orders"


QUERY = [
    "List the orders of a customer. Then see if it rains.",
    "List the orders of a customer.",
    "Then see if it rains.",
]


def test_the_parts_of_a_query_are_seen_in_one_pass(encoder: OnnxEncoder):
    whole, orders, rain = encoder.encode_queries([QUERY])
    alone = encoder.encode(QUERY)
    assert (whole == alone[0]).all()
    assert np.linalg.norm([orders, rain], axis=1) == pytest.approx([1, 1], abs=1e-5)
    # Each is most like itself, and what surrounds it has its say.
    assert orders @ alone[1] > orders @ alone[2]
    assert rain @ alone[2] > rain @ alone[1]
    assert rain @ whole > alone[2] @ alone[0]


def test_queries_do_not_depend_on_each_other(encoder: OnnxEncoder):
    together = encoder.encode_queries([[TEXTS[2]], QUERY])
    assert (together == np.concatenate([encoder.encode_queries([[TEXTS[2]]]), encoder.encode_queries([QUERY])])).all()


def test_a_part_beyond_the_last_token_is_encoded_by_itself(encoder: OnnxEncoder):
    last = "Then see if it rains."
    parts = [f"{'word ' * 200}. {last}", "word " * 200, last]
    _, cut, beyond = encoder.encode_queries([parts])
    assert (beyond == encoder.encode([last])[0]).all()
    assert (cut == encoder.encode([parts[1]])[0]).all()


def test_the_tokens_of_a_part_are_those_within_it():
    offsets = [(0, 0), (0, 2), (2, 3), (4, 6), (6, 7), (0, 0)]
    assert part_tokens("ab. cd.", "ab.", offsets) == slice(1, 3)
    assert part_tokens("ab. cd.", "cd.", offsets) == slice(3, 5)
    assert part_tokens("ab. cd.", "xy", offsets) is None
    assert part_tokens("ab. cd. ef.", "ef.", offsets) is None
    assert part_tokens("", "", []) is None


def test_a_missing_file_is_told(tmp_path: Path):
    shutil.copy(FOLDER / "model.onnx", tmp_path)
    with pytest.raises(WeightsError, match=r"tokenizer.json cannot be read"):
        OnnxEncoder(tmp_path).encode(["a"])


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_damaged_file_is_told(tmp_path: Path, name: str):
    folder = tmp_path / "copy"
    shutil.copytree(FOLDER, folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:1000])
    with pytest.raises(WeightsError, match="is damaged, or no ONNX encoder"):
        OnnxEncoder(folder).encode(["a"])


def test_another_tokenizer_makes_another_encoder(tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(FOLDER, folder)
    assert OnnxEncoder(folder).name == OnnxEncoder(FOLDER).name
    (folder / "tokenizer.json").write_text("{}")
    assert OnnxEncoder(folder).name != OnnxEncoder(FOLDER).name


def test_torch_is_not_needed():
    code = (
        "import sys; from deepagent.retrieval.choice import open_encoder as o; o().encode(['a']); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "onnxruntime" in loaded
    assert not {"torch", "transformers", "sentence_transformers"} & set(loaded)
    assert open_encoder().name.startswith("onnx:")
