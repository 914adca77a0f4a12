"""What one look at a project leaves for the next in the same process. With it gone, nothing is lost but time.

A file or folder is remembered beside the stat that it had before it was looked at, and what is remembered counts for as
long as the stat is the same. That is sound where each change leaves another time behind: on a local file system, whose
ctime is the kernel's own, and only if that time was well past when the look was taken, since a clock stands still
between two ticks (the racy rule of `index.compare`; a run that writes goes by its lock's time there, this by the
kernel's, which is the same). A clock that was set comes to the same time twice, and what was remembered before counts
no longer.
"""

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.filesystem import is_local
from bm_gitindex.index.compare import YOUNG_MARGIN_S
from bm_gitindex.index.entry import Index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_NS_PER_S = 1_000_000_000
_SET_NS = _NS_PER_S // 2
"""A clock that went apart from the steady one by more was set. The margin makes up for less."""
_COMPRESSED = 4
"""The index version whose paths cannot be found again by their offsets."""


class Moment(NamedTuple):
    """When a look began."""

    settled_before_s: int
    """A thing that changed before this second may be remembered."""
    ahead_ns: int
    """How far the clock is ahead of one that nobody sets."""


class _Pin:
    """A file held open: as long as it is, no other can have its inode number."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class Losses:
    """Which files the syncs of some paths have deleted since the last full one: what comes back was no loss.

    It counts for the index with the checksum that the last of those syncs wrote, and no other: somebody else may have
    begun the count anew.
    """

    def __init__(self) -> None:
        """Nothing is deleted yet."""
        self._trailer: bytes | None = None
        self._paths: frozenset[bytes] = frozenset()

    def come_back(self, trailer: bytes | None, paths: "Iterable[bytes]") -> frozenset[bytes]:
        """Return those of some paths that were deleted before the index with this checksum was written."""
        return self._paths.intersection(paths) if trailer == self._trailer else frozenset()

    def go_on(self, trailer: bytes | None, deleted: "Iterable[bytes]", back: "Iterable[bytes]") -> None:
        """Take note of what was deleted, and of what came back, by the time that this index was written."""
        self._trailer, self._paths = trailer, self._paths.difference(back).union(deleted)

    def forget(self) -> None:
        """Begin anew, after a full sync."""
        self._trailer, self._paths = None, frozenset()


class _KeptIndex(NamedTuple):
    stamp: tuple[int, ...]
    read: Index
    moment: Moment
    pin: _Pin | None
    """Of a file that this process has written; None of one that it has read."""


class _KeptListings(NamedTuple):
    key: tuple[object, ...]
    records: bytes
    moment: Moment


class Memory:
    """The index of a project, and what was in its folders: the bytes of the one, and a byte a file of the other.

    And `losses`: what a watcher has deleted between two passes.

    Whoever looks asks for the `moment` first. Several threads may use one memory: what it holds is replaced as a whole.
    """

    def __init__(
        self, clock: "Callable[[], int]" = time.time_ns, steady: "Callable[[], int]" = time.monotonic_ns
    ) -> None:
        """`clock` says how many nanoseconds have passed since the epoch, and `steady` since some time or other."""
        self._clock = clock
        self._steady = steady
        self._index: _KeptIndex | None = None
        self._listings: _KeptListings | None = None
        self.losses = Losses()

    def moment(self) -> Moment:
        """Return when a look begins that begins now."""
        now_ns = self._clock()
        return Moment(now_ns // _NS_PER_S - YOUNG_MARGIN_S, now_ns - self._steady())

    def recall_index(self, st: "os.stat_result") -> Index | None:
        """Return the index that a file of this stat holds, if it is remembered."""
        kept = self._index
        if kept is None or self._was_set_since(kept.moment):
            return None
        is_same = kept.stamp == (_stamp(st) if kept.pin is None else _stamp_of_pinned(st))
        return kept.read.anew() if is_same else None

    def keep_index(self, path: "Path", st: "os.stat_result", index: Index, moment: Moment) -> None:
        """Remember an index that was read from this file, given the stat that the file had before."""
        changed_s = max(st.st_mtime_ns, st.st_ctime_ns) // _NS_PER_S
        can_be_kept = changed_s < moment.settled_before_s and index.version != _COMPRESSED and is_local(path)
        self._index = _KeptIndex(_stamp(st), index.anew(), moment, None) if can_be_kept else None

    def keep_written(self, path: "Path", index: Index) -> None:
        """Remember an index that this process has just put into place, holding the lock under which that is done.

        No other file can be taken for it, whatever the clock says: its inode is held, so that an index which replaces
        it has another one.
        """
        self._index = None
        with suppress(OSError):
            pin = _Pin(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
            self._index = _KeptIndex(_stamp_of_pinned(os.fstat(pin.fd)), index.anew(), self.moment(), pin)

    def recall_listings(self, key: tuple[object, ...]) -> bytes:
        """Return what the compiled prover made of the folders of an index, or nothing; `key` says of which and how."""
        kept = self._listings
        if kept is None or kept.key != key or self._was_set_since(kept.moment):
            return b""
        return kept.records

    def keep_listings(self, key: tuple[object, ...], records: bytes, moment: Moment) -> None:
        """Remember what the compiled prover made of the folders of an index; it left out what must not be."""
        self._listings = _KeptListings(key, records, moment)

    def _was_set_since(self, moment: Moment) -> bool:
        return abs(self.moment().ahead_ns - moment.ahead_ns) > _SET_NS


def _stamp_of_pinned(st: "os.stat_result") -> tuple[int, ...]:
    """Return what stays the same of a file of which another name is removed: its ctime does not."""
    return st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns


def _stamp(st: "os.stat_result") -> tuple[int, ...]:
    return st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns
