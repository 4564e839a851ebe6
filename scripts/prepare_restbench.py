"""Make RestBench's data files: the two OpenAPI documents, shortened, and the tasks.

    python scripts/prepare_restbench.py FOLDER

FOLDER holds tmdb_oas.json.gz, tmdb_queries.json.gz, spotify_oas.json.gz and spotify_queries.json.gz. Lists in sample
responses are cut to their first items: they are what a mock server answers, and prompts have to hold them.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DOCUMENTS = ROOT / "toolsets/restbench"
TASKS = ROOT / "deepagent/evaluation/benchmarks"
KEPT = 3
UNUSED = ("x-logo", "x-spotify-policy", "x-spotify-policy-list")

# Gold paths that name no operation of the document, and what they mean.
MENDED = {
    "GET /person/{movie_id}/movie_credits": "GET /person/{person_id}/movie_credits",
    "GET /track/{id}": "GET /tracks/{id}",
}


def main(source: Path) -> None:
    """Write the files."""
    for api in ("tmdb", "spotify"):
        document = _read(source / f"{api}_oas.json.gz")
        _write(DOCUMENTS / f"{api}.json.gz", json.dumps(_shortened(document), ensure_ascii=False))
        rows = [
            {
                "id": f"{api}-{number:03}",
                "query": row["query"].strip(),
                "gold": [MENDED.get(path.strip(), path.strip()) for path in row["solution"]],
            }
            for number, row in enumerate(_read(source / f"{api}_queries.json.gz"), 1)
        ]
        _write(TASKS / f"{api}.jsonl.gz", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        sys.stdout.write(f"{api}: {len(document['paths'])} paths, {len(rows)} tasks\n")


def _shortened(value: Any, *, sample: bool = False) -> Any:
    if isinstance(value, dict):
        return {
            key: _shortened(one, sample=sample or key == "examples") for key, one in value.items() if key not in UNUSED
        }
    if isinstance(value, list):
        return [_shortened(one, sample=sample) for one in (value[:KEPT] if sample else value)]
    return value


def _read(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()))


def _write(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
