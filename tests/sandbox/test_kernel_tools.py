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


# At one time


class Meeting:
    """A tool whose calls return only when enough of them wait at one time."""

    def __init__(self, count):
        self._barrier = asyncio.Barrier(count)

    async def __call__(self, name, arguments):
        await self._barrier.wait()
        return arguments["query"]


@pytest.mark.parametrize(
    "code",
    [
        "import asyncio\nawait asyncio.gather(*(shop_search.aio(str(n)) for n in range(5)))",
        "import asyncio\nawait asyncio.gather(*(asyncio.to_thread(shop_search, str(n)) for n in range(5)))",
        "from concurrent.futures import ThreadPoolExecutor\nlist(ThreadPoolExecutor(5).map(shop_search, '01234'))",
        "import asyncio\nasync def main():\n    async with asyncio.TaskGroup() as group:\n"
        "        tasks = [group.create_task(shop_search.aio(str(n))) for n in range(5)]\n"
        "    return [task.result() for task in tasks]\nasyncio.run(main())",
        "import asyncio\nthreads = [asyncio.to_thread(shop_search, n) for n in '012']\n"
        "await asyncio.gather(*threads, shop_search.aio('3'), shop_search.aio('4'))",
    ],
    ids=["gather", "threads", "executor", "task group", "both"],
)
async def test_calls_run_at_one_time_and_results_find_their_callers(walls, code):
    async with Kernel(SandboxConfig(seconds=10), call_tool=Meeting(5)) as kernel:
        await kernel.bind([SEARCH])
        for _ in range(3):
            assert (await kernel.execute(code)).value == "['0', '1', '2', '3', '4']"


async def test_one_that_fails_is_an_exception_among_the_others(walls):
    async def picky(name, arguments):
        if arguments["query"] == "bad":
            raise ToolFailedError("out of stock")
        return arguments["query"]

    code = (
        "import asyncio\n"
        "found = await asyncio.gather(shop_search.aio('a'), shop_search.aio('bad'), return_exceptions=True)\n"
        "found[0], str(found[1]), type(found[1]).__name__"
    )
    async with Kernel(call_tool=picky) as kernel:
        await kernel.bind([SEARCH])
        assert (await kernel.execute(code)).value == "('a', 'out of stock', 'ToolError')"


@pytest.mark.parametrize("code", ["await shop_search('a')", "import asyncio\nawait asyncio.gather(shop_search('a'))"])
async def test_who_awaits_a_plain_function_is_told_how_to(shop, code):
    run = await shop.execute(code)
    assert "write await tool.aio(...)" in (run.error or "")


async def test_no_more_calls_run_at_one_time_than_the_host_allows(walls, monkeypatch):
    monkeypatch.setattr("deepagent.sandbox.kernel.MOST_CALLS", 3)
    running = most = 0

    async def count(name, arguments):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return arguments["query"]

    async with Kernel(SandboxConfig(seconds=10), call_tool=count) as kernel:
        await kernel.bind([SEARCH])
        code = "import asyncio\nlen(await asyncio.gather(*(shop_search.aio(str(n)) for n in range(20))))"
        assert (await kernel.execute(code)).value == "20"
    assert most == 3


async def test_a_call_that_a_thread_leaves_behind_ends_with_its_cell(walls):
    ended = []

    async def slow(name, arguments):
        try:
            await asyncio.sleep(99 if arguments["query"] == "slow" else 0)
        except asyncio.CancelledError:
            ended.append(arguments["query"])
            raise
        return arguments["query"]

    code = (
        "import threading\ntold = []\n"
        "def work():\n"
        "    try: shop_search('slow')\n"
        "    except ToolError as error: told.append(str(error))\n"
        "thread = threading.Thread(target=work)\nthread.start()\nshop_search('quick')"
    )
    async with Kernel(SandboxConfig(seconds=10), call_tool=slow) as kernel:
        await kernel.bind([SEARCH])
        assert (await kernel.execute(code)).value == "'quick'"
        assert ended == ["slow"]
        assert (await kernel.execute("thread.join(); told")).value == "['the cell ended before the tool did']"


async def test_a_late_cell_gives_up_all_its_calls(walls):
    ended = []

    async def slow(name, arguments):
        try:
            await asyncio.sleep(99 if arguments["query"] == "slow" else 0)
        except asyncio.CancelledError:
            ended.append(arguments["query"])
            raise
        return arguments["query"]

    async with Kernel(SandboxConfig(seconds=0.3), call_tool=slow) as kernel:
        await kernel.bind([SEARCH])
        code = "import asyncio\nx = 1\nawait asyncio.gather(*(shop_search.aio('slow') for _ in range(3)))"
        run = await kernel.execute(code)
        assert (run.error_kind, run.restarted, ended) == ("timeout", False, ["slow"] * 3)
        assert (await kernel.execute("x, await shop_search.aio('quick')")).value == "(1, 'quick')"


async def test_a_final_answer_is_told_with_the_cell(kernel):
    run = await kernel.execute("print('so')\nfinal_answer({'a': 1})\nprint('not reached')")
    assert (run.output, run.answer, run.error, run.value) == ("so\n", "{'a': 1}", None, None)
    assert (await kernel.execute("1")).answer is None
