"""Servers of the llama.cpp family, the embedded one among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from deepagent.errors import ModelError, ModelReplyError
from deepagent.models.reply import Reply, first_choice
from deepagent.models.servers.base import Terms, function_list, response_format, token_prompt
from deepagent.models.transport import JsonObject, Transport
from deepagent.tools import JsonSchema
from deepagent.transcript import Function, Message, Segment, Window


class LlamaServer:
    """Speaks tokens through `/apply-template`, `/tokenize` and the `__verbose` part of each event.

    Args:
        transport: to the server's root.
        model: name of the model.
        context: window in tokens.
    """

    kind = "llama.cpp"
    path = "v1/completions"
    abort_path = None
    neutral: ClassVar[JsonObject] = {"min_p": 0.0, "repeat_penalty": 1.0}

    def __init__(self, transport: Transport, model: str, context: int) -> None:
        self._transport = transport
        self.model = model
        self.context = context

    async def prompt(self, messages: Sequence[Message], functions: Sequence[Function] = ()) -> Segment:
        """Apply the server's template."""
        body: JsonObject = {"messages": [{"role": message.role, "content": message.content} for message in messages]}
        if functions:
            body["tools"] = function_list(functions)
        text = _field(await self._transport.post("apply-template", body), "prompt", str)
        return Segment(kind="prompt", text=text, token_ids=await self._tokenize(text, special=True))

    async def observation(self, text: str) -> Segment:
        """Tokenise with control tokens as plain text."""
        return Segment(kind="observation", text=text, token_ids=await self._tokenize(text, special=False))

    async def marks(self, text: str) -> Segment:
        """Tokenise with control tokens as what they are."""
        return Segment(kind="observation", text=text, token_ids=await self._tokenize(text, special=True))

    def request(self, window: Window, terms: Terms, id: str) -> JsonObject:
        """The body of a completion; sampling steps that we do not name are set to do nothing."""
        sampling = terms.sampling
        body: JsonObject = {
            "model": self.model,
            "prompt": token_prompt(window),
            "max_tokens": terms.limit,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": 0.0,
            "repeat_penalty": 1.0,
            "stop": list(terms.stop),
            "cache_prompt": True,
            "stream": True,
            "stream_options": {"include_usage": True},
            "verbose": True,
            "return_tokens": True,
            "timings_per_token": True,
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.logprobs:
            body["logprobs"] = 1
        return body

    def held(self, schema: JsonSchema) -> JsonObject:
        """See `Server.held`."""
        return response_format(schema)

    def abort(self, id: str) -> JsonObject:
        """Nothing: closing the connection is all there is."""
        return {}

    def adapt(self, error: ModelError, body: JsonObject) -> bool:
        """Nothing that is asked of it is optional."""
        return False

    def read(self, event: JsonObject, reply: Reply) -> None:
        """Text and ids come with every event, the stop string in the last one's `__verbose` alone."""
        choice = first_choice(event)
        reply.seen = reply.seen or bool(choice)
        verbose = event.get("__verbose")
        verbose = verbose if isinstance(verbose, dict) else {}
        reply.add_tokens(verbose.get("tokens") or [], _logprobs(choice))
        _report_timings(event.get("timings"), reply)
        reply.report(event.get("usage"))
        reply.end(choice.get("finish_reason"))
        reply.eos = reply.eos or verbose.get("stop_type") == "eos"
        reply.write(choice.get("text"))
        if verbose.get("stop_type") == "word":
            reply.write(verbose.get("stopping_word"))

    async def settle(self, reply: Reply) -> Segment:
        """Make text and ids say the same.

        A stop string may end inside a token: the ids are then the truth, and the text is read back from them.
        The server reports only the last id of a character that took several tokens: the text is the truth then.
        """
        exact = reply.counted == len(reply.ids)
        logprobs = tuple(reply.logprobs) if len(reply.logprobs) == len(reply.ids) else None
        ids, text = tuple(reply.ids), reply.text
        if reply.eos:
            ids, logprobs = ids[:-1], logprobs[:-1] if logprobs else None
        if not exact:
            ids, logprobs = await self._tokenize(text, special=False), None
        elif ids and reply.finish != "length":
            read_back = _field(await self._transport.post("detokenize", {"tokens": ids}), "content", str)
            text = read_back if read_back.startswith(text) else text
        return Segment(kind="generated", text=text, token_ids=ids, logprobs=logprobs or None)

    async def _tokenize(self, text: str, *, special: bool) -> tuple[int, ...]:
        body = {"content": text, "add_special": False, "parse_special": special}
        return tuple(_field(await self._transport.post("tokenize", body), "tokens", list))


def _logprobs(choice: dict[str, Any]) -> list[object]:
    held = choice.get("logprobs")
    content = held.get("content") if isinstance(held, dict) else None
    return [one.get("logprob") for one in content if isinstance(one, dict)] if isinstance(content, list) else []


def _report_timings(timings: object, reply: Reply) -> None:
    """Counts so far: what a reply has cost that is cut before its usage arrives."""
    if not isinstance(timings, dict):
        return
    cached, computed = timings.get("cache_n"), timings.get("prompt_n")
    if isinstance(cached, int) and isinstance(computed, int):
        reply.count(cached + computed, cached, timings.get("predicted_n"))


def _field(answer: JsonObject, name: str, kind: type) -> Any:
    if not isinstance(answer.get(name), kind):
        raise ModelReplyError(f"the server's answer has no {name!r}: is it a llama.cpp server?")
    return answer[name]
