"""What stands at a path: a file, a link, a folder, a module, or nothing any more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.rules import SkipReason
from support.beside import CLEAN
from support.values import SOME_ID

if TYPE_CHECKING:
    from support.beside import Beside


def skipped(both: Beside) -> dict[bytes, SkipReason]:
    return {path: reason for path, reason, _ in both.project.status().skipped}


# --- a file became something else ------------------------------------------------------------------------------------


def test_r32_a_file_that_became_a_symlink_is_deleted_and_skipped(both: Beside) -> None:
    both.write("f.md")
    both.write("target.md", b"x")
    both.index()
    both.remove("f.md")
    os.symlink("target.md", both.path("f.md"))
    assert both.answers() == ({b"f.md": "T"}, {b"f.md": "deleted"}, 0)
    assert skipped(both) == {b"f.md": SkipReason.SYMLINK}


def test_r32_a_file_that_became_a_folder_is_deleted_and_what_is_in_it_is_new(both: Beside) -> None:
    both.write("f")
    both.index()
    both.remove("f")
    both.write("f/inner.md", b"something longer")
    assert both.answers() == ({b"f": "D"}, {b"f": "deleted", b"f/inner.md": "added"}, 0)
    assert both.git.untracked() == {b"f/inner.md"}


def test_r87_a_file_that_became_a_named_pipe_is_deleted_and_skipped(both: Beside) -> None:
    both.write("f.md")
    both.index()
    both.remove("f.md")
    os.mkfifo(both.path("f.md"))
    assert both.answers() == ({b"f.md": "M"}, {b"f.md": "deleted"}, 0)
    assert skipped(both) == {b"f.md": SkipReason.FIFO}


def test_r88_a_folder_that_became_a_file_is_new_and_what_was_in_it_is_deleted(both: Beside) -> None:
    both.write("f/inner.md", b"something longer")
    both.index()
    both.remove("f/inner.md")
    os.rmdir(both.path("f"))
    both.write("f", b"x")
    assert both.answers() == ({b"f/inner.md": "D"}, {b"f": "added", b"f/inner.md": "deleted"}, 0)
    assert both.git.untracked() == {b"f"}


def test_r89_a_folder_that_became_a_symlink_to_one_with_the_same_files_is_deleted(both: Beside) -> None:
    both.write("f/inner.md")
    both.index()
    os.rename(both.path("f"), both.path(".f"))
    os.symlink(".f", both.path("f"))
    assert both.answers() == ({b"f/inner.md": "D"}, {b"f/inner.md": "deleted"}, 0)
    assert skipped(both) == {b"f": SkipReason.SYMLINK}


# --- entries of another kind -----------------------------------------------------------------------------------------


def test_r84_a_symlink_that_git_indexed_is_no_file_to_us(both: Beside) -> None:
    os.symlink("nowhere", both.path("link.md"))
    both.git.add("link.md")
    both.adopt()
    assert both.stored("link.md").stat.mode == 0o120000
    assert both.answers() == (CLEAN, {b"link.md": "deleted"}, 0)
    assert skipped(both) == {b"link.md": SkipReason.SYMLINK}


@pytest.mark.parametrize("trust_filemode", [True, False])
def test_r85_a_file_in_the_place_of_a_symlink_that_git_indexed_is_modified(both: Beside, trust_filemode: bool) -> None:
    os.symlink("target", both.path("link.md"))
    both.git.add("link.md")
    both.adopt()
    both.remove("link.md")
    both.write("link.md", b"target")
    both.by_mtime().with_options(trust_filemode=trust_filemode)
    assert both.answers() == ({b"link.md": "T"}, {b"link.md": "modified"}, 0)


def test_r86_a_module_that_git_indexed_is_a_folder_to_us(both: Beside) -> None:
    both.write("module/inner.md")
    both.git.cacheinfo(b"160000 " + SOME_ID.hex().encode() + b" 0\tmodule")
    both.adopt()
    assert both.answers()[:2] == (CLEAN, {b"module": "deleted", b"module/inner.md": "added"})
    assert both.git.untracked() == set()
    both.sync()
    both.lend()
    assert [entry.path for entry in both.git.entries()] == [b"module/inner.md"]


# --- there or not ----------------------------------------------------------------------------------------------------


def test_r90_a_file_that_is_gone_is_deleted(both: Beside) -> None:
    both.write("f.md")
    both.write("deep/er/g.md", b"another")
    both.index()
    both.remove("f.md")
    both.remove("deep/er/g.md")
    os.removedirs(both.path("deep/er"))
    assert both.answers()[:2] == (
        {b"f.md": "D", b"deep/er/g.md": "D"},
        {b"f.md": "deleted", b"deep/er/g.md": "deleted"},
    )


def test_r91_a_file_without_an_entry_is_untracked_to_git_and_new_to_us(both: Beside) -> None:
    both.write("f.md")
    both.index()
    both.write("g.md", b"another")
    assert both.answers() == (CLEAN, {b"g.md": "added"}, 0)
    assert both.git.untracked() == {b"g.md"}


def test_r92_a_known_file_that_became_ignored_stays_for_git_and_is_gone_for_us(both: Beside) -> None:
    both.write("drafts/f.md")
    both.index()
    both.write(".gitignore", b"drafts/\n")
    assert both.answers() == (CLEAN, {b"drafts/f.md": "deleted"}, 0)


def test_r93_a_file_renamed_to_its_case_twin_is_another_path(both: Beside) -> None:
    both.write("Note.md")
    both.index()
    os.rename(both.path("Note.md"), both.path("note.md"))
    if os.path.lexists(both.path("Note.md")):
        pytest.skip("the file system takes both names for one")
    assert both.answers()[:2] == ({b"Note.md": "D"}, {b"note.md": "moved"})
    assert both.git.untracked() == {b"note.md"}


def test_r94_two_files_that_changed_places_are_two_edits(both: Beside) -> None:
    both.by_mtime().write("a.md", b"aaaaa\n")
    both.write("b.md", b"bbbbb\n")
    both.index()
    os.rename(both.path("a.md"), both.path("c"))
    os.rename(both.path("b.md"), both.path("a.md"))
    os.rename(both.path("c"), both.path("b.md"))
    assert both.answers() == ({b"a.md": "M", b"b.md": "M"}, CLEAN, 0)
    both.by_ctime()
    assert both.answers() == ({b"a.md": "M", b"b.md": "M"}, {b"a.md": "modified", b"b.md": "modified"}, 2)
