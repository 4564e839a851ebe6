"""smolagents, with its two agents and their default settings."""

from __future__ import annotations

from typing import Any

from smolagents import CodeAgent, LogLevel, MultiStepAgent, OpenAIModel, Tool, ToolCallingAgent

from benchmarks.success.peers.link import Job, Link, RemoteTool

_TYPES = {"string", "boolean", "integer", "number", "array", "object", "null"}


class Remote(Tool):  # type: ignore[misc]
    """A tool of the bench."""

    skip_forward_signature_validation = True
    output_type = "any"
    name = "remote"
    description = ""
    inputs: dict[str, Any] = {}  # noqa: RUF012 (as smolagents wants it)

    def __init__(self, tool: RemoteTool, link: Link) -> None:
        self.name, self.description, self._link = tool.name, tool.description, link
        needed = tool.parameters.get("required", [])
        self.inputs = {
            name: {
                "type": schema.get("type") if schema.get("type") in _TYPES else "any",
                "description": schema.get("description", name),
                **({} if name in needed else {"nullable": True}),
            }
            for name, schema in tool.parameters.get("properties", {}).items()
        }
        super().__init__()

    def forward(self, *given: Any, **named: Any) -> Any:
        """Call it, with arguments by place as code likes to give them."""
        return self._link.call(self.name, {**dict(zip(self.inputs, given, strict=False)), **named})


def code(job: Job, link: Link) -> str | None:
    """Actions are Python."""
    return _run(CodeAgent, job, link)


def tools(job: Job, link: Link) -> str | None:
    """Actions are tool calls."""
    return _run(ToolCallingAgent, job, link)


def _run(kind: type[MultiStepAgent], job: Job, link: Link) -> str | None:
    model = OpenAIModel(
        job.model, api_base=job.url, api_key="none", temperature=job.temperature, seed=job.seed,
        max_tokens=job.max_tokens,
    )  # fmt: skip
    offered = [Remote(tool, link) for tool in job.tools]
    agent = kind(tools=offered, model=model, max_steps=job.turns, verbosity_level=LogLevel.OFF)
    answer = agent.run(job.task)
    return None if answer is None else str(answer)
