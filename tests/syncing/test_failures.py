from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex.entities.records import FileFailure
from bm_gitindex.rules import Skipped, SkipReason
from bm_gitindex.syncing.failures import FailureLog
from bm_gitindex.syncing.intake import Failed
from bm_gitindex.worktree.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = datetime(2024, 5, 17, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)
PATH = b"a.md"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """A tree with one file."""
    (tmp_path / "a.md").write_text("text")
    with Tree(tmp_path) as tree:
        yield tree


def log(tree: Tree, now: datetime, **fields: Any) -> FailureLog:
    """Return the log of a run for which the file, as it is, has failed before."""
    st = tree.lstat(PATH)
    values: dict[str, Any] = {
        "error": "cannot be read",
        "failures": 4,
        "window_started_at": FIRST,
        "last_failed_at": FIRST,
        "size_bytes": st.st_size,
        "mtime_ns": st.st_mtime_ns,
        "ctime_ns": st.st_ctime_ns,
    }
    found = FailureLog(now, tree)
    found.remember({PATH: FileFailure(path=PATH, **(values | fields))})
    return found


def test_a_file_that_failed_more_than_three_times_is_set_aside_for_an_hour(tree: Tree) -> None:
    skipped = log(tree, FIRST + HOUR - MOMENT).set_aside(PATH)
    assert skipped == Skipped(
        PATH, SkipReason.UNREADABLE, "cannot be read; failed 4 times, tried again after 13:00 UTC"
    )
    assert log(tree, FIRST + HOUR).set_aside(PATH) is None
    assert log(tree, FIRST - MOMENT).set_aside(PATH) is None  # by a clock that was set back since
    assert log(tree, FIRST, failures=3).set_aside(PATH) is None
    assert log(tree, FIRST).set_aside(b"b.md") is None


@pytest.mark.parametrize("change", [{"size_bytes": 5}, {"mtime_ns": 1}, {"ctime_ns": 1}])
def test_a_file_that_changed_is_tried_at_once(tree: Tree, change: dict[str, int]) -> None:
    assert log(tree, FIRST, **change).set_aside(PATH) is None


def test_a_file_that_is_gone_is_tried_so_that_somebody_says_so(tree: Tree, tmp_path: Path) -> None:
    later = log(tree, FIRST)
    os.unlink(tmp_path / "a.md")
    assert later.set_aside(PATH) is None


@pytest.mark.parametrize(("after", "failures"), [(HOUR - MOMENT, 5), (HOUR, 1)])
def test_failures_are_counted_within_an_hour(tree: Tree, after: timedelta, failures: int) -> None:
    later, st = log(tree, FIRST + after), tree.lstat(PATH)
    later.failed(Failed(Skipped(PATH, SkipReason.UNREADABLE, "Permission denied"), st))
    assert later.recorded == [
        FileFailure(
            path=PATH,
            error="Permission denied",
            failures=failures,
            window_started_at=FIRST if failures > 1 else FIRST + after,
            last_failed_at=FIRST + after,
            size_bytes=st.st_size,
            mtime_ns=st.st_mtime_ns,
            ctime_ns=st.st_ctime_ns,
        )
    ]


def test_a_first_failure_of_a_file_without_a_stat_is_counted_too(tree: Tree) -> None:
    first = FailureLog(FIRST, tree)
    first.failed(Failed(Skipped(PATH, SkipReason.VANISHED), None))
    (recorded,) = first.recorded
    assert (recorded.failures, recorded.error) == (1, SkipReason.VANISHED.value)
    assert (recorded.size_bytes, recorded.mtime_ns, recorded.ctime_ns) == (0, 0, 0)


def test_only_what_is_remembered_is_cleared(tree: Tree) -> None:
    later = log(tree, FIRST)
    later.read(b"b.md")
    assert later.cleared == []
    later.read(PATH)
    assert later.cleared == [PATH]
    gone = log(tree, FIRST)
    gone.forget_gone(lambda path: path == PATH)
    assert gone.cleared == []
    gone.forget_gone(lambda path: path != PATH)
    assert gone.cleared == [PATH]
