"""Put API-Bank's descriptions, tables and recorded answers into one file for the toolset.

    python scripts/prepare_api_bank.py FOLDER

FOLDER holds apis.json, databases/ and dialogues.jsonl.gz. The world knows nothing of tasks: of the dialogues it keeps
what the two web services said that nobody can call any more, and the calls that tests replay go to the tests.
"""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WORLD = ROOT / "toolsets/api_bank/world.json.gz"
CALLS = ROOT / "tests/toolsets/api_bank_calls.jsonl.gz"
RECORDED = ("Dictionary", "Translate")


def main(source: Path) -> None:
    """Write both files."""
    apis = json.loads((source / "apis.json").read_bytes())
    kept = ("name", "set", "description", "input_parameters", "call_arguments")  # not what they answered
    tables = {path.stem: json.loads(path.read_bytes()) for path in sorted((source / "databases").glob("*.json"))}
    captions = [*tables.pop("ImageCaptioning"), *tables.pop("ImageCaptioning_referenced")]
    tables["ImageCaptioning"] = {one["url"]: one["caption"] for one in captions}
    tables["SearchEngine"] = tables["SearchEngine"]["raw_documents"]
    tables["Wiki"] = {
        word: {"url": page["url"], "summary": page["summary"]} for word, page in tables["Wiki"].items()
    }  # the API answers no more of a page
    for api in apis:
        if api["set"] == "lv3" and api["embedded_data"]:
            tables[f"3:{api['name']}"] = next(iter(api["embedded_data"].values()))
    episodes = _episodes(source / "dialogues.jsonl.gz")
    tables["Recorded"] = [
        {"api": call["api"], "input": call["input"], "output": call["output"]}
        for episode in episodes
        for call in episode
        if call["api"] in RECORDED
    ]
    world = {"apis": [{key: api[key] for key in kept} for api in apis], "tables": tables}
    WORLD.write_bytes(gzip.compress(json.dumps(world, ensure_ascii=False).encode(), mtime=0))
    for api in apis:
        if api["set"] == "lv3" and api["name"] != "ToolSearcher":
            episodes += [[_call("3", api["name"], example)] for example in api["examples"]]
    lines = "".join(json.dumps(episode, ensure_ascii=False) + "\n" for episode in episodes)
    CALLS.write_bytes(gzip.compress(lines.encode(), mtime=0))
    sys.stdout.write(f"{len(apis)} APIs, {len(tables)} tables, {sum(map(len, episodes))} recorded calls\n")


def _episodes(path: Path) -> list[list[dict[str, Any]]]:
    """The recorded calls of each dialogue whose descriptions were given, in order."""
    found = []
    for line in gzip.decompress(path.read_bytes()).splitlines():
        dialogue = json.loads(line)
        turns = [turn for turn in dialogue["turns"] if turn["role"] == "API"]
        if dialogue["given_desc"] and turns:
            found.append([_call("1-2", turn["api_name"], turn["result"]) for turn in turns])
    return found


def _call(level: str, api: str, result: dict[str, Any]) -> dict[str, Any]:
    return {"level": level, "api": api, "input": result["input"], "output": result["output"]}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
