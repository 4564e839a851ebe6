"""A network that reads once what all rows of a batch begin with, forwards and backwards.

The prompts of an agent differ in little but the task, and those of one group not at all: of a batch's tokens most are
the same in every row. Rows of like length are read together, so that little is read behind their ends.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_TOGETHER = 8
"""Rows that are read at the same time."""
_UNDERSTOOD = frozenset(("input_ids", "attention_mask", "labels", "use_cache"))


def share_beginnings(network: Any) -> None:
    """Change how a causal language model with TRL's fused head is trained; what comes out stays the same.

    With gradient checkpointing it is trained as before: that allows no cache to keep the beginning in.

    Args:
        network: TRL's head is on it, or on the network inside of peft's model.
    """
    network = network.get_base_model() if hasattr(network, "get_base_model") else network
    whole = network.forward

    @wraps(whole)
    def forward(*args: Any, fused_lm_head: bool = False, **given: Any) -> Any:
        named = {name for name, value in given.items() if value is not None}
        plain = not args and named - {"use_cache"} == _UNDERSTOOD - {"use_cache"}
        # What transformers calls this has changed within its fifth version; the mark on the modules has not.
        checkpointing = any(getattr(module, "gradient_checkpointing", False) for module in network.modules())
        if not fused_lm_head or not plain or checkpointing:
            return whole(*args, fused_lm_head=fused_lm_head, **given)
        return _read(whole, given["input_ids"], given["attention_mask"], given["labels"])

    network.forward = forward


def _read(network: Callable[..., Any], ids: Tensor, mask: Tensor, labels: Tensor) -> Any:
    """What TRL's head finds for each label, one column less than there are tokens."""
    import torch
    from transformers.cache_utils import DynamicCache

    padding, lengths = mask.argmax(1, keepdim=True), mask.sum(1, keepdim=True)  # on the left; without any
    place = torch.arange(int(lengths.max()), device=ids.device)
    moved = (place + padding).clamp(max=ids.shape[1] - 1)
    rows, wanted = ids.gather(1, moved), labels.gather(1, moved).masked_fill(place >= lengths, -100)
    shared = _alike(rows, wanted) if len(rows) > 1 else 0
    beginning = network(input_ids=rows[:1, :shared], use_cache=True, logits_to_keep=1) if shared else None
    found: dict[str, Tensor] = {}
    target = torch.arange(ids.shape[1] - 1, device=ids.device)
    for part in lengths[:, 0].argsort().split(_TOGETHER):
        most = int(lengths[part].max())
        output = network(
            input_ids=rows[part, shared : most - 1],
            position_ids=place[shared : most - 1].expand(len(part), -1),
            past_key_values=DynamicCache(_repeated(beginning.past_key_values, len(part))) if beginning else None,
            shift_labels=wanted[part, shared + 1 : most],
            fused_lm_head=True,
        )
        at = target - padding[part] - shared
        inside = (at >= 0) & (at < most - shared - 1)
        for name in ("log_probs", "entropy", "is_top1"):
            if (values := output.get(name)) is not None:
                whole = found.setdefault(name, values.new_zeros((len(rows), len(target))))
                whole[part] = values.gather(1, at.clamp(0, most - shared - 2)) * inside
    return type(output)(**found, label_mask=labels[:, 1:] != -100)


def _alike(rows: Tensor, labels: Tensor) -> int:
    """How many tokens all rows begin with; the last one before a label belongs to its row, as that is drawn there."""
    import torch

    place = torch.arange(rows.shape[1], device=rows.device)
    first = torch.where(labels != -100, place, rows.shape[1]).min()
    return int(((rows == rows[:1]).all(0) & (place < first - 1)).long().cumprod(0).sum())


def _repeated(cache: Any, times: int) -> list[tuple[Tensor, Tensor]]:
    return [tuple(held.expand(times, -1, -1, -1) for held in (layer.keys, layer.values)) for layer in cache.layers]
