"""What status says of real files: the plain states, the moves, and that it opens little and writes nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.changes import ChangeStatus
from bm_gitindex.errors import IndexDamagedError, IndexUnsupportedError, StateFolderError
from bm_gitindex.index.compare import is_smudged
from bm_gitindex.index.entry import EMPTY_BLOB_ID, Tracking
from bm_gitindex.indexlock import lock_index
from bm_gitindex.rules import Kind
from bm_gitindex.worktree.tree import Tree
from support.project import BY_CTIME, BY_MTIME, NS, OLD_S
from support.values import HELLO_ID

if TYPE_CHECKING:
    from pathlib import Path

    from bm_gitindex.options import LargeFilePolicy
    from support.git import Git
    from support.project import Project

LARGE = 10_000_001


def set_mtime(project: Project, name: str, seconds: int, nanoseconds: int = 0) -> None:
    mtime_ns = seconds * NS + nanoseconds
    os.utime(project.path(name), ns=(mtime_ns, mtime_ns))


def forbid_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every opening of a file below the root fail the test."""
    monkeypatch.setattr(Tree, "open_file", lambda _, path: pytest.fail(f"opened {path!r}"))


@pytest.fixture
def no_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_opening(monkeypatch)


# --- the plain states ------------------------------------------------------------------------------------------------


def test_without_an_index_every_file_is_new(project: Project) -> None:
    project.write("a.md")
    project.write("sub/b.pdf")
    report = project.status()
    assert [(c.status, c.path, c.kind) for c in report.changes] == [
        (ChangeStatus.ADDED, b"a.md", Kind.NOTE),
        (ChangeStatus.ADDED, b"sub/b.pdf", Kind.FILE),
    ]
    assert not report.is_clean


def test_a_settled_clean_tree_reads_no_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.md", "sub/b.md", "sub/deep/c.pdf", "empty.md"):
        project.write(name, b"" if name == "empty.md" else b"text")
    project.index_all()
    forbid_opening(monkeypatch)
    report = project.status()
    assert report.is_clean
    assert (report.counters.files_seen, report.counters.dirs_seen) == (4, 3)
    assert (report.counters.files_read, report.counters.bytes_read) == (0, 0)


def test_an_empty_project_is_clean(project: Project) -> None:
    assert project.status().is_clean
    project.index_all()
    assert project.status().is_clean


def test_edits_of_every_kind_are_told(project: Project) -> None:
    for name in ("same.md", "longer.md", "gone.md", "touched.md", "edited.md"):
        project.write(name, name.encode())
    project.index_all()
    project.write("longer.md", b"longer than it was")
    project.write("edited.md", b"EDITED.md")
    project.write("new.md", b"something else")
    set_mtime(project, "touched.md", OLD_S + 1)
    os.unlink(project.path("gone.md"))
    assert project.changes() == {
        b"longer.md": "modified",
        b"edited.md": "modified",
        b"new.md": "added",
        b"gone.md": "deleted",
    }


def test_changes_and_skipped_are_in_order_of_path(project: Project) -> None:
    for name in ("b.md", "a-b.md", "a/z.md", "c.md"):
        project.write(name, name.encode())
    os.symlink("b.md", project.path("z-link.md"))
    os.symlink("b.md", project.path("a/link.md"))
    report = project.status()
    assert [c.path for c in report.changes] == [b"a-b.md", b"a/z.md", b"b.md", b"c.md"]
    assert [s.path for s in report.skipped] == [b"a/link.md", b"z-link.md"]


# --- whose index it is -----------------------------------------------------------------------------------------------


def test_r42_an_index_lock_does_not_keep_status_from_reading(project: Project) -> None:
    project.write("f.md")
    project.index_all()
    project.state.index_lock.write_bytes(b"git was here")
    assert project.status().is_clean
    project.state.index_lock.unlink()
    with lock_index(project.state, 0, "test"):
        assert project.status().is_clean


