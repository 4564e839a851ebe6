"""Split the ToolHop sample into a catalogue of tools and a list of tasks.

    python scripts/prepare_toolhop.py tasks.jsonl.gz

The catalogue knows nothing of the tasks: functions are merged where specification and source are the same, ordered by a
hash of their content, and a name that several different functions share gets a number in that order.
"""

import ast
import gzip
import hashlib
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TOOLS = ROOT / "toolsets/toolhop/functions.jsonl.gz"
TASKS = ROOT / "deepagent/evaluation/benchmarks/toolhop.jsonl.gz"


def main(source: Path) -> None:
    """Write both files."""
    tasks = [json.loads(line) for line in gzip.decompress(source.read_bytes()).splitlines()]
    functions: dict[str, dict[str, Any]] = {}
    used: dict[str, list[str]] = defaultdict(list)
    for task in tasks:
        for spec in task["tools"].values():
            entry = {
                "function": spec["name"],
                "description": spec["description"],
                "parameters": spec["parameters"],
                "source": _source(task, spec),
            }
            digest = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
            functions[digest] = entry
            used[task["id"]].append(digest)
    by_name = defaultdict(list)
    for digest in sorted(functions):
        by_name[functions[digest]["function"]].append(digest)
    names = {
        digest: name if number == 0 else f"{name}_{number + 1}"
        for name, digests in sorted(by_name.items())
        for number, digest in enumerate(digests)
    }
    tools = [{"name": name, **functions[digest]} for digest, name in names.items()]
    _write(TOOLS, tools)
    kept = ("id", "question", "answer", "answer_type", "hop_count", "sub_task")
    rows = [{key: task[key] for key in kept} for task in tasks]
    for row in rows:
        row["tools"] = sorted(names[digest] for digest in used[row["id"]])
    _write(TASKS, rows)
    sys.stdout.write(f"{len(tools)} tools of {len(by_name)} names, {len(tasks)} tasks\n")


def _source(task: dict[str, Any], spec: dict[str, Any]) -> str:
    """The function of a specification: by name, and by its parameters where two functions share the name."""
    wanted = set(spec["parameters"].get("properties", {}))
    found = []
    for source in task["functions"]:
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and node.name == spec["name"]:
                found.append((len(wanted ^ {argument.arg for argument in node.args.args}), source))
    if not found:
        raise SystemExit(f"{task['id']}: no function for {spec['name']}")
    return str(min(found)[1])


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(body, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
