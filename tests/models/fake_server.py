"""A model server on loopback that speaks as llama.cpp, vLLM or a plain chat API, and fails on demand.

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
        reply: what every generation writes.
        faults: how the first generations fail, in order; later ones succeed.
        end_reported: whether the end token is among the ids.
    """

    def __init__(
        self,
        flavour: Literal["llama", "vllm", "chat"] = "llama",
        reply: str = "hello",
        faults: list[Fault] | None = None,
        end_reported: bool = True,
    ) -> None:
        self.flavour = flavour
        self.reply = reply
        self.faults = list(faults or [])
        self.end_reported = end_reported
        self.seen: list[Exchange] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}/v1"

    @property
    def generations(self) -> list[Exchange]:
        return [one for one in self.seen if one.path.endswith("completions")]

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
        if exchange.path.endswith("completions"):
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
        return self._llama_events(body) if self.flavour == "llama" else self._vllm_events(body)

    def _cut(self, body: Any) -> tuple[str, str | None, str]:
        """The text before a stop string, that string, and why the reply ends."""
        found = [(self.reply.find(word), word) for word in body.get("stop", []) if word in self.reply]
        at, word = min(found, default=(len(self.reply), None))
        if at + len(word or "") > body["max_tokens"]:
            return self.reply[: body["max_tokens"]], None, "length"
        return self.reply[:at], word, "stop"

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
        text, word, why = self._cut(body)
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
        text, word, why = self._cut(body)
        size = len(body["prompt"])
        made = 0
        all_pieces = [*pieces(text), *([word] if word else [])]
        for piece in all_pieces:
            made += len(piece)
            logprobs = {"token_logprobs": [-0.5] * len(piece)} if body.get("logprobs") else None
            choice = {"text": piece, "token_ids": encode(piece), "logprobs": logprobs, "finish_reason": None}
            yield {"choices": [choice], "usage": usage(size, made)}
        ids = [END_ID] if why == "stop" and not word and self.end_reported else []
        logprobs = {"token_logprobs": [-0.1] * len(ids)} if body.get("logprobs") else None
        last = {"text": "", "token_ids": ids, "logprobs": logprobs, "finish_reason": why, "stop_reason": word}
        yield {"choices": [last], "usage": usage(size, made + len(ids))}

    # chat ------------------------------------------------------------------------------------------------------

    def _chat_v1_models(self, _: Any) -> Any:
        return {"data": [{"id": "toy", "context_length": CONTEXT}, {"id": "other"}]}

    def _chat_events(self, body: Any) -> Iterator[dict[str, Any]]:
        text, word, why = self._cut(body)
        yield {"choices": [{"delta": {"role": "assistant", "content": None}, "finish_reason": None}]}
        for piece in pieces(text):
            yield {"choices": [{"delta": {"content": piece}, "finish_reason": None}]}
        yield {"choices": [{"delta": {}, "finish_reason": why, "stop_reason": word}]}
        yield {"choices": [], "usage": usage(7, len(text))}


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
