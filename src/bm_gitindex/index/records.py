"""What is to differ in the next index: an encoded entry by path, or None for a path that is left out.

A first run has as many of them as there are files, and comes by them in order of path. Such ones are kept end to end,
as they will stand in the index, which takes a third of what so many objects would; and in blocks, since an array that
grows is copied now and then, and each copy leaves a hole behind that nothing else fits into.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import TYPE_CHECKING

from bm_gitindex.index.entry import ENTRY_HEAD, FLAG_EXTENDED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Block = bytes | bytearray

BLOCK_ENTRIES = 512
_FLAGS_OFFSET = ENTRY_HEAD.size - 2


class Records:
    """Encoded entries by path, None where there is to be no entry."""

    def __init__(self, records: Mapping[bytes, bytes | None] | None = None) -> None:
        """Begin with `records`."""
        self._run: list[Block] = []
        """Entries in order of path, end to end, in blocks of so many; all but the last block have their final size."""
        self._offsets: list[array[int]] = []
        """Where in its block each entry begins."""
        self._run_length = 0
        self._last = b""
        """The path of the last entry of the run."""
        self._others: dict[bytes, bytes | None] = {}
        """What is not in the run, or stands for what is."""
        self._withdrawn: set[bytes] = set()
        """Paths of the run that do not count."""
        for path, record in sorted((records or {}).items()):
            self[path] = record

    def __len__(self) -> int:
        hidden = sum(self._place(path) is not None for path in self._others)
        return self._run_length + len(self._others) - len(self._withdrawn) - hidden

    def __contains__(self, path: bytes) -> bool:
        return path in self._others or (path not in self._withdrawn and self._place(path) is not None)

    def __getitem__(self, path: bytes) -> bytes | None:
        """Return the entry, or None. Raises KeyError for a path of which nothing is said."""
        if path in self._others:
            return self._others[path]
        place = self._place(path)
        if place is None or path in self._withdrawn:
            raise KeyError(path)
        return self._record(place)

    def __setitem__(self, path: bytes, record: bytes | None) -> None:
        if record is None or path <= self._last:
            self._withdrawn.discard(path)
            self._others[path] = record
            return
        self._others.pop(path, None)
        self._append(record)
        self._last = path

    def get(self, path: bytes) -> bytes | None:
        """Return the entry, None where there is none, whether that is said or not."""
        try:
            return self[path]
        except KeyError:
            return None

    def discard(self, path: bytes) -> None:
        """Say nothing of a path any more."""
        self._others.pop(path, None)
        if self._place(path) is not None:
            self._withdrawn.add(path)

    def items(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield what is said of each path, in order of path."""
        others = deque(sorted(self._others))
        for record in map(self._record, range(self._run_length)):
            path = _path_of(record)
            while others and others[0] < path:
                other = others.popleft()
                yield other, self._others[other]
            if path not in self._others and path not in self._withdrawn:
                yield path, record
        for other in others:
            yield other, self._others[other]

    def blocks(self) -> list[tuple[Block, array[int]]] | None:
        """Return all entries, in order of path and end to end, in blocks, with the offsets of each within its block.

        None where not all that is said came in order.
        """
        return None if self._others or self._withdrawn else [*zip(self._run, self._offsets, strict=True)]

    def _append(self, record: bytes) -> None:
        if self._run_length % BLOCK_ENTRIES == 0:
            if self._run:
                self._run[-1] = bytes(self._run[-1])  # without the room that it was given to grow
            self._run.append(bytearray())
            self._offsets.append(array("I"))
        self._offsets[-1].append(len(self._run[-1]))
        self._run[-1] += record
        self._run_length += 1

    def _place(self, path: bytes) -> int | None:
        """Return where in the run an entry stands."""
        if not self._run_length or path > self._last:
            return None
        low, high = 0, self._run_length
        while low < high:
            middle = (low + high) // 2
            if _path_of(self._record(middle)) < path:
                low = middle + 1
            else:
                high = middle
        return low if _path_of(self._record(low)) == path else None

    def _record(self, place: int) -> bytes:
        number, place = divmod(place, BLOCK_ENTRIES)
        block, offsets = self._run[number], self._offsets[number]
        end = offsets[place + 1] if place + 1 < len(offsets) else len(block)
        return bytes(block[offsets[place] : end])


def _path_of(record: bytes) -> bytes:
    start = ENTRY_HEAD.size + (2 if record[_FLAGS_OFFSET] & (FLAG_EXTENDED >> 8) else 0)
    return record[start:].rstrip(b"\0")
