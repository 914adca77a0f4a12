"""The time that a machine's files, index and lock go by.

ctime cannot be set, and nobody wants to wait for a clock to tick. So a machine keeps a clock of its own, coarse as that
of some file systems, which moves when a rule says so, and backwards too. mtimes by it are real ones, set by utime(2);
ctimes are held beside the files, by inode, and handed to the code at the places where it asks for a stat.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from bm_gitindex import indexlock, survey
from bm_gitindex.index.compare import LockClock
from bm_gitindex.index.stat import stat_data, stored_time
from bm_gitindex.statefolder import write_all
from bm_gitindex.worktree import reading
from bm_gitindex.worktree.tree import Tree
from support.dating import date_index
from support.vault import never_young

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from bm_gitindex.index.stat import StatData
    from bm_gitindex.statefolder import StateFolder

HALF_SECOND_NS = 500_000_000
_START_NS = 1_700_000_000 * 1_000_000_000


class KernelClock:
    """The system's own time. Every file counts as old at once, since waiting is no way to test.

    With true ctimes a file that was edited differs from what it was; what may happen within one tick of the clock is
    left to machines with a clock of their own.
    """

    is_behind = False
    takes_half_seconds = 0

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        never_young(monkeypatch)

    def stamp_ns(self) -> int:
        return time.time_ns()

    def tick(self, half_seconds: int) -> None:
        """Let time pass, which it does of itself."""

    def turn_back_to(self, time_ns: int) -> None:
        """Leave the system's clock alone."""

    def wrote(self, path: bytes) -> None:
        """Leave the mtime of a file that was just written as it is."""

    def changed(self, path: bytes) -> None:
        """Leave a ctime to the kernel."""

    def settle_index(self, index: Path) -> None:
        """Let an index that was just written look newer than every file, as it does when some time has passed."""
        now_ns = time.time_ns()
        if os.stat(index).st_mtime_ns <= now_ns:
            date_index(index, now_ns + 5_000_000_000)

    def seen(self, st: Any) -> Any:
        return st

    def may_settle(self, changed_ns: int, t0_ns: int) -> bool:
        """Return whether a change is so far back that a sync that begins at t0 may settle it."""
        return True


class OwnClock:
    """A clock that stands still until it is told to move, and counts in steps of `granularity_ns`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, granularity_ns: int) -> None:
        self._now_ns = self._latest_ns = _START_NS
        self._granularity_ns = granularity_ns
        self._ctimes: dict[tuple[int, int], int] = {}
        self.takes_half_seconds = 0
        """How long the next sync takes from its lock to its writing of the index."""
        self._install(monkeypatch)

    @property
    def is_behind(self) -> bool:
        """Whether the clock was later once."""
        return self._now_ns < self._latest_ns

    def stamp_ns(self) -> int:
        """Return the time that the file system would write down now."""
        return self._now_ns - self._now_ns % self._granularity_ns

    def tick(self, half_seconds: int) -> None:
        """Let time pass."""
        self._now_ns += half_seconds * HALF_SECOND_NS
        self._latest_ns = max(self._latest_ns, self._now_ns)

    def turn_back_to(self, time_ns: int) -> None:
        """Set the clock back, to a time that a file may have had; never forward."""
        self._now_ns = max(min(self._now_ns, time_ns), _START_NS - 100_000_000_000)

    def wrote(self, path: bytes) -> None:
        """Stamp a file that was just written."""
        stamp_ns = self.stamp_ns()
        os.utime(path, ns=(stamp_ns, stamp_ns))
        self.changed(path)

    def changed(self, path: bytes) -> None:
        """Note that a file's inode changed now."""
        st = os.lstat(path)
        self._ctimes[st.st_dev, st.st_ino] = self.stamp_ns()

    def settle_index(self, index: Path) -> None:
        """Nothing to do: T is this clock's already."""

    def seen(self, st: Any) -> Any:
        """Return a stat with the ctime that this clock gave the file."""
        if isinstance(st, _Stat):
            return st
        return _Stat(st, self._ctimes.get((st.st_dev, st.st_ino), st.st_ctime_ns))

    def may_settle(self, changed_ns: int, t0_ns: int) -> bool:
        """Return whether a change is so far back that a sync that begins at t0 may settle it."""
        return changed_ns < t0_ns - 2_000_000_000

    def _install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put this clock in the place of the file system's, wherever the code asks for a time."""
        real_lstat = Tree.lstat
        real_clock = indexlock._clock
        real_version = reading._version
        real_open = reading._OpenFile.__init__

        def data(st: Any) -> StatData:
            return stat_data(self.seen(st))

        def opened(file: Any, tree: Tree, path: bytes) -> None:
            real_open(file, tree, path)
            file.before = self.seen(file.before)

        def lock_clock(st: os.stat_result, state: StateFolder) -> LockClock:
            return LockClock(*stored_time(self.stamp_ns()), real_clock(st, state).devices)

        def write_index(fd: int, content: bytes) -> None:
            self.tick(self.takes_half_seconds)
            write_all(fd, content)
            os.utime(fd, ns=(self.stamp_ns(), self.stamp_ns()))

        monkeypatch.setattr(survey, "stat_data", data)
        monkeypatch.setattr(reading._OpenFile, "__init__", opened)
        monkeypatch.setattr(reading, "_version", lambda st: real_version(self.seen(st)))
        monkeypatch.setattr(Tree, "lstat", lambda tree, path: self.seen(real_lstat(tree, path)))
        monkeypatch.setattr(indexlock, "_clock", lock_clock)
        monkeypatch.setattr(indexlock, "write_all", write_index)


class _Stat:
    """A real stat, its ctime replaced as it was when the stat was taken."""

    def __init__(self, real: os.stat_result, ctime_ns: int) -> None:
        self._real = real
        self.st_ctime_ns = ctime_ns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


Clock = KernelClock | OwnClock
