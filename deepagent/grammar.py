"""What a reply can be held to: thoughts stay free, the inside of an action does not."""

from __future__ import annotations

import json
from typing import Any

from deepagent.actions import Frozen


class HeldTag(Frozen):
    """Between `begin` and `end` stands JSON that fits the schema, on lines of its own or not."""

    begin: str
    schema_: dict[str, Any]
    end: str


class Grammar(Frozen):
    """Tags whose inside is held to a schema; all other text is free."""

    tags: tuple[HeldTag, ...]

    @property
    def structural_tag(self) -> str:
        """The grammar as XGrammar's structural tag, which vLLM and SGLang read; also its name among grammars."""
        space = {"type": "regex", "pattern": "\\n?"}  # any more, and a small model writes blanks for ever
        tags = [
            {
                "begin": tag.begin,
                "content": {
                    "type": "sequence",
                    "elements": [space, {"type": "json_schema", "json_schema": tag.schema_}, space],
                },
                "end": tag.end,
            }
            for tag in self.tags
        ]
        triggers = list(dict.fromkeys(tag.begin for tag in self.tags))
        # Not `stop_after_first`: that would force an end token, which is no part of the stream; stop strings end it.
        form = {"type": "triggered_tags", "triggers": triggers, "tags": tags, "at_least_one": False}
        return json.dumps({"type": "structural_tag", "format": form | {"stop_after_first": False}})
