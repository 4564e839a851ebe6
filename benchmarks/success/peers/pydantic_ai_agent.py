"""pydantic-ai's agent."""

from __future__ import annotations

import functools
from typing import Any

from pydantic_ai import Agent, Tool, UsageLimits
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from benchmarks.success.peers.link import Job, Link


def solve(job: Job, link: Link) -> str | None:
    """Tools are given."""

    def called(name: str, **arguments: Any) -> str:
        return link.told(name, arguments)

    tools: list[Tool[None]] = [
        Tool.from_schema(functools.partial(called, tool.name), tool.name, tool.description, tool.parameters)
        for tool in job.tools
    ]
    model = OpenAIChatModel(job.model, provider=OpenAIProvider(base_url=job.url, api_key="none"))
    sampling = ModelSettings(temperature=job.temperature, seed=job.seed, max_tokens=job.max_tokens)
    agent = Agent(model, tools=tools, model_settings=sampling)
    return str(agent.run_sync(job.task, usage_limits=UsageLimits(request_limit=job.turns)).output)
