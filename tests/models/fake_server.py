"""A model server on loopback that speaks as llama.cpp, vLLM, SGLang or a plain chat API, and fails on demand.

Its tokenizer is the alphabet: one token per character, its id the code point; `<|end|>` is the one control token.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Literal, Self

END = "<|end|>"
END_ID = 2
CONTEXT = 4096

Fault = Callable[["Exchange"], Awaitable[None]]
Flavour = Literal["llama", "vllm", "sglang", "chat"]
Said = str | dict[str, Any]
"""A reply: text, or the fields of a chat message with function calls."""


class Exchange:
    """One request and the means to answer it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, headers: dict[str, str], body: Any
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.path = path
        self.headers = headers
        self.body = body
        self.at = asyncio.get_running_loop().time()

    async def send(self, data: bytes | str) -> None:
        self.writer.write(data if isinstance(data, bytes) else data.encode())
        await self.writer.drain()

    async def answer(self, status: int, body: Any, kind: str = "application/json", **headers: str) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(text.encode())}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()] + ["Connection: close"]
        await self.send("\r\n".join(lines) + "\r\n\r\n" + text)

    async def open_stream(self) -> None:
        await self.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")

    async def event(self, data: Any) -> None:
        await self.send(f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n")

    def reset(self) -> None:
        """Drop the connection without a farewell."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        while await self.reader.read(1024):
            pass


class FakeServer:
    """Serves `reply`, cut at stop strings and max_tokens, in pieces of four characters.

    Args:
        flavour: which server to be.
        reply: what every generation writes, or a function of the request's body.
        faults: how the first generations fail, in order; later ones succeed.
        end_reported: whether the end token is among the ids.
        functions: whether a chat API takes tools.
        incremental: whether SGLang sends only what is new.
    """

    def __init__(
        self,
        flavour: Flavour = "llama",
        reply: Said | Callable[[Any], Said] = "hello",
        faults: list[Fault] | None = None,
        end_reported: bool = True,
        functions: bool = False,
        incremental: bool = False,
    ) -> None:
        self.flavour = flavour
        self.reply = reply
        self.faults = list(faults or [])
        self.end_reported = end_reported
        self.functions = functions
        self.incremental = incremental
        self.seen: list[Exchange] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}/v1"

    @property
    def generations(self) -> list[Exchange]:
        return [one for one in self.seen if one.path.endswith(("completions", "generate")) and not asks(one.body)]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
            length = int(headers.get("content-length", 0))
            body = json.loads(await reader.readexactly(length)) if length else None
            exchange = Exchange(reader, writer, head[0].split()[1], headers, body)
            self.seen.append(exchange)
            await self._route(exchange)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _route(self, exchange: Exchange) -> None:
        if exchange.path.endswith("completions") and asks(exchange.body):
            if self.functions:
                await exchange.answer(200, {"choices": [{"message": {"content": "h"}, "finish_reason": "length"}]})
            else:
                await exchange.answer(400, {"error": {"message": "tools are not supported"}})
            return
        if exchange.path.endswith(("completions", "generate")):
            if self.faults:
                await self.faults.pop(0)(exchange)
            else:
                await self.generate(exchange)
            return
        handler = getattr(self, f"_{self.flavour}_{exchange.path.strip('/').replace('/', '_').replace('-', '_')}", None)
        if handler is None:
            await exchange.answer(404, {"error": {"message": "not found"}})
        else:
            await exchange.answer(200, handler(exchange.body))

    async def generate(self, exchange: Exchange, done: bool = True) -> None:
        await exchange.open_stream()
        for event in self.events(exchange.path, exchange.body):
            await exchange.event(event)
        if done:
            await exchange.event("[DONE]")

    def events(self, path: str, body: Any) -> Iterator[dict[str, Any]]:
        if path.endswith("chat/completions"):
            return self._chat_events(body)
        return getattr(self, f"_{self.flavour}_events")(body)

    def _said(self, body: Any) -> Said:
        return self.reply(body) if callable(self.reply) else self.reply

    def _cut(self, said: Said, terms: Any) -> tuple[str, str | None, str]:
        """The text before a stop string, that string, and why the reply ends."""
        text = said if isinstance(said, str) else said.get("content") or ""
        found = [(text.find(word), word) for word in terms.get("stop", []) if word in text]
        at, word = min(found, default=(len(text), None))
        limit = terms.get("max_tokens") or terms.get("max_new_tokens") or terms["max_completion_tokens"]
        if at + len(word or "") > limit:
            return text[:limit], None, "length"
        return text[:at], word, "stop"

    # llama.cpp -------------------------------------------------------------------------------------------------

    def _llama_v1_models(self, _: Any) -> Any:
        return {"data": [{"id": "toy"}]}

    def _llama_props(self, _: Any) -> Any:
        return {"default_generation_settings": {"n_ctx": CONTEXT}}

    def _llama_apply_template(self, body: Any) -> Any:
        return {"prompt": template(body["messages"])}

    def _llama_tokenize(self, body: Any) -> Any:
        return {"tokens": encode(body["content"], special=body["parse_special"])}

    def _llama_detokenize(self, body: Any) -> Any:
        return {"content": decode(body["tokens"])}

    def _llama_events(self, body: Any) -> Iterator[dict[str, Any]]:
        text, word, why = self._cut(self._said(body), body)
        size = len(body["prompt"])
        made = 0

        def event(piece: str, ids: list[int], **more: Any) -> dict[str, Any]:
            logprobs = {"content": [{"id": one, "logprob": -0.5} for one in ids]} if body.get("logprobs") else None
            return {
                "choices": [{"text": piece, "logprobs": logprobs, "finish_reason": more.pop("finish", None)}],
                "__verbose": {"tokens": ids, **more},
                "timings": {"cache_n": size - 1, "prompt_n": 1, "predicted_n": made},
            }

        for piece in pieces(text):
            made += len(piece)
            yield event(piece, encode(piece))
        if word is not None:
            made += len(word)
            yield event("", encode(word))
        elif why == "stop":
            made += 1
            yield event("", [END_ID])
        kind = "limit" if why == "length" else "word" if word else "eos"
        last = event("", [], finish=why, stop_type=kind, stopping_word=word or "")
        yield last | {"usage": usage(size, made)}

    # vLLM ------------------------------------------------------------------------------------------------------

    def _vllm_v1_models(self, _: Any) -> Any:
        return {"data": [{"id": "toy", "max_model_len": CONTEXT}]}

    def _vllm_tokenize(self, body: Any) -> Any:
        text = template(body["messages"]) if "messages" in body else body["prompt"]
        ids = encode(text, special=True)
        return {"tokens": ids, "count": len(ids), "max_model_len": CONTEXT}

    def _vllm_detokenize(self, body: Any) -> Any:
        return {"prompt": decode(body["tokens"])}

    def _vllm_events(self, body: Any) -> Iterator[dict[str, Any]]:
        text, word, why = self._cut(self._said(body), body)
        size = len(body["prompt"])
        made = 0
        all_pieces = [*pieces(text), *([word] if word else [])]
        for piece in all_pieces:
            made += len(piece)
            logprobs = {"token_logprobs": [-0.5] * len(piece)} if "logprobs" in body else None
            choice = {"text": piece, "token_ids": encode(piece), "logprobs": logprobs, "finish_reason": None}
            yield {"choices": [choice], "usage": usage(size, made)}
        ids = [END_ID] if why == "stop" and not word and self.end_reported else []
        logprobs = {"token_logprobs": [-0.1] * len(ids)} if "logprobs" in body else None
        end = END if ids and not body["skip_special_tokens"] else ""
        last = {"text": end, "token_ids": ids, "logprobs": logprobs, "finish_reason": why, "stop_reason": word}
        yield {"choices": [last], "usage": usage(size, made + len(ids))}

    # SGLang ----------------------------------------------------------------------------------------------------

    _sglang_v1_models = _vllm_v1_models
    _sglang_tokenize = _vllm_tokenize

    def _sglang_model_info(self, _: Any) -> Any:
        return {"model_path": "toy"}

    def _sglang_detokenize(self, body: Any) -> Any:
        return {"text": decode(body["tokens"])}

    def _sglang_abort_request(self, body: Any) -> Any:
        return {}

    def _sglang_events(self, body: Any) -> Iterator[dict[str, Any]]:
        terms = body["sampling_params"]
        text, word, why = self._cut(self._said(body), terms)
        ended = why == "stop" and not word and self.end_reported
        whole = text + (word or "") + (END if ended else "")
        ids = encode(whole, special=True)
        size, sent = len(body["input_ids"]), 0
        while sent < len(ids):
            start, sent = (sent if self.incremental else 0), min(sent + 4, len(ids))
            reason = {"type": why, "matched": word or END_ID} if sent == len(ids) else None
            meta = {
                "prompt_tokens": size,
                "cached_tokens": size - 1,
                "completion_tokens": sent,
                "finish_reason": reason,
            }
            if body["return_logprob"]:
                meta["output_token_logprobs"] = [[-0.5, one, None] for one in ids[start:sent]]
            yield {"text": decode(ids[start:sent]), "output_ids": ids[start:sent], "meta_info": meta}

    # chat ------------------------------------------------------------------------------------------------------

    def _chat_v1_models(self, _: Any) -> Any:
        return {"data": [{"id": "toy", "context_length": CONTEXT}, {"id": "other"}]}

    def _chat_events(self, body: Any) -> Iterator[dict[str, Any]]:
        said = self._said(body)
        text, word, why = self._cut(said, body)
        yield {"choices": [{"delta": {"role": "assistant", "content": None}, "finish_reason": None}]}
        if isinstance(said, dict):
            for piece in pieces(said.get("reasoning", "")):
                yield {"choices": [{"delta": {"reasoning": piece}, "finish_reason": None}]}
            for index, call in enumerate(said.get("tool_calls", [])):
                yield from call_events(index, call)
            why = said.get("finish_reason", "tool_calls" if said.get("tool_calls") else why)
        for piece in pieces(text):
            yield {"choices": [{"delta": {"content": piece}, "finish_reason": None}]}
        yield {"choices": [{"delta": {}, "finish_reason": why, "stop_reason": word}]}
        yield {"choices": [], "usage": usage(7, len(text))}


def asks(body: Any) -> bool:
    """Whether a request only asks if tools are taken."""
    return bool(isinstance(body, dict) and body.get("tools") and body.get("max_tokens") == 1)


def call_events(index: int, call: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A function call as servers stream it: id and name at once, the arguments in pieces."""
    head = {"index": index, "id": call.get("id"), "type": "function", "function": {"name": call["name"]}}
    parts = [head, *({"index": index, "function": {"arguments": part}} for part in pieces(call["arguments"]))]
    for part in parts:
        yield {"choices": [{"delta": {"tool_calls": [part]}, "finish_reason": None}]}


def template(messages: list[dict[str, str]]) -> str:
    return "".join(f"<{one['role']}>{one['content']}{END}" for one in messages) + "<assistant>"


def encode(text: str, *, special: bool = False) -> list[int]:
    if not special:
        return [ord(letter) for letter in text]
    ids: list[int] = []
    for number, part in enumerate(text.split(END)):
        ids += ([END_ID] if number else []) + [ord(letter) for letter in part]
    return ids


def decode(ids: list[int]) -> str:
    return "".join(END if one == END_ID else chr(one) for one in ids)


def pieces(text: str) -> list[str]:
    return [text[start : start + 4] for start in range(0, len(text), 4)]


def usage(prompt: int, completion: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": prompt - 1},
    }
