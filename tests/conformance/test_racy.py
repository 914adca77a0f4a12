"""Racy entries: what equal stat data prove about a file, and what may be written down about it.

Most cases trust ctime on neither side, since a test can set an mtime, and no ctime.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.index.compare import Baseline, LockClock
from bm_gitindex.index.draft import Draft
from bm_gitindex.index.entry import EMPTY_BLOB_ID, Entry, Tracking
from bm_gitindex.index.stat import Trust, low32
from bm_gitindex.worktree.tree import Tree
from support.beside import CLEAN
from support.project import LATE_S, NS, OLD_S
from support.values import HELLO_ID, ZERO_STAT

if TYPE_CHECKING:
    from support.beside import Beside

M = OLD_S
"""The file's mtime, where the case does not say otherwise."""
MODIFIED_GIT = {b"f.md": "M"}
MODIFIED = {b"f.md": "modified"}


def racy(both: Beside, timestamp_s: int, edited: bytes = b"HELLO\n", mtime_s: int = M) -> None:
    """Index `hello`, edit it to the same size, put its mtime back, and set T."""
    both.by_mtime().write("f.md", b"hello\n", mtime_s)
    both.index("f.md", timestamp_s=timestamp_s)
    both.edit("f.md", edited, mtime_s)


# --- what is racy ----------------------------------------------------------------------------------------------------


def test_r01_an_edit_in_the_second_of_the_index_is_seen(both: Beside) -> None:
    racy(both, M)
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)


def test_r02_an_edit_in_an_older_second_is_seen_by_nanoseconds_of_ctime_alone(both: Beside) -> None:
    racy(both, M + 1)
    assert both.answers() == (CLEAN, CLEAN, 0)
    # The real ctime of the edit, and yet of another nanosecond: git compares whole seconds.
    now = both.entry("f.md")
    other = now.stat._replace(ctime_ns=now.stat.ctime_ns ^ 1)
    both.by_ctime().commit([now._replace(stat=other, blob_id=HELLO_ID)])
    assert both.answers() == (CLEAN, MODIFIED, 1)


def test_r04_an_edit_of_a_file_from_the_future_is_seen(both: Beside) -> None:
    racy(both, M, mtime_s=M + 100)
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)


def test_r05_a_racy_file_that_is_the_same_is_clean_and_was_read(both: Beside) -> None:
    racy(both, M, edited=b"hello\n")
    assert both.answers() == (CLEAN, CLEAN, 1)
    assert both.opened_by_git() == ["f.md"]


def test_r07_an_index_of_the_first_second_proves_nothing(both: Beside) -> None:
    racy(both, 1)
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)


def test_r51_the_part_of_the_index_mtime_below_a_second_does_not_count(both: Beside) -> None:
    racy(both, M)
    os.utime(both.project.state.index, ns=(M * NS + NS // 2, M * NS + NS // 2))
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)


def test_r52_an_index_whose_mtime_is_0_proves_nothing_and_git_trusts_it(both: Beside) -> None:
    racy(both, 0)
    assert both.answers() == (CLEAN, MODIFIED, 1)


def test_r53_an_entry_is_racy_by_its_ctime_whatever_its_mtime(both: Beside) -> None:
    both.by_ctime().write("f.md", b"HELLO\n")
    as_edited = both.entry("f.md")
    both.commit([as_edited._replace(blob_id=HELLO_ID)], as_edited.stat.ctime_s)
    assert both.answers() == (CLEAN, MODIFIED, 1)
    both.set_timestamp(as_edited.stat.ctime_s + 1)
    assert both.answers() == (CLEAN, CLEAN, 0)


def test_r60_a_file_from_the_future_is_not_read_again_where_ctime_is_trusted(both: Beside) -> None:
    both.by_ctime().write("f.md", mtime_s=LATE_S + 100)
    both.index()
    assert both.answers() == (CLEAN, CLEAN, 0)
    assert both.opened_by_git() == ["f.md"]
    both.by_mtime()
    assert both.answers() == (CLEAN, CLEAN, 1)


# --- size 0 ----------------------------------------------------------------------------------------------------------


def test_r10_a_racy_file_that_is_now_empty_is_modified_also_after_another_path_was_added(both: Beside) -> None:
    racy(both, M, edited=b"")
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 0)
    both.write("other.md", b"other\n")
    both.lend()
    both.git.add("other.md", **both.config)
    both.adopt()
    assert both.stored("f.md").blob_id == HELLO_ID
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 0)


