"""How many real OpenAPI documents become toolsets, and why the others do not.

    python benchmarks/openapi_corpus.py FOLDER

FOLDER holds documents in any depth (.json, .yaml, .yml). Each one is loaded; of every operation the tool card is
written, and its schema is used to check a call without arguments. Prints the counts as a Markdown table, refusals with
their reasons, and what broke.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from deepagent.errors import DeepAgentError, InvalidArgumentsError, ToolError
from deepagent.tools import Tool, check_arguments
from deepagent.toolsets.openapi.document import load
from deepagent.toolsets.openapi.toolset import OpenApi, OpenApiConfig

Counts = Counter[tuple[str, str]]


def count(path: Path) -> Counts:
    counts: Counts = Counter({("documents", "in all"): 1})
    began = time.perf_counter()
    try:
        version = load(path).source
        toolset = OpenApi(OpenApiConfig(document=path))
    except DeepAgentError as error:
        counts["refused documents", reason(str(error).removeprefix(f"{path}: "))] += 1
    except Exception as error:  # a crash is what this program looks for
        counts["CRASHES", f"{path.name}: {type(error).__name__}"] += 1
    else:
        counts["documents", f"of version {version}"] += 1
        counts["documents", "that are toolsets"] += 1
        counts["operations", "that are tools"] += len(toolset.tools)
        for refusal in toolset.refused:
            counts["refused operations", reason(refusal.reason)] += 1
        for tool in toolset.tools:
            counts["operations", usable(tool)] += 1
    seconds = time.perf_counter() - began
    counts["seconds", "in all, rounded up per document"] += -int(-seconds // 0.001)
    return counts


def usable(tool: Tool) -> str:
    assert len(tool.spec.card) < 20_000
    try:
        check_arguments(tool.spec, {})
    except InvalidArgumentsError:
        return "that need arguments"
    except ToolError:
        return "WHOSE SCHEMA CANNOT BE USED"
    return "that can be called without"


def reason(text: str) -> str:
    """A reason without names, so that equal ones are counted together."""
    return re.sub(r"'[^']*'", "'...'", text)[:110]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    paths = sorted(one for one in options.folder.rglob("*") if one.suffix in (".json", ".yaml", ".yml"))
    total: Counts = Counter()
    with ProcessPoolExecutor(options.processes) as pool:
        for counts in pool.map(count, paths, chunksize=8):
            total += counts
    milliseconds = total.pop(("seconds", "in all, rounded up per document"), 0)
    print("| what | | count |\n|---|---|---|")
    for (what, kind), number in sorted(total.items()):
        print(f"| {what} | {kind.replace('|', '/')} | {number} |")
    print(f"\n{milliseconds / 1000:.0f} s of processor time")
    return 1 if any(what == "CRASHES" or "CANNOT" in kind for what, kind in total) else 0


if __name__ == "__main__":
    sys.exit(main())
