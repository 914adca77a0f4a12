"""The racy rule: what stat data prove about a file's content, and what may be written down about it.

git calls an entry racy when its file could have been changed after it was hashed without a trace in its stat
(technical/racy-git). The rule here is git's, made stricter in the places where git can miss an edit:

* a file that changed so shortly before the run that the clock may not have moved on is *young*, and stored with size
  0, which is equal to nothing; the next sync settles it;
* an entry that was racy and was not compared by content is not blessed by writing the index anew: size 0 again;
* ctime, where it can be trusted, decides what is racy, so that an mtime put back or set ahead hides nothing;
* an index written by someone else, or older than it claims, or on a clock that was set back, proves nothing.

Time is an argument everywhere: T, the mtime of the index file that was read, and t0, the mtime of the lock file that
this run created, both by the file system's own clock.
"""

from enum import Enum
from typing import NamedTuple

from bm_gitindex.index.entry import EMPTY_BLOB_ID, Entry, Index, Tracking
from bm_gitindex.index.stat import StatChange, StatData, Trust, stat_changes

YOUNG_MARGIN_S = 2
"""Longer than the coarsest clock among file systems in use: FAT counts mtime in steps of two seconds."""


class Verdict(Enum):
    """What can be said of a file without opening it."""

    CLEAN = "clean"
    MODIFIED = "modified"
    UNSURE = "unsure"
    """Stat data cannot tell; the content decides."""


class Baseline(NamedTuple):
    """What an index file, as it was read, is worth as evidence."""

    timestamp_s: int
    """T: the second of the index file's mtime, low 32 bits. 0 makes every entry racy."""
    is_trusted: bool
    """False makes every entry racy: the index is not of our writing, or was written on a clock since set back."""

    def distrusted(self) -> "Baseline":
        """Return the same index as one that proves nothing."""
        return self._replace(is_trusted=False)

    def seen_at(self, clock: "LockClock") -> "Baseline":
        """Return what the index is worth in a run that began at t0: nothing, if the clock was set back since."""
        return self.distrusted() if clock.is_before(self) else self


class Evidence:
    """What the tree is compared with."""

    __slots__ = ("baseline", "index", "trust")

    def __init__(self, index: Index, baseline: Baseline, trust: Trust) -> None:
        self.index = index
        self.baseline = baseline
        self.trust = trust

    @property
    def is_worth_something(self) -> bool:
        """Whether equal stat data can prove anything."""
        return self.baseline.is_trusted and bool(self.index)

    @property
    def changed_at(self) -> int:
        """Where, in the stat fields of an entry, the second stands that decides what is racy."""
        return 0 if self.trust.compares_ctime else 8


class LockClock(NamedTuple):
    """t0: the file system's time at the start of a run that writes, and the devices that go by the same clock."""

    second: int
    nanosecond: int
    devices: frozenset[int]
    """Low 32 bits, as in an entry."""

    def is_before(self, baseline: Baseline) -> bool:
        """Return whether the clock was set back since the index was written."""
        return self.second < baseline.timestamp_s


def change_time(stat: StatData, trust: Trust) -> tuple[int, int]:
    """Return second and nanosecond of the last change that the file system admits to: ctime if trusted, else mtime."""
    if trust.compares_ctime:
        return stat.ctime_s, stat.ctime_ns
    return stat.mtime_s, stat.mtime_ns


def is_smudged(entry: Entry) -> bool:
    """Return whether an entry is marked as equal to nothing: size 0, and yet not the empty blob."""
    return entry.stat.size == 0 and entry.blob_id != EMPTY_BLOB_ID


def is_racy(stat: StatData, baseline: Baseline, trust: Trust) -> bool:
    """Return whether equal stat data prove nothing, since the file may have changed after the index was written."""
    return not baseline.is_trusted or change_time(stat, trust)[0] >= baseline.timestamp_s


def is_young(stat: StatData, clock: LockClock, trust: Trust) -> bool:
    """Return whether a file changed so shortly before t0, or on a clock so foreign, that it may change unseen."""
    if stat.dev not in clock.devices:
        return True
    return change_time(stat, trust) >= (clock.second - YOUNG_MARGIN_S, clock.nanosecond)


def examine(entry: Entry, observed: StatData, tracking: Tracking, baseline: Baseline, trust: Trust) -> Verdict:
    """Return what stat data say of a file that is tracked by its content, or by a sample of it.

    MODIFIED is certain: type, owner's executable bit or size differ. Whatever else differs is UNSURE, since a file that
    was touched may well be the same.
    """
    changes = stat_changes(entry.stat, observed, trust)
    if changes & (StatChange.TYPE | StatChange.MODE):
        return Verdict.MODIFIED
    if is_smudged(entry) or entry.tracking is not tracking:
        return Verdict.UNSURE
    if changes & StatChange.SIZE:
        return Verdict.MODIFIED
    if changes or is_racy(entry.stat, baseline, trust):
        return Verdict.UNSURE
    return Verdict.CLEAN


def examine_pointer(entry: Entry, observed: StatData, expected_id: bytes, baseline: Baseline, trust: Trust) -> Verdict:
    """Return what stat data say of a file that is tracked by them alone, whose id they should give.

    Another id, executable bit, or ctime where it is trusted, or an entry that was not tracked in this way, is a change.
    UNSURE is an entry that still has to be settled: there is no content to compare, but nothing may be concluded from
    it either.
    """
    if entry.blob_id != expected_id or entry.tracking is not Tracking.STAT:
        return Verdict.MODIFIED
    if stat_changes(entry.stat, observed, trust) & (StatChange.TYPE | StatChange.MODE | StatChange.CTIME):
        return Verdict.MODIFIED
    if is_smudged(entry) or is_racy(entry.stat, baseline, trust):
        return Verdict.UNSURE
    return Verdict.CLEAN


def entry_for(entry: Entry, clock: LockClock, trust: Trust) -> Entry:
    """Return the entry as it may be stored after a reading in this run: smudged while its file is young."""
    return entry.with_size_zero() if is_young(entry.stat, clock, trust) else entry
