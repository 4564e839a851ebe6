import math

import pytest
import torch

from deepagent.training.retriever.examples import Example
from deepagent.training.retriever.loss import collate, contrastive


def example(parts: list[str], golds: list[str], lookalikes: list[str]) -> Example:
    return Example(tuple(parts), tuple(golds), tuple(lookalikes))


def test_texts_are_gathered_and_shared_ones_stand_once():
    batch = collate([example(["q", "p"], ["a", "b"], ["c"]), example(["r"], ["c"], ["a"])])
    assert batch.queries == [("q", "p"), ("r",)]
    assert batch.tools == ["a", "b", "c"]
    assert batch.spans == [(0, 2), (2, 1)]
    assert batch.golds == [[0, 1], [2]]


def test_the_loss_of_one_query_by_hand():
    batch = collate([example(["q"], ["gold"], ["wrong", "worse"])])
    queries = torch.tensor([[1.0, 0.0]])
    tools = torch.tensor([[0.6, 0.8], [0.8, 0.6], [0.0, 1.0]])
    expected = -math.log(math.exp(6) / (math.exp(6) + math.exp(8) + math.exp(0)))
    assert contrastive(queries, tools, batch, 10).item() == pytest.approx(expected, rel=1e-5)


def test_golds_of_one_query_do_not_compete():
    queries, gold, wrong = torch.tensor([[1.0, 0.0]]), [0.8, 0.6], [0.0, 1.0]
    one = contrastive(queries, torch.tensor([gold, wrong]), collate([example(["q"], ["a"], ["w"])]), 10)
    two = contrastive(queries, torch.tensor([gold, gold, wrong]), collate([example(["q"], ["a", "b"], ["w"])]), 10)
    assert two.item() == pytest.approx(one.item())


def test_a_tool_that_serves_one_part_costs_less_with_the_parts():
    serves_part = torch.tensor([[0.0, 1.0], [0.6, 0.8]])
    whole, part = [1.0, 0.0], [0.0, 1.0]
    alone = contrastive(torch.tensor([whole]), serves_part, collate([example(["q"], ["a"], ["w"])]), 10)
    split = contrastive(torch.tensor([whole, part]), serves_part, collate([example(["q", "p"], ["a"], ["w"])]), 10)
    assert split < alone
