"""openai-agents' agent, without its tracing, which would send runs elsewhere."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any

from agents import Agent, FunctionTool, ModelSettings, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

from benchmarks.success.peers.link import Job, Link


def solve(job: Job, link: Link) -> str | None:
    """Tools are given."""
    return asyncio.run(_solve(job, link))


async def _solve(job: Job, link: Link) -> str | None:
    set_tracing_disabled(True)

    async def called(name: str, context: Any, arguments: str) -> str:
        try:
            given = json.loads(arguments or "{}")
        except ValueError as error:
            return f"error: the arguments are not JSON: {error}"
        return link.told(name, given)

    tools = [
        FunctionTool(
            name=tool.name, description=tool.description, params_json_schema=tool.parameters,
            on_invoke_tool=functools.partial(called, tool.name), strict_json_schema=False,
        )
        for tool in job.tools
    ]  # fmt: skip
    sampling = ModelSettings(temperature=job.temperature, max_tokens=job.max_tokens, extra_args={"seed": job.seed})
    async with AsyncOpenAI(base_url=job.url, api_key="none") as client:
        model = OpenAIChatCompletionsModel(job.model, client)
        agent = Agent(name="agent", tools=tools, model=model, model_settings=sampling)
        ended = await Runner.run(agent, job.task, max_turns=job.turns)
    return str(ended.final_output)
