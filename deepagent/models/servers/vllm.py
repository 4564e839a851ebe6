"""vLLM servers."""

from __future__ import annotations

from deepagent.control import without_end_token
from deepagent.errors import ModelError
from deepagent.models.reply import Reply, first_choice
from deepagent.models.servers.base import MOST_STOPS, Terms, token_prompt
from deepagent.models.servers.tokens import TokenServer
from deepagent.models.transport import JsonObject, Transport
from deepagent.tools import JsonSchema
from deepagent.transcript import Window


class VllmServer(TokenServer):
    """Completions of token ids, with `return_token_ids`.

    Args:
        transport: to the server's root.
        model: name of the model.
        context: window in tokens.
        abort_path: where it takes aborts, which it does in its development mode only.
    """

    kind = "vLLM"
    path = "v1/completions"

    def __init__(self, transport: Transport, model: str, context: int, abort_path: str | None = None) -> None:
        super().__init__(transport, model, context)
        self.abort_path = abort_path

    def request(self, window: Window, terms: Terms, id: str) -> JsonObject:
        """The body of a completion. Control tokens in the reply are asked for: some models have our tags among them."""
        sampling = terms.sampling
        body: JsonObject = {
            "model": self.model,
            "prompt": token_prompt(window),
            "max_tokens": terms.limit,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k or -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "stop": list(terms.stop)[:MOST_STOPS],
            "include_stop_str_in_output": True,
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
            "return_token_ids": True,
        }
        if (seed := sampling.seed_behind(window.tokens)) is not None:
            body["seed"] = seed
        if sampling.logprobs:
            body["logprobs"] = 0  # of the drawn token alone
        if self.abort_path:
            body["request_id"] = id
        if (held := self._structural_tag(terms)) is not None:
            body["structured_outputs"] = {"structural_tag": held}
        return body

    def held(self, schema: JsonSchema) -> JsonObject:
        """Without free white space: a small model that may write it does so for ever."""
        return {"structured_outputs": {"json": schema, "disable_any_whitespace": True}}

    def abort(self, id: str) -> JsonObject:
        """The name of a completion is made of the request's id and the prompt's number."""
        return {"request_ids": [f"cmpl-{id}-0"]}

    def adapt(self, error: ModelError, body: JsonObject) -> bool:
        """See `Server.adapt`."""
        return self._without(body.get("structured_outputs", {}).get("structural_tag"), error)

    def read(self, event: JsonObject, reply: Reply) -> None:
        """Text, ids and log-probabilities come with every event."""
        choice = first_choice(event)
        reply.seen = reply.seen or bool(choice)
        logprobs = choice.get("logprobs")
        values = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
        reply.add_tokens(choice.get("token_ids") or [], values if isinstance(values, list) else [])
        reply.report(event.get("usage"))
        reply.end(choice.get("finish_reason"))
        # No stop reason is the end token, a number is another one; a stop string is text.
        ended = choice.get("finish_reason") == "stop" and not isinstance(choice.get("stop_reason"), str)
        reply.eos = reply.eos or ended
        reply.write(without_end_token(choice.get("text")) if ended else choice.get("text"))
