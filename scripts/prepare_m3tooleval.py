"""Split M3ToolEval's data into a world of pages and tables and a list of tasks.

    python scripts/prepare_m3tooleval.py FOLDER

FOLDER holds tasks.json, tools.json and pages.json. The world knows nothing of the tasks.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WORLD = ROOT / "toolsets/m3tooleval/world.jsonl.gz"
TASKS = ROOT / "deepagent/evaluation/benchmarks/m3tooleval.jsonl.gz"


def main(source: Path) -> None:
    """Write both files."""
    tasks, families, site = (json.loads((source / f"{name}.json").read_bytes()) for name in ("tasks", "tools", "pages"))
    trips = next(family["constants"] for family in families if family["family"] == "travel_itinerary_planning")
    rows = [{"kind": "flight", **flight} for flight in trips["flights"]]
    rows += [{"kind": "hotel", **hotel} for hotel in trips["hotels"]]
    rows += [{"kind": "page", **page} for page in site["pages"]]
    rows += [{"kind": "link", "shown": shown, "page": page} for shown, page in site["link_fixes"].items()]
    _write(WORLD, rows)
    kept = ("id", "family", "instruction", "expected_published", "expected_type", "fixed")
    _write(TASKS, [{key: task[key] for key in kept} for task in tasks])
    sys.stdout.write(f"{len(rows)} rows of the world, {len(tasks)} tasks\n")


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(body, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
