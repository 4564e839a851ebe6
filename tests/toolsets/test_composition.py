"""Sources side by side: every tool keeps a name of its own, whatever its neighbours are called."""

from hypothesis import given
from hypothesis import strategies as st

from deepagent.tools import Tool, ToolSpec
from deepagent.toolsets.composition import Composition
from deepagent.toolsets.functions import tool
from deepagent.toolsets.schemas import SchemaTools


def toolset(name: str, *names: str) -> SchemaTools:
    return SchemaTools(name, [ToolSpec(name=one) for one in names], lambda called, arguments: f"{name}.{called}")


def names(*sources) -> list[str]:
    composition = Composition(reserved=["recall"])
    for source in sources:
        composition.add(source)
    return [one.name for one in composition()]


def test_names_that_nobody_shares_stay_as_they_are():
    assert names(toolset("a", "one"), toolset("b", "two")) == ["one", "two"]


def test_a_shared_name_is_led_by_its_source_in_each():
    assert names(toolset("a", "get", "x"), toolset("b", "get")) == ["a_get", "x", "b_get"]


def test_names_that_code_could_not_tell_apart_are_shared_too():
    assert names(toolset("a", "get-it"), toolset("b", "get_it")) == ["a_get-it", "b_get_it"]


def test_loose_tools_keep_their_names_and_built_in_ones_are_never_taken():
    @tool
    def get() -> str:
        """Mine."""
        return ""

    assert names(toolset("a", "get", "recall"), get) == ["get", "a_get", "a_recall"]


def test_sources_of_one_name_are_told_apart():
    assert names(toolset("a", "get"), toolset("a", "get")) == ["a_get", "a_2_get"]


async def test_a_renamed_tool_is_still_the_same_call():
    composition = Composition()
    for source in (toolset("a", "get"), toolset("b", "get")):
        composition.add(source)
    assert [await one.invoke({}) for one in composition()] == ["a.get", "b.get"]


def test_what_a_source_changes_is_seen_and_what_stays_is_the_same_object():
    changing = toolset("a", "one", "two")
    composition = Composition()
    composition.add(changing)
    before = composition()
    assert composition() is before
    changing.tools = (Tool(ToolSpec(name="one", toolset="a"), changing.tools[0].invoke), *toolset("a", "three").tools)
    after = composition()
    assert [one.name for one in after] == ["one", "three"]
    assert after[0] is before[0]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", ""]),
            st.lists(st.sampled_from(["x", "a_x", "x-y", "x_y", "recall"]), unique=True),
        ),
        max_size=5,
    )
)
def test_identifiers_are_always_unique(sources):
    composition = Composition(reserved=["recall"])
    for name, tools in sources:
        composition.add(toolset(name, *tools))
    identifiers = [one.spec.identifier for one in composition()]
    assert len(set(identifiers)) == len(identifiers) == sum(len(tools) for _, tools in sources)
    assert "recall" not in identifiers
