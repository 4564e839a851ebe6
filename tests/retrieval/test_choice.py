from pathlib import Path

import pytest

from deepagent.errors import UsageError
from deepagent.retrieval import HashEncoder, SentenceEncoder
from deepagent.retrieval.choice import ENCODERS, known_encoder, open_encoder
from deepagent.retrieval.onnx import OnnxEncoder


def test_our_encoders_need_no_download():
    assert all(known_encoder(name) and len(open_encoder(name).encode(["rain"])) == 1 for name in ENCODERS)


def test_the_usual_one_knows_meaning():
    assert isinstance(open_encoder(), OnnxEncoder)
    assert isinstance(open_encoder("hash"), HashEncoder)


def test_a_folder_says_by_its_files_what_it_is(tmp_path: Path):
    assert isinstance(open_encoder(str(tmp_path)), SentenceEncoder)
    (tmp_path / "model.onnx").touch()
    assert isinstance(open_encoder(str(tmp_path)), OnnxEncoder)
    assert known_encoder(str(tmp_path))


def test_an_unknown_name_tells_the_known_ones():
    assert not known_encoder("large")
    with pytest.raises(UsageError, match="known are minilm-tools, hash"):
        open_encoder("large")
