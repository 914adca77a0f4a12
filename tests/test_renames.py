"""Renames on real files: by stat without opening, by content where stat proves nothing."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.worktree.tree import Tree
from support.project import BY_CTIME, BY_MTIME, OLD_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.project import Project

LARGE = 10_000_001


def moves(project: Project) -> dict[bytes, bytes | None]:
    """Return new path -> old path; every change must be a move."""
    changes = project.status().changes
    assert {change.status.value for change in changes} <= {"moved"}, changes
    return {change.path: change.old_path for change in changes}


def move(project: Project, old: str, new: str) -> None:
    os.makedirs(os.path.dirname(project.path(new)), exist_ok=True)
    os.rename(project.path(old), project.path(new))


def copy_and_remove(project: Project, old: str, new: str) -> None:
    """Move a file as between two disks: another inode, another ctime."""
    os.makedirs(os.path.dirname(project.path(new)), exist_ok=True)
    shutil.copy2(project.path(old), project.path(new))
    os.unlink(project.path(old))


def test_files_of_a_moved_folder_are_paired_unopened(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("old/a.md", "old/deep/b.md", "old/empty.md", "stays.md"):
        project.write(name, b"" if "empty" in name else b"same")
    project.sparse("old/scan.pdf", LARGE)
    project.index_all()
    move(project, "old", "new")
    monkeypatch.setattr(Tree, "open_file", lambda _, path: pytest.fail(f"opened {path!r}"))
    assert moves(project) == {
        b"new/a.md": b"old/a.md",
        b"new/deep/b.md": b"old/deep/b.md",
        b"new/empty.md": b"old/empty.md",
        b"new/scan.pdf": b"old/scan.pdf",
    }
    assert project.status().counters.files_read == 0


@pytest.mark.parametrize("how", [move, copy_and_remove])
def test_a_renamed_file_is_known_by_its_content(project: Project, how: Callable[[Project, str, str], None]) -> None:
    project.write("a.md", b"content")
    project.write("stays.md", b"content")
    project.index_all()
    how(project, "a.md", "sub/b.md")
    assert moves(project) == {b"sub/b.md": b"a.md"}
    assert project.status().counters.files_read <= 1


def test_only_new_files_of_a_lost_size_are_opened(project: Project) -> None:
    project.write("a.md", b"1234567")
    project.index_all()
    copy_and_remove(project, "a.md", "b.md")
    project.write("c.md", b"another size")
    project.write("d.md", b"7654321")
    report = project.status()
    assert {c.path: c.status.value for c in report.changes} == {b"b.md": "moved", b"c.md": "added", b"d.md": "added"}
    assert report.counters.files_read == 2


def test_a_move_with_an_edit_is_a_deletion_and_an_addition(project: Project) -> None:
    project.write("a.md", b"content")
    project.index_all()
    move(project, "a.md", "b.md")
    project.write("b.md", b"CONTENT")
    assert project.changes() == {b"a.md": "deleted", b"b.md": "added"}


def test_a_racy_file_of_a_moved_folder_is_paired_by_content_alone(project: Project) -> None:
    project.write("old/a.md", b"content")
    project.index_all(OLD_S)
    move(project, "old", "new")
    assert moves(project) == {b"new/a.md": b"old/a.md"}
    assert project.status().counters.files_read == 1
    project.write("new/a.md", b"CONTENT")
    assert project.changes() == {b"old/a.md": "deleted", b"new/a.md": "added"}


def test_a_moved_folder_is_read_where_ctime_is_not_trusted(project: Project) -> None:
    project.options = BY_MTIME
    project.write("old/a.md", b"content")
    project.index_all()
    move(project, "old", "new")
    assert moves(project) == {b"new/a.md": b"old/a.md"}
    assert project.status().counters.files_read == 1


def test_a_smudged_entry_is_paired_by_content(project: Project) -> None:
    project.write("a.md", b"content")
    project.commit([project.entry("a.md", size=0)])
    move(project, "a.md", "b.md")
    assert moves(project) == {b"b.md": b"a.md"}


@pytest.mark.parametrize("content", [b"", b"template"])
def test_files_alike_go_by_the_nearest_path(project: Project, content: bytes) -> None:
    for name in ("old/a.md", "old/b.md", "old/sub/a.md"):
        project.write(name, content)
    project.index_all()
    # Copied as a whole before anything is removed: an inode that is free is soon another file's.
    shutil.copytree(project.root / "old", project.root / "new")
    shutil.rmtree(project.root / "old")
    assert moves(project) == {
        b"new/a.md": b"old/a.md",
        b"new/b.md": b"old/b.md",
        b"new/sub/a.md": b"old/sub/a.md",
    }


def test_an_empty_file_of_another_name_and_inode_is_no_move(project: Project) -> None:
    project.write("a.md", b"")
    project.index_all()
    project.write("b.md", b"")
    os.unlink(project.path("a.md"))
    assert project.changes() == {b"a.md": "deleted", b"b.md": "added"}


@pytest.mark.parametrize(("new", "is_move"), [("sub/scan.pdf", True), ("sub/other.pdf", False)])
def test_a_copied_stat_only_file_is_a_move_by_base_name(project: Project, new: str, is_move: bool) -> None:
    project.sparse("scan.pdf", LARGE)
    project.index_all()
    project.sparse(new, LARGE)
    os.unlink(project.path("scan.pdf"))
    changes = project.changes()
    assert changes == ({new.encode(): "moved"} if is_move else {b"scan.pdf": "deleted", new.encode(): "added"})


def test_a_renamed_stat_only_file_is_known_by_its_inode(project: Project) -> None:
    project.sparse("scan.pdf", LARGE)
    project.index_all()
    move(project, "scan.pdf", "other.pdf")
    assert moves(project) == {b"other.pdf": b"scan.pdf"}
    assert project.status().counters.files_read == 0


def test_a_sample_never_pairs(project: Project) -> None:
    project.options = BY_CTIME._replace(large_file_policy="sample", large_file_bytes=10)
    project.write("scan.pdf", b"x" * 100)
    project.index_all()
    copy_and_remove(project, "scan.pdf", "sub/scan.pdf")
    assert project.changes() == {b"scan.pdf": "deleted", b"sub/scan.pdf": "added"}


def test_a_swap_of_two_files_is_two_edits(project: Project) -> None:
    project.write("a.md", b"aaaa")
    project.write("b.md", b"bbbb")
    project.index_all()
    for old, new in (("a.md", "t.md"), ("b.md", "a.md"), ("t.md", "b.md")):
        move(project, old, new)
    assert project.changes() == {b"a.md": "modified", b"b.md": "modified"}


def test_a_new_file_that_cannot_be_read_is_added_and_skipped(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("a.md", b"content")
    project.index_all(OLD_S)
    move(project, "a.md", "b.md")

    def refuse(self: Tree, path: bytes) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Tree, "open_file", refuse)
    report = project.status()
    assert {c.path: c.status.value for c in report.changes} == {b"a.md": "deleted", b"b.md": "added"}
    assert [s.path for s in report.skipped] == [b"b.md"]


def test_a_case_rename_is_a_move(project: Project) -> None:
    project.write("Note.md", b"content")
    project.index_all()
    move(project, "Note.md", "note.md")
    assert moves(project) == {b"note.md": b"Note.md"}
