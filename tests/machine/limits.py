"""What README.md says cannot be seen, file by file, and nothing wider than that."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bm_gitindex.index.entry import Entry
    from bm_gitindex.index.stat import Trust
    from machine.clock import Clock
    from machine.folder import File, Folder

_NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class _Change:
    """How a file came to be what it is."""

    is_backdated: bool
    """Its mtime is not the time of the change."""
    was_behind: bool
    """The clock had been set back, to before a time that it had shown."""
    was_ctime_untrusted: bool
    """ctime did not count then, or in a sync since."""
    was_seen: bool = False
    """A sync has compared it by its content, and no older index has been put back since."""


class Limits:
    """Watches edits, and says of which files a sync may think that they are what they were."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changes: dict[bytes, _Change] = {}

    @contextmanager
    def watching(self, folder: Folder, trust: Trust) -> Iterator[dict[bytes, File]]:
        """Take note of which files the body changes, and how; it is given what they are before."""
        before = folder.files()
        yield before
        stamp_ns = self._clock.stamp_ns()
        for path, file in folder.files().items():
            if path not in before or _version(file) != _version(before[path]):
                is_backdated = file.stat.st_mtime_ns != stamp_ns
                self._changes[path] = _Change(is_backdated, self._clock.is_behind, not trust.compares_ctime)

    def sync_begins(self, trust: Trust) -> None:
        """Note that a sync is about to look at the files, trusting their stats so far."""
        for change in self._changes.values():
            change.was_ctime_untrusted |= not trust.compares_ctime

    def everything_was_doubted(self) -> None:
        """Note that a sync believed no stat: it was paranoid, or took place before the time of the index it found."""
        for change in self._changes.values():
            change.was_seen = True

    def index_was_restored(self) -> None:
        """Note that an index was put back which may know nothing of what was seen since."""
        for change in self._changes.values():
            change.was_seen = False

    def allow(self, path: bytes, file: File, entry: Entry | None, trust: Trust) -> bool:
        """Return whether an edit of this file may go unseen: its stat is the entry's to the last field that counts."""
        change = self._changes.get(path)
        if change is None or change.was_seen or entry is None:
            return False
        if entry.stat.size != len(file.content) or not file.content:
            return False
        if not _same_time(entry.stat.mtime_s, entry.stat.mtime_ns, file.stat.st_mtime_ns, trust):
            return False
        if change.is_backdated and change.was_ctime_untrusted:
            return True
        is_same_inode = not trust.compares_ctime or (
            _same_time(entry.stat.ctime_s, entry.stat.ctime_ns, file.stat.st_ctime_ns, trust)
            and entry.stat.ino == file.stat.st_ino & 0xFFFF_FFFF
        )
        return change.was_behind and is_same_inode


def _version(file: File) -> tuple[object, ...]:
    return file.content, file.stat.st_mtime_ns, file.stat.st_ino


def _same_time(second: int, nanosecond: int, time_ns: int, trust: Trust) -> bool:
    return second == time_ns // _NS_PER_S and (trust.check_stat == "minimal" or nanosecond == time_ns % _NS_PER_S)
