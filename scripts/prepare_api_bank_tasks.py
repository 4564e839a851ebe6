"""Make API-Bank's tasks of its dialogues and of its level 3.

    python scripts/prepare_api_bank_tasks.py FOLDER

FOLDER holds dialogues.jsonl.gz and test/level-3.json.gz. Of the dialogues those are kept that DeepAgent ran end to end,
but for two without a call; of level 3 the calls of ToolSearcher are left out, since tools are found by search here.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

TASKS = Path(__file__).parent.parent / "deepagent/evaluation/benchmarks/api_bank.jsonl.gz"


def main(source: Path) -> None:
    """Write the file."""
    lines = gzip.decompress((source / "dialogues.jsonl.gz").read_bytes()).splitlines()
    rows = [made for line in lines if (row := json.loads(line))["e2e"] and (made := _dialogue(row))["gold"]]
    third = json.loads(gzip.decompress((source / "test/level-3.json.gz").read_bytes()))
    rows += [_requirement(number, row) for number, row in enumerate(third, 1)]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    TASKS.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    sys.stdout.write(f"{len(rows)} tasks, {sum(len(row['gold']) for row in rows)} calls\n")


def _dialogue(row: dict[str, Any]) -> dict[str, Any]:
    turns = row["turns"]
    last = max((number for number, turn in enumerate(turns) if turn["role"] == "User"), default=-1)
    said = [f"{turn['role']}: {turn['text']}" for turn in turns[: last + 1] if turn["role"] != "API"]
    gold = [{"name": turn["api_name"], "arguments": turn["param_dict"]} for turn in turns if turn["role"] == "API"]
    return {"id": row["id"].removesuffix(".jsonl"), "level": row["level"], "text": "\n".join(said), "gold": gold}


def _requirement(number: int, row: dict[str, Any]) -> dict[str, Any]:
    calls = [one for one in row["apis"] if one["api_name"] != "ToolSearcher"]
    gold = [{"name": one["api_name"], "arguments": one["input"]} for one in calls]
    return {"id": f"level-3-{number:02}", "level": 3, "text": row["requirement"].strip(), "gold": gold}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
