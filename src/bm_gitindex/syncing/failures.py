"""Files that cannot be read: counted across runs, and after too many failures left alone for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bm_gitindex.entities.records import FileFailure
from bm_gitindex.rules import Skipped, SkipReason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from bm_gitindex.syncing.intake import Failed
    from bm_gitindex.worktree.tree import Tree

MOST_FAILURES = 3
"""Within an hour; a file that fails once more is set aside."""
WINDOW = timedelta(hours=1)
"""In which failures are counted, and for which a file is then set aside, unless it changes."""


class FailureLog:
    """The failures of earlier runs, and those of this one."""

    def __init__(self, now: datetime, tree: Tree) -> None:
        self._known: dict[bytes, FileFailure] = {}
        self._now = now
        self._tree = tree
        self.recorded: list[FileFailure] = []
        """Failures of this run, to be remembered."""
        self.cleared: list[bytes] = []
        """Paths that failed before, and need not be remembered any longer."""

    def remember(self, known: Mapping[bytes, FileFailure]) -> None:
        """Take into account what failed before."""
        self._known.update(known)

    def set_aside(self, path: bytes) -> Skipped | None:
        """Return why a file is not even tried, or None where it is."""
        failure = self._known.get(path)
        if failure is None or failure.failures <= MOST_FAILURES:
            return None
        if not timedelta(0) <= self._now - failure.last_failed_at < WINDOW:
            return None
        if self._version(path) != (failure.size_bytes, failure.mtime_ns, failure.ctime_ns):
            return None
        again_at = failure.last_failed_at + WINDOW
        detail = f"{failure.error}; failed {failure.failures} times, tried again after {again_at:%H:%M} UTC"
        return Skipped(path, SkipReason.UNREADABLE, detail)

    def failed(self, failed: Failed) -> None:
        """Count a failure of this run."""
        skipped = failed.skipped
        before = self._known.get(skipped.path)
        if before is not None and self._now - before.window_started_at >= WINDOW:
            before = None
        self.recorded.append(
            FileFailure(
                path=skipped.path,
                error=skipped.detail or skipped.reason.value,
                failures=before.failures + 1 if before else 1,
                window_started_at=before.window_started_at if before else self._now,
                last_failed_at=self._now,
                size_bytes=failed.stat.st_size if failed.stat else 0,
                mtime_ns=failed.stat.st_mtime_ns if failed.stat else 0,
                ctime_ns=failed.stat.st_ctime_ns if failed.stat else 0,
            )
        )

    def read(self, path: bytes) -> None:
        """Forget the failures of a file that could be read, or is gone."""
        if path in self._known:
            self.cleared.append(path)

    def forget_gone(self, is_there: Callable[[bytes], bool]) -> None:
        """Forget the failures of files that are not there any more."""
        self.cleared += [path for path in self._known if not is_there(path)]

    def _version(self, path: bytes) -> tuple[int, int, int] | None:
        try:
            st = self._tree.lstat(path)
        except OSError:
            return None
        return st.st_size, st.st_mtime_ns, st.st_ctime_ns
