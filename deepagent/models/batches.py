"""Writing several replies at the same time with one network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepagent.errors import ModelUnavailableError
from deepagent.models.base import Sampling
from deepagent.tools import told

_GATHER_SECONDS = 0.02
"""Requests that come so shortly after each other are written together: runs that go in step stay in step."""


@dataclass
class Request:
    """One reply that is asked for.

    Attributes:
        ids: the prompt.
        sampling: how tokens are drawn; with a seed, the reply does not depend on what it is batched with, but for
            rounding.
        hear: told each token with its log-probability; True ends the reply. Called in the event loop.
    """

    ids: tuple[int, ...]
    sampling: Sampling
    hear: Callable[[int, float], bool]
    done: asyncio.Future[None] = field(init=False)
    generator: Any = field(init=False, default=None)


class Batcher:
    """Collects requests and writes them together; what comes while a batch is written waits for the next one.

    Args:
        network: a causal language model of the transformers library.
        most: replies in one batch.
    """

    def __init__(self, network: Any, most: int) -> None:
        self._network = network
        self._most = most
        self._waiting: asyncio.Queue[Request] = asyncio.Queue()
        self._promised: set[asyncio.Future[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve, in the event loop that runs."""
        self._waiting = asyncio.Queue()
        self._task = asyncio.create_task(self._serve())

    async def stop(self) -> None:
        """End; what waits or is being written is given up."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        for done in list(self._promised):
            done.cancel()

    async def write(self, request: Request) -> None:
        """Return when the reply has ended.

        Raises:
            ModelUnavailableError: the network failed, or the model is closed.
        """
        if self._task is None:
            raise ModelUnavailableError("the model is closed; enter it with `async with`")
        request.done = asyncio.get_running_loop().create_future()
        self._promised.add(request.done)
        request.done.add_done_callback(self._promised.discard)
        self._waiting.put_nowait(request)
        await request.done

    async def _serve(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._most:
                try:
                    async with asyncio.timeout(_GATHER_SECONDS):
                        batch.append(await self._waiting.get())
                except TimeoutError:
                    break
            try:
                await self._write_all([request for request in batch if not request.done.done()])
            except Exception as error:  # out of memory and the like: the runs end, this does not
                failure = ModelUnavailableError(f"the model cannot write: {told(error)}")
                for request in batch:
                    if not request.done.done():
                        request.done.set_exception(failure)

    async def _write_all(self, batch: list[Request]) -> None:
        if not batch:
            return
        was_training = self._network.training
        self._network.eval()  # no dropout while it acts
        try:
            state = await asyncio.to_thread(_State, self._network, batch)
            while batch:
                drawn = await asyncio.to_thread(state.draw)
                kept = []
                for row, (request, (token, logprob)) in enumerate(zip(batch, drawn, strict=True)):
                    if request.done.done() or request.hear(token, logprob):  # done: its run was cancelled
                        if not request.done.done():
                            request.done.set_result(None)
                    else:
                        kept.append(row)
                if len(kept) < len(batch):
                    batch = [batch[row] for row in kept]
                    state.keep(kept)
        finally:
            self._network.train(was_training)


class _State:
    """A batch in the middle of being written: what all prompts begin with, then the padded rest, and the cache."""

    def __init__(self, network: Any, batch: Sequence[Request]) -> None:
        import torch

        self._network = network
        self._batch = list(batch)
        self._cache: Any = None
        device = network.device
        shared = self._share(_common([request.ids for request in batch])) if len(batch) > 1 else 0
        length = max(len(request.ids) for request in batch) - shared
        self._next = torch.zeros((len(batch), length), dtype=torch.long, device=device)
        self._mask = torch.zeros((len(batch), shared + length), dtype=torch.long, device=device)
        self._mask[:, :shared] = 1
        for row, request in enumerate(batch):
            rest = request.ids[shared:]
            self._next[row, length - len(rest) :] = torch.tensor(rest, device=device)
            self._mask[row, shared + length - len(rest) :] = 1
            if (seed := request.sampling.seed_behind(len(request.ids))) is not None:
                request.generator = torch.Generator().manual_seed(seed)

    def _share(self, ids: Sequence[int]) -> int:
        """Read once what all prompts begin with; the number of tokens that were read."""
        import torch

        if not ids:
            return 0
        with torch.inference_mode():
            cache = self._network(
                input_ids=torch.tensor([list(ids)], device=self._network.device), use_cache=True, logits_to_keep=1
            ).past_key_values
        if any(cache.is_sliding):
            return 0  # the padding behind the shared part would count as distance
        cache.batch_repeat_interleave(len(self._batch))
        self._cache = cache
        return len(ids)

    def draw(self) -> list[tuple[int, float]]:
        """The next token of every reply, with its log-probability."""
        import torch

        from deepagent.models.room import make_room

        with torch.inference_mode():
            positions = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -self._next.shape[1] :]
            output = self._network(
                input_ids=self._next,
                attention_mask=self._mask,
                position_ids=positions,
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
            self._cache = output.past_key_values
            make_room(self._cache)
            drawn = _draw(output.logits[:, -1].float().cpu(), self._batch)
            tokens = torch.tensor([[token] for token, _ in drawn], device=self._mask.device)
            self._next = tokens
            self._mask = torch.cat([self._mask, torch.ones_like(tokens)], dim=1)
        return drawn

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        import torch

        self._batch = [self._batch[row] for row in rows]
        if rows:
            chosen = torch.tensor(rows, device=self._mask.device)
            self._next, self._mask = self._next[chosen], self._mask[chosen]
            self._cache.batch_select_indices(chosen)


def _common(prompts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """What all prompts begin with, and at least one token less than the shortest."""
    first, last = min(prompts), max(prompts)  # in order, these two differ earliest
    most = min(map(len, prompts)) - 1
    same = next((at for at in range(most) if first[at] != last[at]), most)
    return first[:same]


def _draw(logits: Any, requests: Sequence[Request]) -> list[tuple[int, float]]:
    """One token for each row, and its log-probability at its temperature, before unlikely tokens are cut off."""
    import torch

    greedy = torch.tensor([request.sampling.temperature == 0 for request in requests])
    temperatures = torch.tensor([request.sampling.temperature or 1.0 for request in requests])
    logprobs = (logits / temperatures[:, None]).log_softmax(-1)
    likely = logprobs.exp()
    for row, request in zip(likely, requests, strict=True):
        _cut(row, request.sampling)
    sums = likely.double().cumsum(-1)
    chance = torch.cat([torch.rand(1, generator=request.generator, dtype=torch.double) for request in requests])
    drawn = torch.searchsorted(sums, chance[:, None] * sums[:, -1:], right=True)[:, 0]
    tokens = torch.where(greedy, logprobs.argmax(-1), drawn)
    found = logprobs.gather(-1, tokens[:, None])[:, 0]
    return list(zip(tokens.tolist(), found.tolist(), strict=True))


def _cut(likely: Any, sampling: Sampling) -> None:
    """Leave no chance to unlikely tokens, as far as is asked for."""
    if sampling.top_k and sampling.top_k < len(likely):
        likely[likely < likely.topk(sampling.top_k).values[-1]] = 0
    if sampling.top_p < 1:
        ordered, order = likely.div(likely.sum()).sort(descending=True)
        likely[order[ordered.cumsum(-1) - ordered >= sampling.top_p]] = 0
