"""Make ToolBench's catalogue and tasks of its test instructions.

    python scripts/prepare_toolbench.py FOLDER

FOLDER holds G1_instruction.json.gz, G2_instruction.json.gz and solvable_ids.json. The catalogue has every API that an
instruction lists, once; nothing in it says which task it belongs to.
"""

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
APIS = ROOT / "toolsets/toolbench/apis.jsonl.gz"
TASKS = ROOT / "deepagent/evaluation/benchmarks/toolbench.jsonl.gz"
SETS = ("G1_instruction", "G2_instruction")
NAME, DESCRIPTION, NOTE, TEMPLATE = 64, 600, 160, 300
TYPES = {"NUMBER": "number", "BOOLEAN": "boolean", "ARRAY": "array", "OBJECT": "object"}

Key = tuple[str, str, str]


def main(source: Path) -> None:
    """Write both files."""
    solvable = json.loads((source / "solvable_ids.json").read_bytes())
    catalogue: dict[Key, dict[str, Any]] = {}
    taken: set[str] = set()
    tasks = []
    for part in SETS:
        known = {int(one) for one in solvable[part]}
        for row in json.loads(gzip.decompress((source / f"{part}.json.gz").read_bytes())):
            listed = [_kept(catalogue, taken, api) for api in row["api_list"]]
            by_pair = {(one["tool"], one["api"]): one["name"] for one in listed}
            relevant = [by_pair[tool, api] for tool, api in row["relevant APIs"] if (tool, api) in by_pair]
            tasks.append(
                {
                    "id": f"{part[:2]}-{row['query_id']}",
                    "query": row["query"],
                    "relevant": list(dict.fromkeys(relevant)),
                    "listed": list(dict.fromkeys(one["name"] for one in listed)),
                    "solvable": int(row["query_id"]) in known,
                }
            )
    _write(APIS, list(catalogue.values()))
    _write(TASKS, tasks)
    sys.stdout.write(
        f"{len(catalogue)} APIs, {len(tasks)} tasks, {sum(not one['relevant'] for one in tasks)} without gold\n"
    )


def _kept(catalogue: dict[Key, dict[str, Any]], taken: set[str], api: dict[str, Any]) -> dict[str, Any]:
    key = api["category_name"], api["tool_name"], api["api_name"]
    if key not in catalogue:
        catalogue[key] = {
            "name": _name(api, taken),
            "category": key[0],
            "tool": key[1],
            "api": key[2],
            "method": str(api.get("method") or "GET").upper(),
            "description": _description(api),
            "parameters": _parameters(api),
        }
    return catalogue[key]


def _name(api: dict[str, Any], taken: set[str]) -> str:
    """ToolBench's own form, `api_for_tool`, its last characters where it is too long; numbered where it is taken."""
    whole = f"{_standard(api['api_name'])}_for_{_standard(api['tool_name'])}"[-NAME:].strip("_")
    name, number = whole, 2
    while name in taken:
        name, number = f"{whole[: NAME - 4]}_{number}", number + 1
    taken.add(name)
    return name


def _standard(text: str) -> str:
    plain = re.sub(r"_+", "_", re.sub(r"[^0-9a-zA-Z]+", "_", text)).strip("_").lower()
    return f"get_{plain}" if plain[:1].isdigit() else plain


def _description(api: dict[str, Any]) -> str:
    told = _cut(str(api.get("api_description") or ""), DESCRIPTION) or api["api_name"]
    template = api.get("template_response")
    shape = f" Returns JSON such as {_cut(json.dumps(template, ensure_ascii=False), TEMPLATE)}" if template else ""
    return f"{told} ({api['tool_name']}, {api['category_name']}){shape}"


def _parameters(api: dict[str, Any]) -> dict[str, Any]:
    properties = {}
    for one in [*api["required_parameters"], *api["optional_parameters"]]:
        note = _cut(str(one.get("description") or ""), NOTE)
        sample = one.get("default")
        told = f"{note} (such as {_cut(str(sample), 60)})" if sample not in (None, "") else note
        properties[one["name"]] = {
            "type": TYPES.get(str(one.get("type")).upper(), "string"),
            "description": told.strip(),
        }
    return {"type": "object", "properties": properties, "required": [one["name"] for one in api["required_parameters"]]}


def _cut(text: str, limit: int) -> str:
    plain = " ".join(text.replace("\\", "").split())
    return plain if len(plain) <= limit else f"{plain[: limit - 3]}..."


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(body, 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
