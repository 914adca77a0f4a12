"""Flags: bits that git sets for its own ends, bits that we set for git's sake, and the sides of a merge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex.errors import IndexDamagedError
from bm_gitindex.index.codec import decode
from bm_gitindex.index.entry import EMPTY_BLOB_ID, Tracking
from support.beside import CLEAN, paths_read
from support.project import OLD_S
from support.values import HELLO_ID, header, record, sealed, updated

if TYPE_CHECKING:
    from bm_gitindex.options import LargeFilePolicy
    from support.beside import Beside

HELLO = HELLO_ID.hex().encode()
SWITCHES = pytest.mark.parametrize("switch", ["--assume-unchanged", "--skip-worktree"])


# --- assume-valid and skip-worktree ----------------------------------------------------------------------------------


@SWITCHES
def test_r35_a_bit_that_git_sets_does_not_hide_an_edit_of_a_note(both: Beside, switch: str) -> None:
    both.by_mtime().write("f.md")
    both.index()
    both.lend()
    both.git("update-index", switch, "f.md")
    both.adopt()
    assert both.answers()[:2] == (CLEAN, CLEAN)
    both.edit("f.md", mtime_s=OLD_S + 1)
    assert both.answers() == (CLEAN, {b"f.md": "modified"}, 1)
    both.edit("f.md", b"another size")
    assert both.answers()[:2] == (CLEAN, {b"f.md": "modified"})


@SWITCHES
def test_r95_a_bit_that_git_sets_does_not_hide_a_deletion(both: Beside, switch: str) -> None:
    both.write("f.md")
    both.index()
    both.lend()
    both.git("update-index", switch, "f.md")
    both.adopt()
    both.remove("f.md")
    assert both.answers() == (CLEAN, {b"f.md": "deleted"}, 0)


@pytest.mark.parametrize("policy", ["stat", "sample"])
def test_r36_git_leaves_a_large_file_alone_whatever_its_stat_says(both: Beside, policy: LargeFilePolicy) -> None:
    both.with_options(large_file_bytes=1000, large_file_policy=policy)
    both.write("scan.pdf", b"a" * 1001)
    both.write("note.md")
    both.index()
    assert both.project.read().index.version == 3
    assert both.stored("scan.pdf").tracking is (Tracking.STAT if policy == "stat" else Tracking.SAMPLE)
    both.edit("scan.pdf", b"b" * 1002, mtime_s=OLD_S + 1)
    assert both.answers()[:2] == (CLEAN, {b"scan.pdf": "modified"})
    assert both.stored_by_git("scan.pdf") == both.stored("scan.pdf")
    both.git.run("checkout-index", "--force", "--all", "--no-create")
    with open(both.path("scan.pdf"), "rb") as file:
        assert file.read() == b"b" * 1002


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("policy", ["stat", "sample"])
@pytest.mark.parametrize("change", [{"large_file_policy": "full"}, {"large_file_bytes": 6}], ids=["policy", "limit"])
def test_r108_a_large_file_that_is_now_to_be_hashed_is_another(
    both: Beside, version: int, policy: LargeFilePolicy, change: dict[str, Any]
) -> None:
    both.with_options(large_file_bytes=5, large_file_policy=policy).write("scan.pdf")
    both.index()
    both.lend()
    both.git("update-index", "--index-version", str(version))
    both.adopt()
    assert both.project.read().index.version == version
    assert both.answers() == (CLEAN, CLEAN, 0)
    both.with_options(**change)
    assert both.answers() == (CLEAN, {b"scan.pdf": "modified"}, 1)


def test_r37_the_version_is_2_again_when_the_last_extended_flag_is_gone(both: Beside) -> None:
    both.by_mtime().write("f.md")
    both.git.add("f.md")
    versions = []
    for switch in ("--skip-worktree", "--no-skip-worktree"):
        both.git("update-index", switch, "f.md")
        versions.append(decode(both.git.index.read_bytes()).version)
    assert versions == [3, 2]
    both.with_options(large_file_bytes=5).write("f.pdf")
    both.index()
    assert both.project.read().index.version == 3
    both.remove("f.pdf")
    both.sync()
    assert both.project.read().index.version == 2
    assert list(both.project.read().index) == [b"f.md"]


def test_r102_flags_that_we_set_survive_gits_writing(both: Beside) -> None:
    both.with_options(large_file_bytes=5).write("f.pdf")
    both.write("f.md")
    both.index()
    before = [both.stored("f.md"), both.stored("f.pdf")]
    both.lend()
    both.git.cacheinfo(b"100644 " + HELLO + b" 0\tnew.md")
    both.adopt()
    assert [both.stored("f.md"), both.stored("f.pdf")] == before
    assert list(both.project.read().index) == [b"f.md", b"f.pdf", b"new.md"]


def test_r101_what_a_monitor_vouches_for_is_looked_at_all_the_same(both: Beside) -> None:
    monitor = both.git.index.with_name("monitor")
    monitor.write_text("#!/bin/sh\nprintf 'token\\0'\n")  # says that nothing has changed since then
    monitor.chmod(0o755)
    watched: dict[str, Any] = {"core_fsmonitor": str(monitor)}
    both.write("f.md")
    both.git.add("f.md")
    both.git("update-index", "--fsmonitor", **watched)
    both.git("update-index", "--fsmonitor-valid", "f.md", **watched)
    both.edit("f.md", b"another size")
    both.adopt()
    assert b"FSMN" in both.project.state.index.read_bytes()
    assert both.git("diff-files", "--name-only", **watched) == b""
    assert both.answers() == ({b"f.md": "M"}, {b"f.md": "modified"}, 0)


# --- intent to add ---------------------------------------------------------------------------------------------------


def intend_to_add(both: Beside, content: bytes) -> None:
    both.write("f.md", content)
    both.git("add", "-N", "f.md")
    both.adopt()
    assert both.stored("f.md").intent_to_add
    assert both.stored("f.md").blob_id == EMPTY_BLOB_ID


def test_r96_a_file_of_which_git_knows_only_the_name_is_new_to_git_and_modified_to_us(both: Beside) -> None:
    intend_to_add(both, b"hello\n")
    assert both.answers() == ({b"f.md": "A"}, {b"f.md": "modified"}, 0)


def test_r97_an_empty_file_of_which_git_knows_only_the_name_is_what_its_entry_says(both: Beside) -> None:
    intend_to_add(both, b"")
    assert both.answers() == ({b"f.md": "A"}, CLEAN, 1)


def test_r98_intent_to_add_is_kept_while_nobody_looks_and_ends_with_a_sync(both: Beside) -> None:
    intend_to_add(both, b"hello\n")
    data = both.project.state.index.read_bytes()
    read = both.read(updated(decode(data), {}))
    assert read.git == read.ours == [both.stored("f.md")]
    both.sync()
    both.lend()
    assert [(entry.blob_id, entry.intent_to_add) for entry in both.git.entries()] == [(HELLO_ID, False)]


# --- the sides of a merge --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 4])
def test_r99_an_unmerged_path_is_unknown_to_us(both: Beside, version: int) -> None:
    both.write("f.md")
    both.write("z.md", b"settled")
    both.git.cacheinfo(*(b"100644 %s %d\tf.md" % (HELLO, stage) for stage in (1, 2, 3)))
    both.git.add("z.md")
    both.git("update-index", "--index-version", str(version))
    assert {shown.stage for shown in both.git.shown()} == {0, 1, 2, 3}
    both.adopt()
    assert both.project.changes() == {b"f.md": "added"}
    assert both.git("diff-files", "--name-status") == b"U\tf.md\nM\tf.md\n"


def test_r100_sides_of_a_merge_are_dropped_on_write(both: Beside) -> None:
    lines = [b"100644 %s %d\tf.md" % (HELLO, stage) for stage in (1, 2, 3)]
    both.git.cacheinfo(*lines, b"100644 " + HELLO + b" 0\tz.md")
    both.git.index.write_bytes(updated(decode(both.git.index.read_bytes()), {}))
    assert [(shown.entry.path, shown.stage) for shown in both.git.shown()] == [(b"z.md", 0)]


def test_r103_a_file_that_became_a_folder_on_one_side_of_a_merge_is_no_damage(both: Beside) -> None:
    both.git.cacheinfo(b"100644 %s 1\ta" % HELLO, b"100644 %s 0\ta/b" % HELLO)
    assert [(shown.entry.path, shown.stage) for shown in both.git.shown()] == [(b"a", 1), (b"a/b", 0)]
    both.adopt()
    assert list(both.project.read().index) == [b"a/b"]


def test_r104_a_merged_entry_with_sides_beside_it_is_read_as_merged(both: Beside) -> None:
    """git never writes it, and fsck refuses it: one of the two is left over, and says nothing about the file."""
    read = both.read(sealed(header(2) + record(b"a") + record(b"a", 0x1000)))
    assert paths_read(read.git) == paths_read(read.ours) == [b"a"]
    assert "multiple stage entries" in both.git_verifies()


def test_f45_sides_of_a_merge_out_of_order_are_damage(both: Beside) -> None:
    read = both.read(sealed(header(2) + record(b"a", 0x2000) + record(b"a", 0x1000)))
    assert "unordered stage entries" in both.git_verifies()
    assert read.ours is IndexDamagedError
