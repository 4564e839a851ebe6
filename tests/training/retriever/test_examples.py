import random

from deepagent.retrieval import Entry, HashEncoder
from deepagent.retrieval.labelled import LabelledSet, Query
from deepagent.tools import ToolSpec
from deepagent.training.retriever.examples import Example, Pool, Strangers, batches, labelled_pool


def pool(name: str, count: int, run: int = 0) -> Pool:
    return Pool([Example.of(f"{name} {number}", [f"tool {name} {number}"], []) for number in range(count)], run)


def names(batch: list[Example]) -> set[str]:
    return {example.parts[0].split()[0] for example in batch}


def test_lookalikes_are_found_but_never_gold():
    tools = (
        Entry(id="a", spec=ToolSpec(name="rain", description="Rain for a city.")),
        Entry(id="b", spec=ToolSpec(name="rain.", description="Rain for a city.")),
        Entry(id="c", spec=ToolSpec(name="snow", description="Snow for a city.")),
    )
    query = Query(id="1", query="Rain for my city. And the snow of tomorrow.", gold=frozenset({"a"}))
    labelled = LabelledSet(name="s", tools=tools, queries=(query,))
    (example,) = labelled_pool(labelled, HashEncoder(), Strangers([])).examples
    assert example.golds == ("rain Rain for a city.",)
    assert example.lookalikes == ("snow Snow for a city.",)  # the copy of the gold tool is none
    assert example.parts == (query.query, "Rain for my city.", "And the snow of tomorrow.")


def test_strangers_are_found_by_words_but_the_likeliest_are_passed_over():
    texts = ["rain city", "rain city forecast", "rain in a far city", "rain", "snow", "rain"]
    assert Strangers(texts).of("rain in the city") == ["rain in a far city", "rain"]


def test_an_epoch_sees_every_labelled_query_once():
    epoch = batches([pool("a", 130), pool("b", 10)], 64, 0, random.Random(0))
    seen = [example for batch in epoch for example in batch]
    assert len(seen) == len(set(seen)) == 140
    assert all(len(names(batch)) == 1 for batch in epoch)
    assert max(map(len, epoch)) - min(len(batch) for batch in epoch if names(batch) == {"a"}) <= 1


def test_made_up_wishes_come_in_runs_beside_the_labelled():
    made_up = [pool(f"m{number}", 30, run=12) for number in range(40)]
    epoch = batches([pool("a", 256), *made_up], 64, 0.5, random.Random(0))
    labelled = [batch for batch in epoch if names(batch) == {"a"}]
    assert (len(labelled), len(epoch)) == (4, 6)
    assert all(64 <= len(batch) < 64 + 12 for batch in epoch)


def test_without_labels_all_wishes_are_seen():
    epoch = batches([pool("m", 30, run=12), pool("n", 5, run=12)], 16, 0, random.Random(0))
    assert sum(map(len, epoch)) == 35


def test_nothing_makes_no_batches():
    assert batches([], 64, 1, random.Random(0)) == []
