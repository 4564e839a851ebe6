"""Many strings as two arrays, so that they can stay on disk and be read one by one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Offsets = NDArray[np.int64]


def encoded(name: str) -> bytes:
    """The bytes of a name; those of text that is not Unicode are no other name's."""
    return name.encode("utf-8", "surrogatepass")


class Strings(Sequence[bytes]):
    """Byte strings end to end.

    Args:
        data: their bytes.
        ends: where each of them ends in `data`.
    """

    def __init__(self, data: Bytes, ends: Offsets) -> None:
        self.data, self.ends = data, ends

    @classmethod
    def of(cls, strings: Iterable[bytes]) -> Self:
        """Put strings end to end, in the order given."""
        import numpy as np

        data = bytearray()
        ends = []
        for string in strings:
            data += string
            ends.append(len(data))
        return cls(np.frombuffer(data, np.uint8), np.array(ends, np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> bytes:  # type: ignore[override]  # slices have no user
        if not 0 <= row < len(self.ends):
            raise IndexError(row)
        start = self.ends[row - 1] if row else 0
        return self.data[start : self.ends[row]].tobytes()

    def find(self, string: bytes) -> int | None:
        """The row of a string; the strings must be in ascending order."""
        row = bisect_left(self, string)
        return row if row < len(self) and self[row] == string else None

    def check(self) -> None:
        """Make sure that no string reaches outside of the data.

        Raises:
            ValueError: one does.
        """
        last = int(self.ends[-1]) if len(self.ends) else 0
        if last != len(self.data) or (len(self.ends) and (self.ends[0] < 0 or (self.ends[1:] < self.ends[:-1]).any())):
            raise ValueError("the ends of strings do not fit their data")
