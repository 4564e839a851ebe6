"""What a cell's author can rely on about tools."""

import asyncio

import pytest

from deepagent.errors import StoreError, ToolFailedError
from deepagent.sandbox import Kernel, SandboxConfig
from deepagent.tools import ToolSpec
from tests.sandbox.shop import SEARCH, echo


@pytest.fixture
async def shop(walls):
    async with Kernel(SandboxConfig(seconds=10), call_tool=echo) as kernel:
        await kernel.bind([SEARCH])
        yield kernel


async def test_tools_are_functions_called_by_position_or_name(shop):
    run = await shop.execute("shop_search('lamp', 3)")
    assert run.value == "{'name': 'shop.search', 'arguments': {'query': 'lamp', 'limit': 3}}"
    run = await shop.execute("shop_search(order='size', query='lamp')['arguments']")
    assert run.value == "{'order': 'size', 'query': 'lamp'}"


async def test_an_optional_argument_left_at_none_is_not_sent(shop):
    assert (await shop.execute("shop_search('lamp', None)['arguments']")).value == "{'query': 'lamp'}"


async def test_a_tool_explains_itself(shop):
    run = await shop.execute("help(shop_search)\nimport inspect\nstr(inspect.signature(shop_search))")
    assert run.value == "\"(query, limit=None, order='price')\""
    assert SEARCH.signature in run.output
    assert "Finds goods." in run.output


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("shop_search('a', 1, 'b', 2)", "TypeError: shop_search() takes at most 3 arguments, 4 were given"),
        ("shop_search('a', query='b')", "TypeError: shop_search() got two values for argument 'query'"),
        (
            "shop_search({1, 2})",
            "ToolError: the arguments of shop.search cannot be written as JSON "
            "(Object of type set is not JSON serializable); pass plain data",
        ),
        (
            "shop_search(float('nan'))",
            "ToolError: the arguments of shop.search cannot be written as JSON "
            "(Out of range float values are not JSON compliant); pass plain data",
        ),
        (
            "x = []\nx.append(x)\nshop_search(x)",
            "ToolError: the arguments of shop.search cannot be written as JSON "
            "(Circular reference detected); pass plain data",
        ),
        (
            "shop_search('a' * 100_000_000)",
            "ToolError: the arguments of shop.search are too large; pass less at a time",
        ),
        (
            "x = []\nfor _ in range(300): x = [x]\nshop_search(x)",
            "ToolError: the arguments of shop.search are nested too deeply; pass them flat",
        ),
    ],
)
async def test_a_wrong_call_is_an_error_in_the_cell(shop, call, error):
    run = await shop.execute(call)
    assert (run.error or "").endswith(error)


@pytest.mark.parametrize(
    ("code", "arrives"),
    [("'\\ud800'", "?"), ("'\\ud83d\\ude00'", "\N{GRINNING FACE}"), ("{'\\udfff': ['\\udfff']}", {"?": ["?"]})],
)
async def test_half_a_surrogate_pair_in_an_argument_costs_no_variables(walls, code, arrives):
    seen = []

    async def note(name, arguments):
        seen.append(arguments["query"])

    async with Kernel(SandboxConfig(seconds=10), call_tool=note) as kernel:
        await kernel.bind([SEARCH])
        run = await kernel.execute(f"shop_search({code})")
        assert (run.error, run.restarted, seen) == (None, False, [arrives])


@pytest.mark.parametrize(
    "parameters",
    [
        {"properties": 7, "required": 7},
        {"properties": ["a"], "required": ["a"]},
        {"properties": {"a": 7}, "required": None},
        {"properties": {"a": {}}, "required": "a"},
        {"properties": {"a": {}, "b": {"type": "dict"}}, "required": ["b", "c", {}]},
        {"properties": {"a": {"default": float("nan")}, "b": {"default": object()}}},
        {"properties": {"arguments": {}, "arguments_": {}, "content-type": {}}},
        {"properties": {"": {}, ".0": {}, "implicit0": {}, "class": {}, "self": {}, "ﬁ": {}, "fi": {}}},
    ],
    ids=str,
)
async def test_a_tool_with_a_hostile_schema_costs_the_other_tools_nothing(walls, parameters):
    async with Kernel(SandboxConfig(seconds=10), call_tool=echo) as kernel:
        await kernel.bind([ToolSpec(name="strange", parameters=parameters), SEARCH])
        run = await kernel.execute("help(strange)\nshop_search('a')['name']")
        assert (run.value, run.error) == ("'shop.search'", None)
        assert "strange(" in run.output
        run = await kernel.execute("strange(**{'content-type': 1})['arguments']")
        assert run.value == "{'content-type': 1}"


