"""Who is compared."""

from __future__ import annotations

from benchmarks.success.peer import Way

OURS = "deepagent"
_HERE = "benchmarks.success.peers"
PEERS = {
    "smolagents-code": Way(f"{_HERE}.smolagents_agents:code", "smolagents"),
    "smolagents-tools": Way(f"{_HERE}.smolagents_agents:tools", "smolagents"),
    "langgraph": Way(f"{_HERE}.langgraph_agents", "langgraph"),
    "langgraph-bigtool": Way(f"{_HERE}.langgraph_agents:found", "bigtool", finds=True),
    "pydantic-ai": Way(f"{_HERE}.pydantic_ai_agent", "pydantic-ai"),
    "openai-agents": Way(f"{_HERE}.openai_agents_agent", "openai-agents"),
}