def test_clause_6_an_index_of_another_machine_makes_every_entry_racy(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.options = BY_MTIME
    project.write("f.md")
    project.index_all()
    project.write("f.md", b"HELLO\n")
    assert project.changes() == {}
    monkeypatch.setattr("bm_gitindex.indexfile.machine_id", lambda: "elsewhere")
    assert project.changes() == {b"f.md": "modified"}


# --- what it costs, and what it leaves behind ------------------------------------------------------------------------


def snapshot(root: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for folder, _, names in os.walk(root):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            st = os.lstat(path)
            found[path] = (st.st_mode, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_nlink)
    return found


def test_status_writes_nothing(project: Project) -> None:
    for name in ("a.md", "sub/b.md", "moved.md", "gone.md", ".gitignore"):
        project.write(name, name.encode())
    project.sparse("scan.pdf", LARGE)
    project.index_all(OLD_S)
    os.makedirs(project.path("elsewhere"))
    os.rename(project.path("moved.md"), project.path("elsewhere/moved.md"))
    os.unlink(project.path("gone.md"))
    project.write("a.md", b"A.md")
    before = snapshot(project.root)
    assert set(project.changes().values()) == {"modified", "moved", "deleted"}
    assert snapshot(project.root) == before


def test_status_without_a_state_folder_creates_none(project: Project) -> None:
    (project.state.path / ".gitignore").unlink()
    project.state.path.rmdir()
    project.write("a.md")
    assert project.changes() == {b"a.md": "added"}
    assert not project.state.path.exists()


def test_a_new_file_is_not_opened_while_nothing_vanished(project: Project, no_opening: None) -> None:
    project.write("a.md")
    project.write("b.pdf")
    report = project.status()
    assert len(report.changes) == 2
    assert report.counters.files_read == 0


def test_a_file_of_another_size_is_modified_unread(project: Project) -> None:
    project.write("a.md")
    project.index_all()
    project.write("a.md", b"hello, world\n")
    report = project.status()
    assert [c.status for c in report.changes] == [ChangeStatus.MODIFIED]
    assert report.changes[0].size_bytes == 13
    assert report.counters.files_read == 0


# --- large files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "tracking", "kind"),
    [
        ("stat", Tracking.STAT, Kind.STAT_ONLY),
        ("sample", Tracking.SAMPLE, Kind.SAMPLE),
        ("full", Tracking.CONTENT, Kind.FILE),
    ],
)
def test_a_large_file_is_tracked_by_its_policy(
    project: Project, policy: LargeFilePolicy, tracking: Tracking, kind: Kind
) -> None:
    project.options = BY_CTIME._replace(large_file_policy=policy, large_file_bytes=1000)
    project.write("scan.pdf", b"a" * 200_000)
    project.write("small.pdf", b"a" * 1000)
    project.write("large-note.md", b"a" * 2000)
    project.index_all()
    index = project.read().index
    assert index[b"scan.pdf"].tracking is tracking
    assert index[b"small.pdf"].tracking is index[b"large-note.md"].tracking is Tracking.CONTENT
    report = project.status()
    assert report.is_clean
    assert report.counters.files_read == 0
    project.write("scan.pdf", b"b" + b"a" * 199_999)
    report = project.status()
    assert [(c.path, c.status, c.kind) for c in report.changes] == [(b"scan.pdf", ChangeStatus.MODIFIED, kind)]
    assert report.counters.files_read == (policy != "stat")


def test_a_sample_does_not_see_a_change_between_its_ends_and_reads_128_kib(project: Project) -> None:
    project.options = BY_CTIME._replace(large_file_policy="sample", large_file_bytes=1000)
    project.write("scan.pdf", b"a" * 300_000)
    project.index_all(OLD_S)
    project.write("scan.pdf", b"a" * 150_000 + b"b" + b"a" * 149_999)
    report = project.status()
    assert report.is_clean
    assert (report.counters.files_read, report.counters.bytes_read) == (1, 128 * 1024)


@pytest.mark.parametrize(
    ("before", "after"), [("stat", "full"), ("full", "stat"), ("sample", "stat"), ("stat", "sample")]
)
def test_an_entry_whose_kind_is_no_longer_the_policys_is_different(
    project: Project, before: LargeFilePolicy, after: LargeFilePolicy
) -> None:
    project.options = BY_CTIME._replace(large_file_policy=before, large_file_bytes=1000)
    project.write("scan.pdf", b"a" * 2000)
    project.index_all()
    assert project.changes() == {}
    assert project.changes(large_file_policy=after) == {b"scan.pdf": "modified"}


@pytest.mark.parametrize(("before", "after"), [(1000, 3000), (3000, 1000)])
def test_an_entry_whose_kind_is_no_longer_the_limits_is_different(project: Project, before: int, after: int) -> None:
    project.options = BY_CTIME._replace(large_file_bytes=before)
    project.write("scan.pdf", b"a" * 2000)
    project.index_all()
    assert project.changes() == {}
    assert project.changes(large_file_bytes=after) == {b"scan.pdf": "modified"}


def test_a_stat_only_file_that_was_touched_is_modified_unread(project: Project, no_opening: None) -> None:
    project.sparse("scan.pdf", LARGE)
    project.index_all()
    set_mtime(project, "scan.pdf", OLD_S + 1)
    report = project.status()
    assert [(c.kind, c.size_bytes) for c in report.changes] == [(Kind.STAT_ONLY, LARGE)]
    assert report.counters.files_read == 0


def test_a_young_or_racy_stat_only_file_is_clean_unread(project: Project, no_opening: None) -> None:
    project.sparse("racy.pdf", LARGE)
    project.sparse("young.pdf", LARGE)
    project.commit([project.entry("racy.pdf"), project.entry("young.pdf", size=0)], OLD_S)
    report = project.status()
    assert report.is_clean
    assert report.counters.files_read == 0


# --- partial ---------------------------------------------------------------------------------------------------------


def test_paths_limit_what_is_looked_at(project: Project) -> None:
    for name in ("a.md", "sub/b.md", "sub/deep/c.md", "subway.md"):
        project.write(name, name.encode())
    project.index_all()
    for name in ("a.md", "sub/b.md", "sub/deep/c.md", "subway.md"):
        os.unlink(project.path(name))
    assert set(project.changes(b"sub")) == {b"sub/b.md", b"sub/deep/c.md"}
    assert set(project.changes(b"a.md", b"sub/deep")) == {b"a.md", b"sub/deep/c.md"}
    assert set(project.changes(b"none")) == set()


def test_a_partial_status_does_not_enter_other_folders(project: Project) -> None:
    project.write("a/x.md")
    project.write("b/y.md")
    report = project.status(b"a/x.md")
    assert [c.path for c in report.changes] == [b"a/x.md"]
    assert report.counters.dirs_seen == 2
    assert report.counters.files_seen == 1


# --- what cannot be read ---------------------------------------------------------------------------------------------


def test_a_damaged_index_is_an_error_that_names_the_file_and_moves_nothing(project: Project) -> None:
    project.state.index.write_bytes(b"DIRC\0\0\0\2 not an index, and long enough to be one")
    with pytest.raises(IndexDamagedError, match=str(project.state.index)) as caught:
        project.status()
    assert caught.value.exit_code == 6
    assert project.state.index.exists()


def test_f01_an_index_of_no_bytes_is_damaged(project: Project) -> None:
    project.state.index.write_bytes(b"")
    with pytest.raises(IndexDamagedError):
        project.status()


def test_an_unsupported_index_is_an_error_that_names_the_file(project: Project, git: Git) -> None:
    project.index_all()
    git("update-index", "--split-index")
    with pytest.raises(IndexUnsupportedError, match=str(project.state.index)):
        project.status()


def test_an_index_that_is_a_link_is_not_followed(project: Project, tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", project.state.index)
    with pytest.raises(StateFolderError, match="index"):
        project.status()


def test_gone_kinds_are_told_from_the_entry(project: Project) -> None:
    project.sparse("scan.pdf", LARGE)
    project.write("a.md", b"1")
    project.write("b.txt", b"22")
    project.index_all()
    for path in project.files():
        os.unlink(project.path(path))
    kinds = {c.path: (c.kind, c.size_bytes, c.old_path) for c in project.status().changes}
    assert kinds == {
        b"scan.pdf": (Kind.STAT_ONLY, None, None),
        b"a.md": (Kind.NOTE, None, None),
        b"b.txt": (Kind.FILE, None, None),
    }


def test_helpers_index_as_sync_would(project: Project) -> None:
    project.write("a.md", b"")
    project.write("b.md")
    project.index_all()
    index = project.read().index
    assert index[b"a.md"].blob_id == EMPTY_BLOB_ID
    assert index[b"b.md"].blob_id == HELLO_ID
    assert not any(is_smudged(index[path]) for path in index)
