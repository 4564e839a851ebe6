"""Tools that find what another tool must be told: `search_people` for one that wants a `person_id`.

Wishes name things ("the films of Sofia Coppola"), tools want ids (`person_id`), and nobody says that a person has to be
looked up first. So when a tool is found, those of its toolset that find what it needs are found with it. Which these
are is read off parameters and names alone, the same for every catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from deepagent.retrieval.strings import Strings
from deepagent.retrieval.text import identifier_words, stem, words
from deepagent.tools import ToolSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.intp]

_IDS = frozenset({"id", "ids", "uuid", "guid", "slug"})
_FINDING = frozenset(map(stem, ("search", "find", "lookup", "query")))
_HEAD = 160
"""Characters of a description that say what a tool does, rather than how."""

_PLACEHOLDER = re.compile(r"(?:([\w-]+)/)?\{([\w-]+)\}")


def needed(spec: ToolSpec) -> frozenset[str]:
    """What must be found before the tool can be called: the stems of `person` for a required `person_id`.

    A placeholder in a name counts as required: `/albums/{id}` needs an album.
    """
    required = spec.parameters.get("required")
    wanted = [("", name) for name in (required if isinstance(required, list) else ()) if isinstance(name, str)]
    things = set()
    for before, name in wanted + _PLACEHOLDER.findall(spec.name):
        parts = identifier_words(name).lower().split()
        if parts and parts[-1] in _IDS and (thing := parts[:-1] or identifier_words(before).lower().split()):
            things.add(stem(thing[-1]))
    return frozenset(things)


def found(spec: ToolSpec) -> frozenset[str]:
    """What the tool may find: the stems of its words if it searches at all, else nothing.

    A tool that needs the id of something does not find it.
    """
    said = {stem(word) for word in identifier_words(spec.name).lower().split()} | set(words(spec.description[:_HEAD]))
    return frozenset(said - needed(spec)) if said & _FINDING else frozenset()


@dataclass(frozen=True)
class Finders:
    """What tools need, and which tools find it.

    Attributes:
        needs: what each tool needs, words with blanks between.
        keys: a toolset, a zero byte and a word, ascending: what is found.
        starts: where the tools of each key begin in `rows`, and at last where all end.
        rows: tools that find it.
    """

    needs: Strings
    keys: Strings
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]

    @classmethod
    def of(cls, toolsets: Sequence[bytes], needs: Sequence[frozenset[str]], finds: Sequence[frozenset[str]]) -> Self:
        """Gather what tools need and find; those of no toolset belong to nobody."""
        import numpy as np

        at: dict[bytes, list[int]] = {}
        for row, (toolset, things) in enumerate(zip(toolsets, finds, strict=True)):
            for thing in things if toolset else ():
                at.setdefault(_key(toolset, thing.encode()), []).append(row)
        keys = sorted(at)
        ends = np.cumsum([0, *(len(at[key]) for key in keys)])
        return cls(
            Strings.of(
                " ".join(sorted(things)).encode() if toolset else b""
                for toolset, things in zip(toolsets, needs, strict=True)
            ),
            Strings.of(keys),
            ends.astype(np.int64),
            np.array([row for key in keys for row in at[key]], np.int32),
        )

    def __len__(self) -> int:
        return len(self.needs)

    def needs_of(self, row: int) -> list[bytes]:
        """What the tool in a row needs."""
        return self.needs[row].split()

    def of_thing(self, toolset: bytes, thing: bytes) -> Rows:
        """The rows of a toolset's tools that find something."""
        import numpy as np

        number = self.keys.find(_key(toolset, thing))
        place = slice(0, 0) if number is None else slice(int(self.starts[number]), int(self.starts[number + 1]))
        return self.rows[place].astype(np.intp)


def _key(toolset: bytes, thing: bytes) -> bytes:
    return toolset + b"\0" + thing
