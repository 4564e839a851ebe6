"""Control tokens: text that the tokenizers of chat models may read as the beginning or end of a turn, or worse.

What tools, documents and models say is hostile. Inside it such text must stay text: it is cut into pieces that are
tokenised one by one, or broken up by a character that is not seen.
"""

from __future__ import annotations

import re
from itertools import pairwise

CONTROL = re.compile(
    r"<[|｜][^<>\s\u200b]{1,64}>|<[^<>\s|\u200b]{1,64}[|｜]>"  # <|im_end|>, <|turn>, <turn|>
    r"|</?s>|<(?:bos|eos|pad|unk|sop|eop|mask)>|<fim_\w{1,16}>|<(?:start|end)_[a-z_]{1,32}>"
    r"|</?(?:think|tool_response|tools|unused\d+)>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_(?:CALLS|RESULTS|CONTENT)|ARGS|CALL_ID|THINK|IMG|[gs]?MASK)\]"
)
"""All that known families of models use, except the tags of our own dialect, which the dialect defuses itself."""

_STARTS = re.compile(f"(?={CONTROL.pattern})")
"""Where one begins, also inside another."""
_LAST = re.compile(f"(?:{CONTROL.pattern})$")


def split_control(text: str) -> list[str]:
    """Cut a text inside everything that may be read as a control token, so that no piece holds a whole one."""
    if "<" not in text and "[" not in text:  # as all control tokens begin
        return [text] if text else []
    cuts = [0, *(match.start() + 1 for match in _STARTS.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts) if start < end]


def neutralise(text: str) -> str:
    """Break up what may be read as a control token, with a character that is not seen."""
    return "\u200b".join(split_control(text))


def without_end_token(text: object) -> object:
    """A reply's last piece without the end token that servers show when they are asked for control tokens."""
    return _LAST.sub("", text) if isinstance(text, str) else text