async def test_a_tool_error_can_be_caught_by_the_cell(walls):
    async def broken(name, arguments):
        raise ToolFailedError("the shop is closed; try tomorrow")

    async with Kernel(call_tool=broken) as kernel:
        await kernel.bind([SEARCH])
        run = await kernel.execute("try:\n    shop_search('a')\nexcept ToolError as error:\n    print(error)")
        assert run.output == "the shop is closed; try tomorrow\n"
        assert "ToolError: the shop is closed" in ((await kernel.execute("shop_search('a')")).error or "")


async def test_an_error_that_is_not_the_model_s_leaves_execute(walls):
    async def broken(name, arguments):
        raise StoreError("the disk is full")

    async with Kernel(call_tool=broken) as kernel:
        await kernel.bind([SEARCH])
        with pytest.raises(StoreError):
            await kernel.execute("shop_search('a')")
        assert (await kernel.execute("1")).restarted


@pytest.mark.parametrize("result", [None, True, 1.5, "text", '{"a": 1}', [1, [2]], {"a": {"b": None}}, "ü\ud800\n"])
async def test_results_arrive_as_they_are(walls, result):
    async def give(name, arguments):
        return result

    async with Kernel(call_tool=give) as kernel:
        await kernel.bind([SEARCH])
        assert (await kernel.execute("print(repr(shop_search('a')))")).output == repr(result) + "\n"


async def test_other_results_arrive_as_data_or_text_and_too_large_ones_as_an_error(walls):
    results = iter([SEARCH, object, float("nan"), "x" * 2**24])

    async def give(name, arguments):
        return next(results)

    async with Kernel(call_tool=give) as kernel:
        await kernel.bind([SEARCH])
        assert (await kernel.execute("shop_search('a')['description']")).value == "'Finds goods.'"
        assert (await kernel.execute("type(shop_search('a')).__name__")).value == "'str'"
        assert (await kernel.execute("shop_search('a')")).value == "nan"
        assert "larger than" in ((await kernel.execute("shop_search('a')")).error or "")


async def test_a_tool_that_was_found_by_a_cell_can_be_called_in_the_same_cell(walls):
    async def find(name, arguments):
        await kernel.bind([ToolSpec(name="found")])
        return name

    async with Kernel(call_tool=find) as kernel:
        await kernel.bind([SEARCH])
        assert (await kernel.execute("shop_search('a') + ' ' + found()")).value == "'shop.search found'"


async def test_tools_can_be_called_from_threads(shop):
    run = await shop.execute(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    found = list(pool.map(lambda n: shop_search(str(n))['arguments']['query'], range(50)))\n"
        "found == [str(n) for n in range(50)]"
    )
    assert run.value == "True"


async def test_a_slow_tool_ends_with_the_cell_and_its_late_result_is_not_mixed_up(walls):
    cancelled = []

    async def slow(name, arguments):
        try:
            await asyncio.sleep(99 if arguments["query"] == "slow" else 0)
        except asyncio.CancelledError:
            cancelled.append(name)
            raise
        return arguments["query"]

    async with Kernel(SandboxConfig(seconds=0.3), call_tool=slow) as kernel:
        await kernel.bind([SEARCH])
        run = await kernel.execute("x = 1\nshop_search('slow')")
        assert (run.error_kind, run.restarted) == ("timeout", False)
        assert cancelled == ["shop.search"]
        assert (await kernel.execute("x, shop_search('quick')")).value == "(1, 'quick')"


async def test_a_forked_child_cannot_call_tools(shop):
    child = "import os\nif os.fork() == 0:\n    try: shop_search('a')\n    except ToolError as error: print(error)\n"
    run = await shop.execute(child + "    os._exit(0)\nos.wait()")
    assert "cannot be called from a forked process" in run.output
    assert (await shop.execute("shop_search('a')['name']")).value == "'shop.search'"
