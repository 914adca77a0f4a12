"""Files that failed again and again: left alone for a while, unless they change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bm_gitindex.errors import BmGitIndexError
from bm_gitindex.rules import Skipped, SkipReason
from bm_gitindex.worktree.tree import Tree

if TYPE_CHECKING:
    from bm_gitindex.changes import Status
    from bm_gitindex.entities.location import Location
    from bm_gitindex.entities.records import FileFailure

MOST_FAILURES = 3
"""Within an hour; a file that fails once more is set aside."""
WINDOW = timedelta(hours=1)
"""In which failures are counted, and for which a file is then set aside, unless it changes."""


def why_set_aside(failure: FileFailure, tree: Tree, now: datetime) -> Skipped | None:
    """Return why a file that failed before is not even tried, None where it is."""
    if failure.failures <= MOST_FAILURES or not timedelta(0) <= now - failure.last_failed_at < WINDOW:
        return None
    try:
        st = tree.lstat(failure.path)
    except OSError:
        return None
    if (st.st_size, st.st_mtime_ns, st.st_ctime_ns) != (failure.size_bytes, failure.mtime_ns, failure.ctime_ns):
        return None
    again_at = failure.last_failed_at + WINDOW
    detail = f"{failure.error}; failed {failure.failures} times, tried again after {again_at:%H:%M} UTC"
    return Skipped(failure.path, SkipReason.UNREADABLE, detail)


def with_set_aside(status: Status, location: Location) -> Status:
    """Return a status in which files that a sync would not even try are passed over, and say why.

    Where the database cannot say which these are, the status is returned as it is.
    """
    try:
        failures = location.read_failures()
    except BmGitIndexError:
        return status
    with Tree(status.root) as tree:
        now = datetime.now(UTC)
        found = (why_set_aside(failure, tree, now) for failure in failures)
        aside = {skipped.path: skipped for skipped in found if skipped is not None}
    changes = tuple(change for change in status.changes if change.path not in aside)
    skipped = {one.path: one for one in status.skipped} | {
        path: one for path, one in aside.items() if _is_of(status, path)
    }
    return status._replace(changes=changes, skipped=tuple(skipped[path] for path in sorted(skipped)))


def _is_of(status: Status, path: bytes) -> bool:
    """Return whether a status has something to say of a path: it may be of a part of the project."""
    return any(change.path == path for change in status.changes) or any(one.path == path for one in status.skipped)
