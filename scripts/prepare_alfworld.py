"""Make ALFWorld's goals of ALFRED's training trials.

    python scripts/prepare_alfworld.py FOLDER

FOLDER holds goals_train.jsonl.gz: a row for each trial. Trials of one goal differ only in the room as it was found,
which is made anew, so that a goal is kept once, with their number.
"""

import gzip
import json
import sys
from pathlib import Path

GOALS = Path(__file__).parent.parent / "toolsets/alfworld/goals.jsonl.gz"


def main(source: Path) -> None:
    """Write the file."""
    rows = [json.loads(line) for line in gzip.decompress((source / "goals_train.jsonl.gz").read_bytes()).splitlines()]
    made: dict[str, dict[str, object]] = {}
    for row in rows:
        name, what = row["id"].split("/")[1], row["pddl_params"]
        goal = {
            "id": name,
            "kind": row["task_type"],
            "thing": what["object_target"],
            "target": what["parent_target"],
            "lamp": what["toggle_target"],
            "room": row["floor_plan"],
        }
        made[name] = goal | {"trials": int(str(made.get(name, {}).get("trials", 0))) + 1}
    text = "".join(json.dumps(goal) + "\n" for goal in made.values())
    GOALS.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    sys.stdout.write(f"{len(made)} goals of {len(rows)} trials\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
