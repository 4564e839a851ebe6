"""Characters that people do not see, and models, terminals or browsers obey.

What models, tools and documents write is hostile: it can command a terminal, turn around the order of what follows, or
hide whole sentences. Tabs, ends of lines and what scripts need to be written right are left alone.
"""

from __future__ import annotations

import re

_UNSEEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # commands to a terminal
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # these turn the order of what follows around
    r"\u180e\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # without width
    r"\ud800-\udfff"  # halves of characters, which no stream can write
    r"\U000e0000-\U000e0fff"  # tags and selectors: whole sentences that only a model reads
)

UNSEEN = re.compile(f"[{_UNSEEN}]")
"""None of these belongs into a text that people are to read."""

UNSEEN_OR_JOINING = re.compile(rf"[{_UNSEEN}\u200c\u200d]")
"""These, and the two joiners that Persian, Indic scripts and emoji are written with: for text that is shown to models
unasked, where a message could be spelled in them."""
