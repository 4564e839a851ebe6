"""The encoder while it is trained: a BERT whose upper layers move, in PyTorch."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from deepagent.errors import WeightsError
from deepagent.retrieval.encoders import quiet_transformers
from deepagent.retrieval.onnx import TOKENIZER, part_tokens

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK = {"cpu": 16, "cuda": 128}
"""Texts that run together. Chunks hold texts of like length, so that little work is spent on padding."""

_QUERY_TOKENS = 128
"""Tokens of a query that are read, as when searching."""


class TrainedEncoder:
    """A BERT with mean pooling.

    Args:
        folder: the model as `transformers` saves it, with `tokenizer.json`.
        max_tokens: texts are cut after so many tokens.
        frozen_layers: lower layers that stay as they are, like the embeddings: faster, and what they know of language
            is kept.
        device: where it runs.

    Raises:
        WeightsError: the folder holds no such model.
    """

    def __init__(self, folder: Path, *, max_tokens: int, frozen_layers: int, device: str) -> None:
        from tokenizers import Tokenizer
        from transformers import AutoModel

        _keep_memory()
        self.device = device
        try:
            self.tokenizer: Any = Tokenizer.from_str((folder / TOKENIZER).read_text(encoding="utf-8"))
            with quiet_transformers():
                self.network: Any = AutoModel.from_pretrained(
                    folder,
                    local_files_only=True,
                    use_safetensors=True,
                    attn_implementation="eager",
                    add_pooling_layer=False,
                )
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(f"{folder} holds no model that can be trained: {reason}; see --base") from error
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens)
        self._query_tokenizer: Any = Tokenizer.from_str(self.tokenizer.to_str())
        self._query_tokenizer.enable_truncation(_QUERY_TOKENS)
        self.network.to(device).eval()  # no dropout: pairs are few, and noise was not needed to keep from overfitting
        for part in (self.network.embeddings, *self.network.encoder.layer[:frozen_layers]):
            part.requires_grad_(False)
        self._half = torch.autocast(device, torch.bfloat16, enabled=device == "cuda" or _has_bfloat16())

    @property
    def trained(self) -> dict[str, Tensor]:
        """The parameters that move, by name."""
        return {name: value for name, value in self.network.named_parameters() if value.requires_grad}

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return vectors of length 1, shape (texts, dimension), through which gradients flow."""
        encodings = self.tokenizer.encode_batch(list(texts))
        return self._encode(encodings, [[]] * len(encodings))

    def encode_queries(self, queries: Sequence[Sequence[str]]) -> Tensor:
        """Return vectors of length 1 for all parts of queries, one query after another, shape (parts, dimension).

        The first part is the whole query. The others are pooled out of its states, as when searching; one that cannot
        be found in it has the vector of the whole.
        """
        encodings = self._query_tokenizer.encode_batch([parts[0] for parts in queries])
        spans = [
            [part_tokens(parts[0], part, encoding.offsets) for part in parts[1:]]
            for parts, encoding in zip(queries, encodings, strict=True)
        ]
        return self._encode(encodings, spans)

    def _encode(self, encodings: Sequence[Any], spans: Sequence[Sequence[slice | None]]) -> Tensor:
        """For each text its vector, then those of spans of its tokens; None is the whole text again."""
        firsts = list(accumulate((1 + len(own) for own in spans), initial=0))
        order = sorted(range(len(encodings)), key=lambda row: len(encodings[row].ids))
        size = _CHUNK[self.device]
        vectors: list[Tensor] = []
        places: list[int] = []
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            states, mask = self._states([encodings[row].ids for row in rows])
            wholes = pooled(states, mask)
            vectors.append(wholes)
            places += [firsts[row] for row in rows]
            for at, row in enumerate(rows):
                for number, span in enumerate(spans[row], firsts[row] + 1):
                    vectors.append(wholes[at : at + 1] if span is None else pooled(states[at : at + 1, span]))
                    places.append(number)
        back = torch.empty(len(places), dtype=torch.long)
        back[torch.tensor(places)] = torch.arange(len(places))
        return torch.cat(vectors)[back.to(self.device)]

    def _states(self, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=self.device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self.device)
        with self._half:
            return self.network(input_ids=ids, attention_mask=mask).last_hidden_state, mask


def pooled(states: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean over tokens, at length 1.

    Args:
        states: shape (texts, tokens, dimension).
        mask: 1 for tokens, 0 for padding, shape (texts, tokens); all count when None.
    """
    if mask is None:
        return torch.nn.functional.normalize(states.to(torch.float32).mean(1), dim=-1)
    weights = mask.unsqueeze(-1).to(torch.float32)
    mean = (states.to(torch.float32) * weights).sum(1) / weights.sum(1)
    return torch.nn.functional.normalize(mean, dim=-1)


def _has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16; elsewhere it would be emulated, slowly."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _keep_memory() -> None:
    """Let glibc keep what is freed: giving each activation back to the system costs a fifth of the time."""
    libc = ctypes.CDLL(ctypes.util.find_library("c"))
    if hasattr(libc, "mallopt"):
        for option in (-1, -3):  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
            libc.mallopt(option, 1 << 30)
