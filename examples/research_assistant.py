"""A research assistant: it searches the web or a folder, reads, computes, and writes a report with its sources.

    python examples/research_assistant.py "Which bridge is longer, and by how much?" --documents papers
    SERPER_API_KEY=... python examples/research_assistant.py "Who won the prize this year?" --model URL#NAME

It needs `pip install 'deepagent[embedded,research]'`. Every run is kept: `deepagent view` shows how it was done.
"""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from deepagent import Agent, AgentConfig, Delta, Limits
from deepagent.actions import Call
from deepagent.runs.events import Ended, Folded, Intended, Observed

GUIDANCE = (
    "Search first, then read what looks best; do not answer from memory. Compute with Python. Answer in two or three "
    "sentences."
)
READING = ("browse", "read_file")


def tools(documents: Path | None) -> list[dict[str, Any]]:
    """The research toolset over a folder, or over the web."""
    if documents is None:
        return [{"kind": "research", "search": {"engine": "serper"}}]
    return [{"kind": "research", "search": {"engine": "corpus", "folder": str(documents)}}]


async def research(question: str, agent: Agent) -> str:
    """Work on the question, tell what happens, and return the report."""
    sources: dict[str, str] = {}
    reading, answer, steps = "", "", 0
    async for event in agent.stream(question):
        match event:
            case Delta(text=text):
                print(text, end="", flush=True)
            case Intended(action=Call(name=name, arguments=arguments)) if name in READING:
                reading = str(arguments.get("url") or arguments.get("path"))
            case Observed(observation=observation):
                print(f"\n  -> {observation.text.strip()[:200]}\n", flush=True)
                if reading and observation.error is None:
                    sources[reading] = observation.text.strip().splitlines()[0][:100]
                reading = ""
            case Folded(number=number, before=before, after=after):
                print(f"\n  -> fold {number}: {before} tokens become {after}\n")
            case Ended():
                answer, steps = event.answer or f"no answer: {event.reason}", event.steps
    listed = "\n".join(f"- {place}" for place in sources) or "- none was read"
    return f"# {question}\n\n{answer}\n\n## Sources\n\n{listed}\n\n{steps} steps.\n"


def main() -> None:
    """Read the options, and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question")
    parser.add_argument("--documents", type=Path, help="folder of .md, .txt and .html files, instead of the web")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--report", type=Path, default=Path("report.md"))
    options = parser.parse_args()
    config = AgentConfig(guidance=GUIDANCE, limits=Limits(actions=30))
    report = asyncio.run(research(options.question, Agent(options.model, tools(options.documents), config=config)))
    options.report.write_text(report, encoding="utf-8")
    print(f"\nwritten to {options.report}")


if __name__ == "__main__":
    main()