def test_r11_size_0_is_equal_to_nothing_an_emptied_file_included(both: Beside) -> None:
    both.by_mtime().write("f.md")
    both.index(size=0)
    both.edit("f.md", b"")
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)
    # With every stat field as recorded, as if the file had been emptied when it was indexed.
    both.by_ctime().commit([both.entry("f.md")._replace(blob_id=HELLO_ID)])
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)


def test_r12_a_truly_empty_file_is_clean_unread(both: Beside) -> None:
    both.by_mtime().write("f.md", b"")
    both.index()
    assert both.stored("f.md")[1:3] == (both.entry("f.md").stat, EMPTY_BLOB_ID)
    assert both.answers() == (CLEAN, CLEAN, 0)
    assert both.opened_by_git() == []


def test_r61_an_empty_file_that_is_racy_is_clean(both: Beside) -> None:
    both.by_mtime().write("f.md", b"")
    both.index(timestamp_s=M)
    assert both.answers() == (CLEAN, CLEAN, 1)


def test_r62_an_empty_file_that_grew_is_modified_unread(both: Beside) -> None:
    both.by_mtime().write("f.md", b"")
    both.index()
    both.edit("f.md", b"x")
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 0)


@pytest.mark.parametrize(("content", "git", "ours"), [(b"hello\n", CLEAN, CLEAN), (b"HELLO\n", MODIFIED_GIT, MODIFIED)])
def test_r13_r14_an_entry_without_stat_data_is_settled_by_content(
    both: Beside, content: bytes, git: dict[bytes, str], ours: dict[bytes, str]
) -> None:
    both.write("f.md", content)
    both.git.cacheinfo(b"100644 " + HELLO_ID.hex().encode() + b" 0\tf.md")
    both.adopt()
    assert both.stored("f.md") == Entry(b"f.md", ZERO_STAT, HELLO_ID)
    assert both.answers() == (git, ours, 1)
    refreshed = both.stored_by_git("f.md").stat
    assert (refreshed.size, refreshed.mtime_s) == ((6, M) if git == CLEAN else (0, 0))


# --- what is written about a racy entry ------------------------------------------------------------------------------


def synced_and_racy(both: Beside, edited: bytes) -> None:
    """Sync for real, make f racy, edit it with its mtime put back, and add another file."""
    both.by_mtime().write("f.md")
    both.sync()
    both.set_timestamp(M)
    both.edit("f.md", edited)
    both.write("other.md", b"other\n")
    both.lend()
    both.git.add("other.md", **both.config)
    both.sync("other.md")


def test_r08_a_racy_and_modified_entry_is_stored_with_size_0_when_another_path_is_added(both: Beside) -> None:
    synced_and_racy(both, b"HELLO\n")
    assert both.stored_by_git("f.md").stat.size == 0
    assert both.stored("f.md").stat.size == 0
    assert both.stored("f.md").blob_id == both.stored_by_git("f.md").blob_id == HELLO_ID


def test_r09_a_racy_and_unmodified_entry_keeps_its_size_only_where_its_content_was_compared(both: Beside) -> None:
    synced_and_racy(both, b"hello\n")
    assert both.stored_by_git("f.md").stat.size == 6
    assert both.stored("f.md").stat.size == 0
    both.set_timestamp(M)
    both.write("third.md", b"third\n")
    both.sync()
    assert both.stored("f.md").stat.size == 6


def test_r56_the_mark_that_either_leaves_is_understood_by_the_other(both: Beside) -> None:
    synced_and_racy(both, b"HELLO\n")
    both.set_timestamp(LATE_S)
    marked_by_git = both.git.index.read_bytes()
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)
    both.git.index.write_bytes(marked_by_git)
    both.adopt()
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)


def test_r54_an_edit_within_the_tick_in_which_the_file_was_hashed_is_seen(both: Beside) -> None:
    """git's hole: hash f, edit f in the same tick and to the same size, write the index a tick later."""
    both.by_mtime().write("f.md")
    read = both.entry("f.md")
    both.edit("f.md")
    both.commit([read], M + 1)
    assert both.answers() == (CLEAN, CLEAN, 0)  # as git writes it, whoever reads it
    draft = Draft(both.project.read().index, Baseline(0, is_trusted=False), clock_at(both, M + 1), Trust(ctime=False))
    draft.put(read.path, read.stat, read.blob_id, Tracking.CONTENT)
    both.project.commit_bytes(bytes(draft.encode() or b""), M + 1)
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)


