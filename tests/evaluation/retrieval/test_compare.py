from deepagent.evaluation.retrieval.compare import compare, retrievers
from deepagent.models.scripted import ScriptedModel
from deepagent.reranking import Reranker, Reranking
from deepagent.retrieval import Entry, HashEncoder
from deepagent.retrieval.labelled import LabelledSet, Query
from deepagent.tools import ToolSpec

SPECS = (
    ToolSpec(name="list_orders", description="Orders of one customer, with sku and price."),
    ToolSpec(name="forecast", description="Tomorrow's temperature and rain for a city."),
    ToolSpec(name="translate_text", description="Translate a text into another language."),
)
IDS = ("id:orders", "id:rain", "id:words")
SHOP = LabelledSet(
    name="shop",
    tools=tuple(Entry(spec=spec, id=id) for spec, id in zip(SPECS, IDS, strict=True)),
    queries=(
        Query(id="1", query="orders of a customer", gold=frozenset({"id:orders"}), subset="one"),
        Query(id="2", query="Will it rain in the city? Translate it.", gold=frozenset({"id:rain", "id:words"})),
    ),
)


async def test_every_retriever_ranks_the_ids_of_the_set():
    for retriever in retrievers(SHOP, HashEncoder()).values():
        ranked = await retriever("temperature and rain in a city")
        assert ranked[0] == "id:rain"
        assert sorted(ranked) == sorted(IDS)


async def test_rows_are_of_the_whole_set_and_of_each_subset():
    async def oracle(query: str) -> list[str]:
        return ["id:orders"] if "orders" in query else ["id:rain", "id:words"]

    rows = [row async for row in compare(SHOP, {"oracle": oracle})]
    assert [(row.subset, row.measures.queries) for row in rows] == [("", 2), ("one", 1)]
    assert rows[0].measures.complete_10 == 1


async def test_what_a_model_chooses_comes_first():
    async def model() -> ScriptedModel:
        return ScriptedModel(chat_replies=['{"tools": [3]}'])

    ways = retrievers(SHOP, HashEncoder(), Reranker(model, Reranking()))
    fused, reranked = await ways["fused"]("rain"), await ways["reranked"]("rain")
    assert reranked == [fused[2], *fused[:2]]


async def test_a_set_of_one_part_has_no_subsets():
    async def nothing(query: str) -> list[str]:
        return []

    rows = [row async for row in compare(SHOP.first(1), {"nothing": nothing})]
    assert [row.measures.recall[20] for row in rows] == [0]
