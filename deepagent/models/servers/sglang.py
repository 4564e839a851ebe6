"""SGLang servers."""

from __future__ import annotations

from typing import Any

from deepagent.control import without_end_token
from deepagent.errors import ModelError
from deepagent.models.failures import from_message
from deepagent.models.reply import Reply
from deepagent.models.servers.base import Terms, response_format, token_prompt
from deepagent.models.servers.tokens import TokenServer
from deepagent.models.transport import JsonObject
from deepagent.tools import JsonSchema
from deepagent.transcript import Window


class SglangServer(TokenServer):
    """The server's own `/generate`, which takes and reports token ids. See `TokenServer` for the arguments."""

    kind = "SGLang"
    path = "generate"
    abort_path = "abort_request"

    def request(self, window: Window, terms: Terms, id: str) -> JsonObject:
        """The body of a generation. Control tokens in the reply are asked for: some models have our tags among them."""
        sampling = terms.sampling
        drawn: JsonObject = {
            "max_new_tokens": terms.limit,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k or -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "stop": list(terms.stop),
            "no_stop_trim": True,
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
        }
        if sampling.seed is not None:
            drawn["sampling_seed"] = sampling.seed
        if (held := self._structural_tag(terms)) is not None:
            drawn["structural_tag"] = held
        prompt = token_prompt(window)
        body: JsonObject = {"text" if isinstance(prompt, str) else "input_ids": prompt, "sampling_params": drawn}
        return body | {"stream": True, "return_logprob": sampling.logprobs, "rid": id}

    def held(self, schema: JsonSchema) -> JsonObject:
        """See `Server.held`."""
        return response_format(schema)

    def abort(self, id: str) -> JsonObject:
        """Never without an id: an empty one ends the requests of all clients."""
        return {"rid": id}

    def adapt(self, error: ModelError, body: JsonObject) -> bool:
        """See `Server.adapt`."""
        return self._without(body["sampling_params"].get("structural_tag"), error)

    def read(self, event: JsonObject, reply: Reply) -> None:
        """Every event holds the whole reply so far or, where the server was started so, only what is new."""
        meta = event.get("meta_info")
        meta = meta if isinstance(meta, dict) else {}
        reply.seen = reply.seen or bool(meta)
        ids, made = event.get("output_ids") or [], meta.get("completion_tokens")
        whole = isinstance(ids, list) and len(ids) == made
        values = _logprobs(meta.get("output_token_logprobs"))
        reply.add_tokens(ids[len(reply.ids) :] if whole else ids, values[len(reply.logprobs) :] if whole else values)
        reply.count(meta.get("prompt_tokens"), meta.get("cached_tokens"), made)
        ended = meta.get("finish_reason")
        ended = ended if isinstance(ended, dict) else {}
        if ended.get("type") == "abort":
            raise from_message(self._transport.where, str(ended.get("message") or "aborted"))
        reply.end(ended.get("type"))
        text = event.get("text")
        if isinstance(text, str) and whole:
            text = text[len(reply.text) :]
        if ended.get("type") == "stop" and not isinstance(ended.get("matched"), str):
            reply.eos = True
            text = without_end_token(text)
        reply.write(text)


def _logprobs(entries: Any) -> list[object]:
    """The log-probabilities of entries (log-probability, id, text)."""
    return [one[0] for one in entries if isinstance(one, list) and one] if isinstance(entries, list) else []
