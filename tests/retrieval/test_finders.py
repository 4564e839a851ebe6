"""Tools that find what other tools must be told."""

import numpy as np
import pytest

from deepagent.retrieval import HashEncoder, ToolIndex
from deepagent.retrieval.finders import Finders, found, needed
from deepagent.retrieval.fusion import FINDER_WEIGHT, with_finders
from deepagent.tools import ToolSpec


def tool(name: str, description: str = "", *required: str, toolset: str = "films") -> ToolSpec:
    properties = {parameter: {"type": "string"} for parameter in required}
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return ToolSpec(name=name, description=description, toolset=toolset, parameters=schema)


CREDITS = tool("movie_credits", "Get the films of a person.", "person_id")
PEOPLE = tool("search_people", "Search for a person by name.")
REVIEWS = tool("movie_reviews", "Get the reviews of a film.", "movie_id")
OTHERS = [tool(f"genre_{number}", f"Get genre {number} of the films of a person.") for number in range(12)]


@pytest.mark.parametrize(
    ("spec", "things"),
    [
        (CREDITS, {"person"}),
        (tool("getUser", "", "userId"), {"user"}),
        (tool("ship", "", "external_order_uuid"), {"order"}),
        (tool("GET /albums/{id}/tracks"), {"album"}),
        (tool("GET /tv/{tv_id}/season/{season_number}"), {"tv"}),
        (tool("get", "", "id"), set()),
        (tool("void", "", "paid", "idea"), set()),
        (PEOPLE, set()),
    ],
)
def test_what_a_tool_needs_is_read_off_its_ids(spec: ToolSpec, things: set[str]):
    assert needed(spec) == things


def test_what_is_not_required_is_not_needed():
    optional = CREDITS.model_copy(update={"parameters": {"type": "object", "properties": {"person_id": {}}}})
    assert needed(optional) == set()


@pytest.mark.parametrize("required", ["person_id", 5, [5, None], {"person_id": True}])
def test_a_schema_that_is_none_needs_nothing(required: object):
    assert needed(CREDITS.model_copy(update={"parameters": {"required": required}})) == set()


def test_only_tools_that_search_find_things():
    assert "person" in found(PEOPLE)
    assert found(CREDITS) == set()
    assert "person" not in found(tool("find_films", "Find the films of a person.", "person_id"))


def test_finders_are_of_the_same_toolset():
    finders = Finders.of(
        [b"films", b"films", b"songs", b""],
        [frozenset({"person"}), frozenset(), frozenset({"person"}), frozenset({"person"})],
        [frozenset(), frozenset({"person"}), frozenset(), frozenset({"person"})],
    )
    assert [finders.needs_of(row) for row in range(4)] == [[b"person"], [], [b"person"], []]
    assert finders.of_thing(b"films", b"person").tolist() == [1]
    assert finders.of_thing(b"songs", b"person").tolist() == []
    assert finders.of_thing(b"", b"person").tolist() == []


def test_a_finder_gains_a_share_of_the_best_tool_that_needs_it():
    scores = np.array([0.8, 0.6, 0.1, 0.5], np.float32)
    raised = with_finders(scores, np.array([[2, 1], [2, 0]]))
    assert raised == pytest.approx([0.8, 0.6, 0.1 + FINDER_WEIGHT * 0.8, 0.5])


def test_a_finder_does_not_pass_the_tool_that_needs_it():
    scores = np.array([0.8, 0.75, 0.9], np.float32)
    assert with_finders(scores, np.array([[1, 0]])) == pytest.approx([0.8, 0.8, 0.9])
    assert with_finders(scores, np.array([[2, 0]])) == pytest.approx([0.8, 0.75, 0.9])


def place(index: ToolIndex, wish: str, name: str) -> int:
    return [hit.spec.name for hit in index.search(wish, len(index))].index(name)


def test_who_asks_for_films_of_somebody_gets_the_search_for_people_too():
    wish = "the credits of Sofia Coppola"
    people = PEOPLE.model_copy(update={"toolset": "elsewhere"})
    apart = ToolIndex.build([CREDITS, REVIEWS, people, *OTHERS], HashEncoder())
    together = ToolIndex.build([CREDITS, REVIEWS, PEOPLE, *OTHERS], HashEncoder())
    assert place(together, wish, PEOPLE.name) < place(apart, wish, PEOPLE.name)


def test_a_finder_that_came_later_or_went_counts_as_in_an_index_built_at_once():
    wish = "the credits of Sofia Coppola"
    later = ToolIndex.build([CREDITS, REVIEWS, *OTHERS], HashEncoder()).updated([PEOPLE])
    at_once = ToolIndex.build([CREDITS, REVIEWS, PEOPLE, *OTHERS], HashEncoder())
    assert place(later, wish, PEOPLE.name) == place(at_once, wish, PEOPLE.name)
    gone = at_once.updated(without=[PEOPLE.name])
    assert PEOPLE.name not in [hit.spec.name for hit in gone.search(wish, 20)]


def test_a_finder_is_found_however_far_down_it_stands():
    # More tools than are looked at, all of them nearer to the wish than the finder is.
    crowd = [tool(f"credits_{number}", "Credits of Sofia Coppola.", toolset="crowd") for number in range(400)]
    finder = tool("lookup", "Person.")
    index = ToolIndex.build([CREDITS, finder, *crowd], HashEncoder(32))
    best = [hit.spec.name for hit in index.search("movie credits, films of a person", 20)]
    assert {CREDITS.name, finder.name} <= set(best)
    assert CREDITS.name not in [hit.spec.name for hit in index.search("movie credits", 20, toolset="crowd")]
