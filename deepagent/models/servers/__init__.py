"""Which kind of server answers at a URL, found by asking it."""

from __future__ import annotations

from typing import Any

from deepagent.errors import ConfigError, ModelReplyError
from deepagent.models.config import Api
from deepagent.models.failures import StatusError
from deepagent.models.servers.base import Server
from deepagent.models.servers.chat import ChatServer
from deepagent.models.servers.llama import LlamaServer
from deepagent.models.servers.sglang import SglangServer
from deepagent.models.servers.vllm import VllmServer
from deepagent.models.transport import JsonObject, Transport

__all__ = ["ChatServer", "Server", "detect"]


async def detect(transport: Transport, model: str | None, api: Api, context: int | None) -> Server:
    """Find out what a server is, which model it serves and how large its window is.

    Args:
        transport: to the server's root.
        model: wanted model; None takes the only one that is served.
        api: `auto` prefers one continuing stream over a conversation, where the server offers template and tokens.
        context: window in tokens; None believes the server.

    Raises:
        ConfigError: the server offers no completions but they are wanted, or what it does not say is not configured.
        ModelError: it cannot be asked.
    """
    listed = await _listed(transport)
    name = model or _only_model(listed, transport.where)
    known = context or _listed_size(listed, name)
    if api == "chat" and known:
        return ChatServer(name, known, _neutral(listed, name))
    properties = await transport.probe("props")
    settings = (properties or {}).get("default_generation_settings")
    if isinstance(settings, dict):
        size = context or _size(settings.get("n_ctx")) or _unknown_size(transport.where)
        return ChatServer(name, size) if api == "chat" else LlamaServer(transport, name, size)
    if api != "chat":
        hello = {"model": name, "messages": [{"role": "user", "content": "hello"}], "add_generation_prompt": True}
        tokenized = await transport.probe("tokenize", hello) or {}
        if isinstance(tokenized.get("tokens"), list):
            size = known or _size(tokenized.get("max_model_len")) or _unknown_size(transport.where)
            if await transport.probe("model_info") is not None:
                return SglangServer(transport, name, size)
            return VllmServer(transport, name, size, abort_path=await _abort_path(transport))
        if api == "completions":
            raise ConfigError(f"{transport.where} offers no chat template for completions: set api to chat or auto")
    return ChatServer(name, known or _unknown_size(transport.where), _neutral(listed, name))


async def _listed(transport: Transport) -> JsonObject:
    """The models that the server lists. A wrong key shows here; gateways refuse elsewhere what they do not know."""
    try:
        return await transport.get("v1/models")
    except StatusError as error:
        if error.status in (401, 403):
            raise
    except ModelReplyError:
        pass
    return {}


def _neutral(listed: JsonObject, name: str) -> JsonObject:
    """What keeps servers from sampling as the model's publisher would; only they know these fields."""
    owner = next((one.get("owned_by") for one in _models(listed) if one.get("id") == name), None)
    return {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0} if owner in ("vllm", "sglang") else {}


async def _abort_path(transport: Transport) -> str | None:
    """Where a vLLM server ends requests by their ids. An empty list could end those of all clients."""
    for path in ("inference/v1/abort_requests", "abort_requests"):
        try:
            await transport.read("POST", path, {"request_ids": ["nobody"]})
        except (StatusError, ModelReplyError):
            continue
        return path
    return None


def _only_model(listed: JsonObject, where: str) -> str:
    names = [str(one["id"]) for one in _models(listed) if one.get("id")]
    if len(names) == 1:
        return names[0]
    served = f"it serves {', '.join(names[:5])}" if names else "it does not say what it serves"
    raise ConfigError(f"{where} must be told which model: {served}; write URL#MODEL")


def _listed_size(listed: JsonObject, name: str) -> int | None:
    for one in _models(listed):
        if one.get("id") == name:
            return next(
                (
                    size
                    for key in ("max_model_len", "context_length", "context_window")
                    if (size := _size(one.get(key)))
                ),
                None,
            )
    return None


def _models(listed: JsonObject) -> list[dict[str, Any]]:
    data = listed.get("data")
    return [one for one in data if isinstance(one, dict)] if isinstance(data, list) else []


def _size(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _unknown_size(where: str) -> int:
    raise ConfigError(f"{where} does not say how many tokens its window holds: set `context` in the model's config")
