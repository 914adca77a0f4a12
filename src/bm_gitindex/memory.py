"""What one look at a project leaves for the next in the same process. With it gone, nothing is lost but time.

A file or folder is remembered beside the stat that it had before it was looked at, and what is remembered counts for as
long as the stat is the same. That is sound where each change leaves another time behind: on a local file system, whose
ctime is the kernel's own, and only if that time was well past when the look was taken, since a clock stands still
between two ticks (the racy rule of `index.compare`; a run that writes goes by its lock's time there, this by the
kernel's, which is the same).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.filesystem import is_local
from bm_gitindex.index.compare import YOUNG_MARGIN_S

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from bm_gitindex.index.entry import Index

_NS_PER_S = 1_000_000_000
_COMPRESSED = 4
"""The index version whose paths cannot be found again by their offsets."""


class _KeptIndex(NamedTuple):
    stamp: tuple[int, ...]
    read: Index
    settled_before_s: int


class _KeptListings(NamedTuple):
    key: tuple[object, ...]
    records: bytes
    settled_before_s: int


class Memory:
    """The index of a project, and what was in its folders: the bytes of the one, and a byte a file of the other.

    Whoever looks asks `settled_before_s` first. Several threads may use one, each of which keeps what it found.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        """`clock` says how many nanoseconds have passed since the epoch."""
        self._clock = clock
        self._index: _KeptIndex | None = None
        self._listings: _KeptListings | None = None

    def settled_before_s(self) -> int:
        """Return the second before which a thing must have changed to be remembered by a look that begins now."""
        return self._clock() // _NS_PER_S - YOUNG_MARGIN_S

    def recall_index(self, st: os.stat_result) -> Index | None:
        """Return the index that a file of this stat holds, if it is remembered."""
        kept = self._index
        if kept is None or kept.stamp != _stamp(st) or self._is_before(kept.settled_before_s):
            return None
        return kept.read.anew()

    def keep_index(self, path: Path, st: os.stat_result, index: Index, settled_before_s: int) -> None:
        """Remember an index that was read from this file, given the stat that the file had before."""
        changed_s = max(st.st_mtime_ns, st.st_ctime_ns) // _NS_PER_S
        can_be_kept = changed_s < settled_before_s and index.version != _COMPRESSED and is_local(path)
        self._index = _KeptIndex(_stamp(st), index.anew(), settled_before_s) if can_be_kept else None

    def recall_listings(self, key: tuple[object, ...]) -> bytes:
        """Return what the compiled prover made of the folders of an index, or nothing; `key` says for whom."""
        kept = self._listings
        if kept is None or kept.key != key or self._is_before(kept.settled_before_s):
            return b""
        return kept.records

    def keep_listings(self, key: tuple[object, ...], records: bytes, settled_before_s: int) -> None:
        """Remember what the compiled prover made of the folders of an index."""
        self._listings = _KeptListings(key, records, settled_before_s)

    def _is_before(self, settled_before_s: int) -> bool:
        """Return whether the clock was set back since: the same time may then come twice."""
        return self.settled_before_s() < settled_before_s


def _stamp(st: os.stat_result) -> tuple[int, ...]:
    return st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns
