"""From the word that names a model to the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deepagent import plugins, settings
from deepagent.errors import UsageError
from deepagent.models.base import Model
from deepagent.models.config import (
    EmbeddedConfig,
    HttpConfig,
    KindConfig,
    ModelConfig,
    TransformersConfig,
    VllmConfig,
)
from deepagent.models.weights import DEFAULT

if TYPE_CHECKING:
    from deepagent.models.http import HttpModel

CONFIGS = Path(__file__).parent.parent / "configs" / "models"
SCHEMES = ("embedded", "vllm", "transformers", "http", "https")
"""The words before a colon that are not the names of configs or plugins."""

_YAML = (".yaml", ".yml")


def open_model(spec: str) -> Model:
    """Make the model that a word stands for; it is opened by `async with`.

    Args:
        spec: `embedded`, `embedded:NAME` (weights by name or path), `vllm:FOLDER` (or a name at the model hub),
            `transformers:FOLDER` (slow; for what was trained here), each also with `#FOLDER` of a LoRA adapter;
            `http://host:port/v1[#MODEL]`, the path of a YAML file, the name of one in `configs/models`, or a plugin's
            `NAME[:REST]`.

    Raises:
        UsageError: it names no model, or a broken plugin; or its key is not where it is said to be.
        ConfigError: its YAML file says something wrong.
    """
    kind, _, rest = spec.partition(":")
    if can_wear(spec):
        start, _, folder = spec.partition("#")
        kind, _, rest = start.partition(":")
        adapter = Path(folder) if folder else None
        if kind == "embedded":
            return from_config(EmbeddedConfig(kind="embedded", weights=rest or DEFAULT, adapter=adapter))
        if kind == "vllm":
            return from_config(VllmConfig(kind="vllm", model=rest, adapter=adapter))
        return from_config(TransformersConfig(kind="transformers", model=rest, adapter=adapter))
    if kind in ("http", "https"):
        url, _, model = spec.partition("#")
        return from_config(HttpConfig(kind="http", url=url, model=model or None))
    plugin = None if spec in configs() or spec.endswith(_YAML) else plugins.find("models", kind)
    if plugin is not None:
        made: Model = plugin.make(rest)
        return made
    return from_config(read_config(spec))


def can_wear(spec: str) -> bool:
    """Whether `#FOLDER` behind this word for a model means a LoRA adapter."""
    kind, _, rest = spec.partition("#")[0].partition(":")
    return kind == "embedded" or (kind in ("vllm", "transformers") and bool(rest))


def configs() -> list[str]:
    """The names in `configs/models`."""
    return sorted(file.stem for file in CONFIGS.glob("*.yaml"))


def read_config(spec: str) -> ModelConfig:
    """Read a model's YAML file, given by path or by name. Raises as `open_model`."""
    path = Path(spec).expanduser() if spec.endswith(_YAML) else CONFIGS / f"{spec}.yaml"
    if not path.is_file():
        known = plugins.known("models", configs())
        ways = f"give embedded[:NAME], vllm:FOLDER, URL[#MODEL], a YAML file, or one of {known}"
        raise UsageError(f"no model is called {spec!r}: {ways}")
    kinds: dict[str, type[ModelConfig]] = {
        "http": HttpConfig,
        "embedded": EmbeddedConfig,
        "vllm": VllmConfig,
        "transformers": TransformersConfig,
    }
    return settings.read(path, kinds[settings.read(path, KindConfig).kind])


def from_config(config: ModelConfig) -> Model:
    """Make the model that a config describes.

    Raises:
        UsageError: its key is not where it is said to be.
    """
    # Each kind is imported where it is opened: the HTTP library alone takes a fifth of a second.
    if isinstance(config, EmbeddedConfig):
        from deepagent.models.embedded import EmbeddedModel

        return EmbeddedModel(
            config.weights,
            context=config.context,
            turns=config.turns,
            threads=config.threads,
            adapter=config.adapter,
        )
    if isinstance(config, TransformersConfig):
        from deepagent.models.transformers import TransformersModel

        folder = Path(config.model)
        return TransformersModel.load(folder, adapter=config.adapter, context=config.context, turns=config.turns)
    if isinstance(config, VllmConfig):
        from deepagent.models.vllm import VllmModel

        return VllmModel(
            config.model,
            context=config.context,
            turns=config.turns,
            timeout=config.timeout,
            options=config.options,
            adapter=config.adapter,
        )
    return from_http_config(config)


def from_http_config(config: HttpConfig) -> HttpModel:
    """Make the model behind a server. Raises as `from_config`."""
    from deepagent.models.http import HttpModel

    return HttpModel(
        config.url,
        config.model,
        api=config.api,
        context=config.context,
        timeout=config.timeout,
        retries=config.retries,
        turns=config.turns,
        functions=config.functions,
        api_key=_key(config),
    )


def _key(config: HttpConfig) -> str | None:
    key = config.api_key.reveal() if config.api_key is not None else None
    if key is not None and not key.isprintable():
        raise UsageError(f"the key for {config.url} holds line breaks or control characters: set it anew")
    return key
