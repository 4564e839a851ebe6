"""A cache with room behind holds what a plain one holds."""

import pytest
import torch

transformers = pytest.importorskip("transformers")

from deepagent.models import room  # noqa: E402


def test_it_holds_the_same_as_without_room():
    chance = torch.Generator().manual_seed(0)
    plain, roomy = transformers.DynamicCache(), transformers.DynamicCache()

    def add(rows: int, tokens: int) -> None:
        keys, values = torch.rand((2, rows, 2, tokens, 4), generator=chance)
        for one in zip(plain.update(keys, values, 0), roomy.update(keys, values, 0), strict=True):
            assert torch.equal(*one)

    add(3, 5)
    room.make_room(roomy)
    for tokens in (1, 1, room._ROOM + 1, 1):
        add(3, tokens)
    for cache in (plain, roomy):
        cache.batch_select_indices(torch.tensor([2, 0]))
    add(2, 1)
    add(2, 1)
    assert roomy.get_seq_length() == plain.get_seq_length() == room._ROOM + 11
