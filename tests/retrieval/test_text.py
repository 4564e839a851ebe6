import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepagent.retrieval.text import MAX_QUERY, MAX_TEXT, clean, query_parts, stem, tool_text, words
from deepagent.tools import ToolSpec

ANY_TEXT = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("getUserByID", "get User By ID"),
        ("list_orders-v2", "list orders v2"),
        ("GET /movie/{movie_id}", "GET movie movie id"),
        ("HTTPServerStatus", "HTTP Server Status"),
        ("encode_base64", "encode base64"),
    ],
)
def test_names_are_split_into_words(name: str, expected: str):
    assert tool_text(ToolSpec(name=name)) == expected


def test_the_text_of_a_tool_is_toolset_name_and_description():
    spec = ToolSpec(name="listOrders", toolset="web_shop", description="All orders\nof a customer.")
    assert tool_text(spec) == "web shop list Orders All orders of a customer."


def test_a_huge_description_is_cut():
    assert len(tool_text(ToolSpec(name="big", description="word " * 200_000))) <= MAX_TEXT


@given(ANY_TEXT, st.integers(1, 50))
def test_clean_text_is_one_printable_line_within_its_limit(text: str, limit: int):
    cleaned = clean(text, limit)
    assert len(cleaned) <= limit
    assert cleaned.isprintable()
    assert cleaned == cleaned.strip()


def test_common_words_carry_no_search():
    assert words("What is the price of it?") == [stem("price")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("booking", "books"),
        ("movies", "movie"),
        ("cities", "city"),
        ("created", "create"),
        ("planning", "plan"),
    ],
)
def test_forms_of_a_word_share_a_stem(one: str, other: str):
    assert stem(one) == stem(other)


@pytest.mark.parametrize("word", ["sing", "red", "class", "status", "analysis", "gas"])
def test_words_that_only_look_inflected_are_left_alone(word: str):
    assert stem(word) == word


def test_a_language_without_spaces_is_searched_by_character():
    assert words("天気予報 Tokyo") == ["天", "気", "予", "報", "tokyo"]


def test_a_query_of_one_sentence_is_only_itself():
    assert query_parts("Find the cheapest flight to Oslo.") == ["Find the cheapest flight to Oslo."]


def test_a_query_of_several_sentences_is_the_whole_and_each_of_them():
    query = "Find a flight to Oslo. Thanks! Then book a hotel there."
    assert query_parts(query) == [query, "Find a flight to Oslo.", "Then book a hotel there."]


def test_lines_and_full_width_stops_end_sentences():
    query = "the weather in Tokyo tomorrow\nan umbrella that is cheap"
    assert query_parts(query)[1:] == query.split("\n")


@given(ANY_TEXT)
def test_a_query_says_nothing_or_begins_with_all_of_itself(query: str):
    parts = query_parts(query)
    assert all(part and len(part) <= MAX_QUERY for part in parts)
    assert parts[:1] == ([clean(query, MAX_QUERY)] if clean(query, MAX_QUERY) else [])


def test_a_very_long_query_has_few_parts():
    assert len(query_parts("I need a tool that does this. " * 4_000)) < 20
