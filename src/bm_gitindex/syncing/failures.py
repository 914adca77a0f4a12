"""Files that cannot be read: counted across runs, and after too many failures left alone for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.entities.records import FileFailure
from bm_gitindex.setaside import WINDOW, why_set_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from bm_gitindex.rules import Skipped
    from bm_gitindex.syncing.intake import Failed
    from bm_gitindex.worktree.tree import Tree


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
        return None if failure is None else why_set_aside(failure, self._tree, self._now)

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
