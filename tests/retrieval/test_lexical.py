import pytest

from deepagent.retrieval.lexical import LexicalIndex


def test_a_rare_word_outweighs_a_common_one():
    scores = LexicalIndex(["weather city", "weather today", "tax city", "weather map"]).scores(["tax weather"])[0]
    assert scores.argmax() == 2


@pytest.mark.parametrize("texts", [["one"], [""], ["", "one two"], ["the of and"], []])
@pytest.mark.parametrize("query", ["one", "unknown", "", "the", "!?"])
def test_no_text_and_no_query_is_too_small(texts: list[str], query: str):
    scores = LexicalIndex(texts).scores([query])
    assert scores.shape == (1, len(texts))
    assert (scores >= 0).all()


def test_tools_without_the_words_score_zero():
    assert LexicalIndex(["orders", "rain"]).scores(["rain", "snow"]).tolist()[1] == [0, 0]


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]):
    LexicalIndex(["orders", "rain"]).scores(["rain"])
    assert capfd.readouterr() == ("", "")
