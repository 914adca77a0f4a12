"""Stat fields: which of them count, under which setting, and in which width they are kept."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.index.entry import Entry, Tracking
from bm_gitindex.index.stat import stat_data
from bm_gitindex.worktree.tree import Tree
from support.beside import CLEAN, git_version
from support.project import LATE_S, OLD_S
from support.values import SOME_ID, FakeStat

if TYPE_CHECKING:
    from support.beside import Beside

MODIFIED_GIT = {b"f.md": "M"}
MODIFIED = {b"f.md": "modified"}
SUSPECT = {b"f.md"}
GIB = 1024**3
SAME = pytest.param(b"hello\n", CLEAN, id="same content")


def indexed(both: Beside, data: bytes = b"hello\n") -> Beside:
    both.write("f.md", data)
    both.index()
    return both


def replaced(both: Beside, data: bytes) -> None:
    """Put another file in the place of f, with the mtime of the first: a new inode."""
    both.write("new", data)
    os.replace(both.path("new"), both.path("f.md"))
    both.touch("f.md", OLD_S)


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "ours"), [SAME, pytest.param(b"HELLO\n", MODIFIED, id="other content")])
def test_r16_nanoseconds_of_mtime_are_a_reason_to_look(both: Beside, content: bytes, ours: dict[bytes, str]) -> None:
    indexed(both.by_mtime()).edit("f.md", content)
    both.touch("f.md", OLD_S, 1)
    assert both.answers() == (CLEAN, ours, 1)
    assert both.suspects() == set()


def test_r18_an_mtime_beyond_32_bits_is_kept_by_its_low_half(both: Beside) -> None:
    both.by_mtime().write("f.md")
    both.touch("f.md", 2**32 + 500)
    both.index()
    both.git.add("f.md")
    assert both.stored("f.md").stat == both.stored_by_git("f.md").stat
    assert both.stored("f.md").stat.mtime_s == 500
    assert both.answers() == (CLEAN, CLEAN, 0)


def test_r64_an_mtime_before_1970_is_kept_by_its_low_half_and_looks_like_the_future(both: Beside) -> None:
    both.by_mtime().write("f.md")
    both.touch("f.md", -1, 5)
    both.index()
    both.git.add("f.md")
    assert both.stored("f.md").stat == both.stored_by_git("f.md").stat
    assert both.stored("f.md").stat[2:4] == (2**32 - 1, 5)
    assert both.answers() == (CLEAN, CLEAN, 1)
    assert both.opened_by_git() == ["f.md"]


@pytest.mark.parametrize("nanosecond", [0, 1, 999_999_999])
def test_r65_nanoseconds_are_kept_as_git_keeps_them(both: Beside, nanosecond: int) -> None:
    both.by_mtime().write("f.md")
    both.touch("f.md", OLD_S, nanosecond)
    both.index()
    both.git.add("f.md")
    assert both.stored("f.md").stat == both.stored_by_git("f.md").stat
    assert both.stored("f.md").stat.mtime_ns == nanosecond
    assert both.answers() == (CLEAN, CLEAN, 0)


def test_r66_an_mtime_2_32_seconds_away_is_another_time_only_to_ctime(both: Beside) -> None:
    indexed(both.by_mtime()).edit("f.md")
    both.touch("f.md", OLD_S + 2**32)
    assert both.answers() == (CLEAN, CLEAN, 0)
    both.by_ctime()
    assert both.answers()[1:] == (MODIFIED, 1)


def test_r75_a_stat_only_file_is_told_apart_beyond_32_bits(both: Beside) -> None:
    both.by_mtime().with_options(large_file_bytes=5).write("f.pdf")
    both.index()
    both.touch("f.pdf", OLD_S + 2**32)
    assert both.answers() == (CLEAN, {b"f.pdf": "modified"}, 0)


def test_r67_a_file_of_the_epoch_is_clean_unread(both: Beside) -> None:
    both.by_mtime().write("f.md", mtime_s=0)
    both.index()
    assert both.stored("f.md").stat[2:4] == (0, 0)
    assert both.answers() == (CLEAN, CLEAN, 0)
    assert both.suspects() == set()


def test_r22_a_touched_file_is_compared_once_and_then_settled(both: Beside) -> None:
    both.by_mtime().write("f.md")
    both.sync()
    both.touch("f.md", OLD_S + 7)
    assert both.suspects() == SUSPECT
    assert both.answers() == (CLEAN, CLEAN, 1)
    assert both.stored_by_git("f.md").stat.mtime_s == OLD_S + 7
    assert both.sync().counters.files_read == 1
    assert both.stored("f.md").stat.mtime_s == OLD_S + 7
    assert both.answers() == (CLEAN, CLEAN, 0)
    assert both.suspects() == set()


@pytest.mark.parametrize(
    ("content", "git", "ours"),
    [(b"hello\n", CLEAN, CLEAN), (b"HELLO\n", MODIFIED_GIT, MODIFIED)],
    ids=["same content", "other content"],
)
def test_r76_another_ctime_alone_is_a_reason_to_look(
    both: Beside, content: bytes, git: dict[bytes, str], ours: dict[bytes, str]
) -> None:
    both.by_ctime().write("f.md")
    before = both.entry("f.md")
    both.edit("f.md", content)
    # The ctime before the edit, set a minute back: git compares whole seconds.
    after = both.entry("f.md").stat
    both.commit([before._replace(stat=after._replace(ctime_s=after.ctime_s - 60))])
    assert both.suspects() == SUSPECT
    assert both.answers() == (git, ours, 1)


def test_r71_another_ctime_is_nothing_where_ctime_is_not_trusted(both: Beside) -> None:
    both.by_mtime().write("f.md")
    both.index(ctime_s=1, ctime_ns=1)
    assert both.answers() == (CLEAN, CLEAN, 0)
    assert both.suspects() == set()
    both.by_ctime()
    assert both.suspects() == SUSPECT
    assert both.answers() == (CLEAN, CLEAN, 1)


# --- inode, device, owner --------------------------------------------------------------------------------------------


def test_r23_check_stat_minimal_takes_a_new_inode_for_the_same_file(both: Beside) -> None:
    replaced(indexed(both.by_ctime()), b"HELLO\n")
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)
    both.with_options(check_stat="minimal")
    assert both.answers() == (CLEAN, CLEAN, 0)
    assert both.suspects() == set()


def test_r72_a_new_inode_counts_for_git_where_ctime_is_not_trusted_and_for_us_it_does_not(both: Beside) -> None:
    replaced(indexed(both.by_mtime()), b"HELLO\n")
    assert both.answers() == (MODIFIED_GIT, CLEAN, 0)


def test_r77_a_copy_in_the_place_of_a_file_is_compared_and_clean(both: Beside) -> None:
    indexed(both.by_ctime())
    shutil.copy2(both.path("f.md"), both.path("copy"))
    os.replace(both.path("copy"), both.path("f.md"))
    assert both.suspects() == SUSPECT
    assert both.answers() == (CLEAN, CLEAN, 1)


def test_r70_an_inode_beyond_32_bits_is_kept_by_its_low_half(both: Beside) -> None:
    """No test can ask a real file system for such an inode: the stat is made up."""
    observed = stat_data(FakeStat(st_ino=2**32 + 7, st_dev=2**32 + 1))
    both.commit([Entry.of(b"f.md", observed, SOME_ID, Tracking.CONTENT)])
    both.lend()
    assert both.stored_by_git("f.md").stat == both.stored("f.md").stat == stat_data(FakeStat(st_ino=7, st_dev=1))


def with_field(both: Beside, field: str) -> None:
    both.by_ctime().write("f.md")
    both.index(**{field: 4242})


def test_r25_another_device_number_is_nothing(both: Beside) -> None:
    with_field(both, "dev")
    assert both.suspects() == set()
    assert both.answers() == (CLEAN, CLEAN, 0)


@pytest.mark.parametrize("field", ["uid", "gid"])
def test_r26_another_owner_is_a_reason_to_look_for_git_alone(both: Beside, field: str) -> None:
    with_field(both, field)
    assert both.suspects() == SUSPECT
    assert both.answers() == (CLEAN, CLEAN, 0)
    assert getattr(both.stored_by_git("f.md").stat, field) != 4242


# --- core.checkStat --------------------------------------------------------------------------------------------------


def test_r73_check_stat_minimal_compares_whole_seconds_of_mtime_and_nothing_of_ctime(both: Beside) -> None:
    indexed(both.by_mtime().with_options(check_stat="minimal")).edit("f.md")
    both.touch("f.md", OLD_S, 999_999_999)
    os.chmod(both.path("f.md"), 0o664)
    assert both.answers() == (CLEAN, CLEAN, 0)
    assert both.suspects() == set()


def test_r74_check_stat_minimal_sees_another_second(both: Beside) -> None:
    indexed(both.by_mtime().with_options(check_stat="minimal")).edit("f.md", mtime_s=OLD_S + 1)
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)


def test_r105_check_stat_minimal_leaves_ctime_out_although_it_is_trusted(both: Beside) -> None:
    both.by_ctime().with_options(check_stat="minimal").write("f.md")
    both.index(ctime_s=LATE_S + 1)
    assert both.suspects() == set()
    assert both.answers() == (CLEAN, CLEAN, 0)


# --- size ------------------------------------------------------------------------------------------------------------


def test_r78_an_edit_of_the_same_size_is_seen_by_mtime(both: Beside) -> None:
    indexed(both.by_mtime()).edit("f.md", mtime_s=OLD_S + 1)
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)


@pytest.mark.parametrize("content", [b"hello, world\n", b"hell", b""])
def test_r79_another_size_is_a_change_whatever_else_is_the_same(both: Beside, content: bytes) -> None:
    indexed(both.by_mtime()).edit("f.md", content)
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 0)


@pytest.mark.parametrize(
    ("size", "stored"),
    [
        pytest.param(5 * GIB, GIB, id="R27"),
        pytest.param(2**32 - 1, 2**32 - 1, id="R68"),
        pytest.param(2**32 + 1, 1, id="R69"),
    ],
)
def test_r27_r68_r69_a_large_size_is_kept_by_its_low_half_unread(
    both: Beside, monkeypatch: pytest.MonkeyPatch, size: int, stored: int
) -> None:
    hashed_by_size(both, size)
    monkeypatch.setattr(Tree, "open_file", lambda _, path: pytest.fail(f"opened {path!r}"))
    assert both.stored("film.mkv").stat.size == stored
    assert both.suspects() == set()
    assert both.answers() == (CLEAN, CLEAN, 0)


def hashed_by_size(both: Beside, size: int) -> None:
    """Index a file as if it had been hashed, without the time that this takes: git compares its stat."""
    both.by_ctime().with_options(large_file_policy="full")
    both.project.sparse("film.mkv", size)
    observed = stat_data(os.lstat(both.path("film.mkv")))
    both.commit([Entry.of(b"film.mkv", observed, SOME_ID, Tracking.CONTENT)])


@pytest.mark.parametrize("size", [4 * GIB, 8 * GIB])
def test_r29_a_multiple_of_4_gib_is_not_kept_as_0(both: Beside, size: int) -> None:
    hashed_by_size(both, size)
    assert both.stored("film.mkv").stat.size == 0x8000_0000
    assert both.suspects() == (set() if git_version() >= (2, 43) else {b"film.mkv"})
    assert both.project.changes() == {}


def test_r106_a_stat_only_file_is_compared_in_all_64_bits_of_its_size(both: Beside) -> None:
    both.by_mtime().project.sparse("film.mkv", 5 * GIB)
    both.index()
    both.project.sparse("film.mkv", 9 * GIB)
    assert both.answers() == (CLEAN, {b"film.mkv": "modified"}, 0)


# --- mode ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o744, 0o700, 0o611])
def test_r30_the_owners_x_bit_and_no_other_is_a_change(both: Beside, mode: int) -> None:
    indexed(both.by_ctime())
    os.chmod(both.path("f.md"), mode)
    changes = (MODIFIED_GIT, MODIFIED) if mode & 0o100 else (CLEAN, CLEAN)
    assert both.answers()[:2] == changes


@pytest.mark.parametrize(("mode", "stored"), [(0o611, 0o100644), (0o700, 0o100755), (0o4744, 0o100755)])
def test_f20_a_mode_is_kept_as_git_keeps_it(both: Beside, mode: int, stored: int) -> None:
    both.write("f.md")
    os.chmod(both.path("f.md"), mode)
    both.index()
    both.git.add("f.md")
    assert both.stored("f.md").stat == both.stored_by_git("f.md").stat
    assert both.stored("f.md").stat.mode == stored


def test_r81_an_x_bit_that_was_taken_away_is_a_change(both: Beside) -> None:
    both.by_ctime().write("f.md")
    os.chmod(both.path("f.md"), 0o755)
    both.index()
    os.chmod(both.path("f.md"), 0o644)
    assert both.answers()[:2] == (MODIFIED_GIT, MODIFIED)


@pytest.mark.parametrize("mode", [0o4644, 0o2644, 0o1644, 0o666, 0o600])
def test_r82_no_other_bit_of_the_mode_counts(both: Beside, mode: int) -> None:
    indexed(both.by_mtime())
    os.chmod(both.path("f.md"), mode)
    assert both.answers() == (CLEAN, CLEAN, 0)


def test_r80_the_x_bit_is_nothing_where_the_mode_is_not_trusted(both: Beside) -> None:
    indexed(both.by_mtime().with_options(trust_filemode=False))
    os.chmod(both.path("f.md"), 0o755)
    assert both.answers() == (CLEAN, CLEAN, 0)
    both.edit("f.md", mtime_s=OLD_S + 1)
    assert both.answers() == (MODIFIED_GIT, MODIFIED, 1)


def test_r83_a_mode_of_early_git_with_the_groups_w_bit_is_a_regular_file(both: Beside) -> None:
    both.by_ctime().write("f.md")
    both.index(mode=0o100664)
    assert both.answers() == (CLEAN, CLEAN, 0)
    assert both.suspects() == set()
