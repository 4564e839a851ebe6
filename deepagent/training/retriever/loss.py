"""The loss: a gold tool must score above every tool that is not gold, for the query as search scores it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

from deepagent.training.retriever.examples import Example

if TYPE_CHECKING:
    from torch import Tensor


class Batch(NamedTuple):
    """Examples as texts to encode and where each one's are.

    Attributes:
        queries: the parts of each query.
        tools: the different texts of tools.
        spans: for each example, its first row among the parts of all queries, and how many rows it has.
        golds: for each example, the rows of its golds in `tools`.
    """

    queries: list[tuple[str, ...]]
    tools: list[str]
    spans: list[tuple[int, int]]
    golds: list[list[int]]


def collate(examples: Sequence[Example]) -> Batch:
    """Gather the texts of a batch; a text that several examples share stands once."""
    tools: dict[str, int] = {}
    spans, golds, count = [], [], 0
    for example in examples:
        spans.append((count, len(example.parts)))
        count += len(example.parts)
        golds.append([tools.setdefault(text, len(tools)) for text in example.golds])
        for text in example.lookalikes:
            tools.setdefault(text, len(tools))
    return Batch([example.parts for example in examples], list(tools), spans, golds)


def contrastive(queries: Tensor, tools: Tensor, batch: Batch, scale: float) -> Tensor:
    """InfoNCE (van den Oord et al. 2018, eq. 4), each gold against what is not gold: golds do not compete.

    A query of several parts counts twice with half the weight: as a whole, and as search scores it, which is the mean
    of the whole and its best part (`deepagent.retrieval.fusion`).

    Args:
        queries: vectors of length 1, shape (parts, dimension).
        tools: vectors of length 1, shape (tools, dimension).
        batch: which rows belong together.
        scale: what cosines are multiplied with; the inverse of the temperature.

    Returns:
        The mean over queries, of the mean over their golds.
    """
    cosines = queries @ tools.T
    losses = []
    for (start, count), golds in zip(batch.spans, batch.golds, strict=True):
        whole, parts = cosines[start], cosines[start + 1 : start + count]
        views = [whole, (whole + parts.amax(0)) / 2] if count > 1 else [whole]
        rows = torch.tensor(golds, device=cosines.device)
        others = torch.ones_like(whole, dtype=torch.bool)
        others[rows] = False
        for view in views:
            logits = scale * view
            wrong = torch.logsumexp(logits[others], 0)
            losses.append((torch.logaddexp(wrong, logits[rows]) - logits[rows]).mean() / len(views))
    return torch.stack(losses).sum() / len(batch.spans)