def test_r107_a_file_on_a_device_with_a_clock_of_its_own_is_never_settled(both: Beside) -> None:
    both.by_mtime().write("f.md")
    read = both.entry("f.md", dev=4242)
    both.edit("f.md")
    both.commit([read])
    assert both.answers() == (CLEAN, CLEAN, 0)  # as git writes it, whoever reads it
    draft = Draft(both.project.read().index, Baseline(0, is_trusted=False), clock_at(both, LATE_S), Trust(ctime=False))
    draft.put(read.path, read.stat, read.blob_id, Tracking.CONTENT)
    both.project.commit_bytes(bytes(draft.encode() or b""))
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)


def clock_at(both: Beside, second: int) -> LockClock:
    return LockClock(second, 0, frozenset({low32(os.stat(both.project.root).st_dev)}))


def test_r55_a_young_file_that_stayed_the_same_is_settled_by_either(both: Beside) -> None:
    both.by_mtime().write("f.md")
    both.index(size=0)
    assert both.answers() == (CLEAN, CLEAN, 1)
    assert both.stored_by_git("f.md").stat.size == 6
    both.sync()
    assert both.stored("f.md").stat.size == 6


# --- whose index it is -----------------------------------------------------------------------------------------------


def test_r57_an_index_that_git_wrote_after_us_proves_nothing_to_us(both: Beside) -> None:
    racy(both, LATE_S)
    assert both.answers() == (CLEAN, CLEAN, 0)
    both.write("other.md", b"other\n")
    both.git.add("other.md", **both.config)
    both.adopt(as_ours=False)
    assert both.answers() == (CLEAN, MODIFIED, 2)
    both.sync()
    both.set_timestamp(LATE_S)
    assert both.answers() == (CLEAN, CLEAN, 0)


def test_r58_an_index_restored_from_a_copy_proves_nothing_to_us(both: Beside) -> None:
    racy(both, LATE_S)
    copy = both.project.state.index.read_bytes()
    both.index("f.md")
    both.write("f.md")
    both.project.state.index.write_bytes(copy)
    both.edit("f.md")
    both.set_timestamp(LATE_S)
    assert both.answers() == (CLEAN, MODIFIED, 1)


def test_r59_an_index_from_a_clock_that_was_set_back_proves_nothing_to_a_sync(both: Beside) -> None:
    both.by_mtime().write("f.md")
    both.sync()
    both.set_timestamp(LATE_S)
    both.edit("f.md")
    assert both.answers() == (CLEAN, CLEAN, 0)
    report = both.sync()
    assert (report.counters.files_read, report.modified) == (1, 1)


# --- by the real clock -----------------------------------------------------------------------------------------------


def test_r63_edits_in_quick_succession_are_all_seen(both: Beside) -> None:
    """As git's own t0010 does it: no time is set, and none is waited for."""
    both.write("f.md", b"0 hello\n")
    both.by_ctime()
    for number in range(1, 4):
        os.utime(both.path("f.md"))
        both.sync()
        both.git.index.unlink(missing_ok=True)
        both.git.add("f.md")
        with open(both.path("f.md"), "r+b") as file:
            file.write(b"%d" % number)
        assert both.git.changed() == MODIFIED_GIT
        assert both.project.changes() == MODIFIED


def test_r50_no_entry_is_read_twice_in_one_run(both: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("racy.md", "gone.md", "other.md"):
        both.write(name, name.encode())
    both.by_mtime().index(timestamp_s=M)
    both.remove("gone.md")
    both.write("new.md", b"new?.md")
    opened: list[bytes] = []
    open_file = Tree.open_file

    def counted(self: Tree, path: bytes) -> int:
        opened.append(path)
        return open_file(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Tree, "open_file", counted)
        status = both.project.status()
    assert sorted(opened) == [b"new.md", b"other.md", b"racy.md"]
    assert status.counters.files_read == 3
    assert sorted(both.opened_by_git()) == ["other.md", "racy.md"]
