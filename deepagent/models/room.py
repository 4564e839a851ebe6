"""A cache of keys and values that has room behind them, so that one more token is not a copy of all."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

_ROOM = 64
"""Tokens that fit in before a layer must be copied again."""


def make_room(cache: Cache) -> None:
    """Let the layers that keep everything write behind what they hold; others stay as they are."""
    for place, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.is_initialized:
            cache.layers[place] = _Roomy(layer)


class _Roomy(DynamicLayer):  # type: ignore[misc]
    """A layer whose keys and values are the front of something longer."""

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        self.dtype, self.device = layer.dtype, layer.device
        self.keys, self.values = layer.keys, layer.values
        self.is_initialized = True
        self._longer: list[Tensor | None] = [None, None]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Take in what is new."""
        self.keys = self._behind(0, self.keys, key_states)
        self.values = self._behind(1, self.values, value_states)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Go on with these rows: as copies, whose room must be made anew."""
        super().batch_select_indices(indices)
        self._longer = [None, None]

    def _behind(self, place: int, old: Tensor, new: Tensor) -> Tensor:
        rows, heads, held, width = old.shape
        length = held + new.shape[-2]
        longer = self._longer[place]
        if longer is None or longer.shape[-2] < length:
            longer = old.new_empty((rows, heads, length + _ROOM, width))
            longer[:, :, :held] = old
            self._longer[place] = longer
        longer[:, :, held:length] = new
        return longer[:, :, :length]
