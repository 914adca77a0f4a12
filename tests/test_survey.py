"""Absence must be proven: what cannot be looked at keeps what is known."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex.index.compare import Evidence
from bm_gitindex.index.entry import Entry, Index
from bm_gitindex.index.stat import Trust
from bm_gitindex.indexfile import read_index
from bm_gitindex.rules import SkipReason
from bm_gitindex.survey import Survey, Surveyor
from bm_gitindex.worktree import walk as walking
from bm_gitindex.worktree.tree import Tree
from bm_gitindex.worktree.walk import Scope
from support import faults
from support.project import BY_CTIME
from support.values import ZERO_STAT, survey_of

if TYPE_CHECKING:
    from support.project import Project


def survey(project: Project, *paths: bytes) -> Survey:
    snapshot = read_index(project.state)
    evidence = Evidence(snapshot.index, snapshot.baseline, Trust())
    with Tree(project.root) as tree:
        return Surveyor(tree, project.options, evidence).survey(Scope(paths))


def reasons(result: Survey) -> dict[bytes, SkipReason]:
    return {skipped.path: skipped.reason for skipped in result.skipped}


def indexed(project: Project, *names: str) -> None:
    for name in names:
        project.write(name, name.encode())
    project.index_all()


def with_device(entry: Entry, dev: int) -> Entry:
    return entry._replace(stat=entry.stat._replace(dev=dev))


def test_a_survey_sorts_every_path_into_one_place(project: Project) -> None:
    indexed(project, "same.md", "other-size.md", "touched.md", "gone.md")
    project.write("other-size.md", b"x")
    os.utime(project.path("touched.md"), (1, 1))
    os.unlink(project.path("gone.md"))
    project.write("new.md", b"12345")
    result = survey(project)
    assert result.new == {b"new.md": 5}
    assert result.modified == {b"other-size.md": 1}
    assert result.unsure == {b"touched.md": 10}
    assert result.vanished == [b"gone.md"]
    assert (result.unchanged, result.counters.files_seen, result.counters.files_read) == (1, 4, 0)
    assert not result.is_clean


def test_unchanged_files_of_every_sort_are_counted(project: Project) -> None:
    project.options = BY_CTIME._replace(large_file_bytes=4)
    indexed(project, "note.md", "file.pdf", "large.bin")
    project.write("empty.md", b"")
    project.index_all()
    result = survey(project)
    assert (result.is_clean, result.unchanged, result.counters.files_seen) == (True, 4, 4)


def test_a_root_is_empty_only_if_nothing_is_in_it(project: Project) -> None:
    indexed(project, "folder/a.md")
    assert not survey(project).root_is_empty
    os.unlink(project.path("folder/a.md"))
    assert not survey(project).root_is_empty
    os.rmdir(project.path("folder"))
    assert survey(project).root_is_empty
    assert survey(project, b"folder/a.md").root_is_empty


def test_progress_is_told_by_files_seen(project: Project) -> None:
    indexed(project, "a.md", "b/c.md", "b/d.md")
    seen: list[int] = []
    with Tree(project.root) as tree:
        snapshot = project.read()
        evidence = Evidence(snapshot.index, snapshot.baseline, Trust())
        Surveyor(tree, BY_CTIME, evidence).survey(Scope(), seen.append)
    assert seen == sorted(seen)
    assert (seen[-1], set(seen) - {0, 1, 3}) == (3, set())


@pytest.mark.parametrize(
    ("unlooked", "path", "is_unproven"),
    [
        (b"dir", b"dir/a.md", True),
        (b"dir", b"dir/sub/a.md", True),
        (b"dir/a.md", b"dir/a.md", True),
        (b"", b"a.md", True),
        (b"dir", b"dirt/a.md", False),
        (b"dir/sub", b"dir/a.md", False),
        (b"dir", b"a.md", False),
    ],
)
def test_nothing_is_proven_of_what_lies_below_a_place_that_could_not_be_looked_at(
    unlooked: bytes, path: bytes, is_unproven: bool
) -> None:
    assert survey_of(unlooked=frozenset({unlooked, b"other"})).is_unproven(path) is is_unproven
    assert not Survey().is_unproven(path)


# --- absence is not deletion -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [b"sub", b"sub/deep", b""])
def test_unreadable_directory_is_not_a_deletion(
    project: Project, monkeypatch: pytest.MonkeyPatch, folder: bytes
) -> None:
    indexed(project, "a.md", "sub/b.md", "sub/deep/c.md")
    faults.deny_folder(monkeypatch, folder)
    result = survey(project)
    assert result.vanished == []
    assert reasons(result) == {folder: SkipReason.UNREADABLE}
    assert result.unchanged == 3
    assert project.status().is_clean


def test_a_directory_that_cannot_be_listed_is_not_a_deletion(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed(project, "a.md", "sub/b.md")
    faults.fail_listing(monkeypatch, project.path("sub"))
    result = survey(project)
    assert result.vanished == []
    assert reasons(result) == {b"sub": SkipReason.UNREADABLE}


def test_a_root_that_is_gone_is_not_a_deletion(project: Project) -> None:
    indexed(project, "a.md")
    snapshot = project.read()
    with Tree(project.root / "gone") as tree:
        result = Surveyor(tree, BY_CTIME, Evidence(snapshot.index, snapshot.baseline, Trust())).survey(Scope())
    assert result.vanished == []
    assert reasons(result) == {b"": SkipReason.VANISHED}


def test_a_file_whose_stat_fails_is_not_a_deletion(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed(project, "a.md", "b.md")
    faults.fail_entry_stat(monkeypatch, "a.md", PermissionError(13, "Permission denied"))
    result = survey(project)
    assert result.vanished == []
    assert reasons(result) == {b"a.md": SkipReason.UNREADABLE}


def test_a_file_that_is_gone_when_it_is_looked_at_is_a_deletion(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(project, "a.md", "b.md")

    def gone() -> None:
        with suppress(FileNotFoundError):
            os.unlink(project.path("a.md"))
        raise FileNotFoundError(2, "No such file or directory")

    faults.override_entry(monkeypatch, "a.md", stat=gone)
    result = survey(project)
    assert result.vanished == [b"a.md"]
    assert result.skipped == []


def test_a_placeholder_folder_is_not_a_deletion_of_what_was_below(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(project, "a.md", "cloud/b.md", "cloud/deep/c.md")
    faults.mark_placeholders(monkeypatch, project.path("cloud"))
    result = survey(project)
    assert result.vanished == []
    assert reasons(result) == {b"cloud": SkipReason.PLACEHOLDER}


def test_a_placeholder_file_is_neither_changed_nor_deleted_nor_opened(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(project, "a.md", "cloud.md")
    project.write("cloud.md", b"")
    faults.mark_placeholders(monkeypatch, project.path("cloud.md"))
    monkeypatch.setattr(Tree, "open_file", lambda *_: pytest.fail("opened"))
    result = survey(project)
    assert result.is_clean
    assert reasons(result) == {b"cloud.md": SkipReason.PLACEHOLDER}


def evict_to_icloud(project: Project, name: str) -> None:
    folder, base = os.path.split(name)
    os.rename(project.path(name), project.path(os.path.join(folder, f".{base}.icloud")))


@pytest.mark.parametrize("name", ["a.md", "sub/a.md", "sub/e\u0301.md"])
def test_an_icloud_stub_keeps_its_file(project: Project, name: str) -> None:
    indexed(project, name, "other.md")
    evict_to_icloud(project, name)
    result = survey(project)
    assert result.is_clean
    assert reasons(result) == {os.fsencode(name): SkipReason.PLACEHOLDER}


def test_an_icloud_stub_beside_its_file_says_nothing(project: Project) -> None:
    indexed(project, "a.md")
    project.write(".a.md.icloud")
    assert (survey(project).is_clean, survey(project).skipped) == (True, [])


def test_an_icloud_stub_of_an_ignored_file_says_nothing(project: Project) -> None:
    project.write(".gitignore", b"*.log\n")
    project.write(".x.log.icloud")
    project.write("..hidden.icloud")
    project.write(".Thumbs.db.icloud")
    assert survey(project).skipped == []


def test_an_icloud_stub_keeps_its_file_in_a_partial_run(project: Project) -> None:
    indexed(project, "a.md", "other.md")
    evict_to_icloud(project, "a.md")
    assert survey(project, b"a.md").vanished == []


def test_an_icloud_stub_keeps_its_file_with_hidden_files_included(project: Project) -> None:
    indexed(project, "a.md", "other.md")
    project.options = BY_CTIME._replace(include_hidden=True)
    evict_to_icloud(project, "a.md")
    result = survey(project)
    assert result.vanished == []
    assert b".a.md.icloud" not in result.new


# --- sub-mounts ------------------------------------------------------------------------------------------------------


def test_a_sub_mount_that_is_gone_keeps_its_files(project: Project) -> None:
    for name in ("a.md", "b.md", "disk/c.md", "disk/deep/d.md"):
        project.write(name, name.encode())
    here, elsewhere = ["a.md", "b.md"], ["disk/c.md", "disk/deep/d.md"]
    entries = [project.entry(name) for name in (*here, *elsewhere)]
    project.commit([with_device(e, e.stat.dev + (e.path.startswith(b"disk/"))) for e in entries])
    for name in elsewhere:
        os.unlink(project.path(name))
    os.rmdir(project.path("disk/deep"))
    result = survey(project)
    assert result.vanished == []
    assert reasons(result) == {b"disk": SkipReason.UNMOUNTED}
    assert result.unchanged == 4


def test_a_root_whose_device_was_renumbered_still_knows_deletions(project: Project) -> None:
    for name in ("a.md", "b.md", "c.md"):
        project.write(name, name.encode())
    project.commit([with_device(project.entry(name), 4711) for name in ("a.md", "b.md", "c.md")])
    os.unlink(project.path("a.md"))
    assert survey(project).vanished == [b"a.md"]


def test_the_last_files_of_an_old_device_number_can_be_deleted(project: Project) -> None:
    for name in ("old.md", "b.md", "c.md"):
        project.write(name, name.encode())
    entries = [project.entry("b.md"), project.entry("c.md"), with_device(project.entry("old.md"), 4711)]
    project.commit(entries)
    os.unlink(project.path("old.md"))
    assert survey(project).vanished == [b"old.md"]


def test_an_entry_without_stat_data_can_be_deleted(project: Project) -> None:
    for name in ("never-read.md", "b.md", "c.md"):
        project.write(name, name.encode())
    never_read = project.entry("never-read.md")
    nothing = never_read._replace(stat=ZERO_STAT)
    project.commit([nothing, project.entry("b.md"), project.entry("c.md")])
    os.unlink(project.path("never-read.md"))
    assert survey(project).vanished == [b"never-read.md"]


def test_a_sub_mount_that_held_most_files_keeps_them_when_it_is_gone(project: Project) -> None:
    names = ["a.md", "disk/b.md", "disk/c.md", "disk/d.md"]
    for name in names:
        project.write(name, name.encode())
    entries = [project.entry(name) for name in names]
    project.commit([with_device(e, e.stat.dev + e.path.startswith(b"disk/")) for e in entries])
    for name in names[1:]:
        os.unlink(project.path(name))
    assert survey(project).vanished == []


@pytest.mark.parametrize(
    ("devices", "are_gone"),
    [
        pytest.param((None, None), True, id="the root's"),
        pytest.param((0, 0), True, id="never looked at"),
        pytest.param((4711, 4712), True, id="of two mounts"),
        pytest.param((4711, 4711), False, id="of one mount"),
    ],
)
def test_a_folder_that_held_all_there_was_is_unmounted_only_if_it_was_of_one_device_of_its_own(
    project: Project, devices: tuple[int | None, int | None], are_gone: bool
) -> None:
    names = ("folder/a.md", "folder/b.md")
    for name in names:
        project.write(name, name.encode())
    entries = [project.entry(name) for name in names]
    project.commit(
        [with_device(e, e.stat.dev if dev is None else dev) for e, dev in zip(entries, devices, strict=True)]
    )
    for name in names:
        os.unlink(project.path(name))
    result = survey(project)
    assert result.vanished == ([b"folder/a.md", b"folder/b.md"] if are_gone else [])
    assert len(result.unseen) == (0 if are_gone else 2)


@pytest.mark.parametrize("gone", [[b"disk/c.md"], [b"disk/c.md", b"disk/d.md"]], ids=["one", "all"])
def test_files_on_a_mounted_sub_mount_can_be_deleted(
    project: Project, monkeypatch: pytest.MonkeyPatch, gone: list[bytes]
) -> None:
    for name in ("a.md", "b.md", "disk/c.md", "disk/d.md"):
        project.write(name, name.encode())
    entries = [project.entry(name) for name in ("a.md", "b.md", "disk/c.md", "disk/d.md")]
    project.commit([with_device(e, e.stat.dev + e.path.startswith(b"disk/")) for e in entries])
    for path in gone:
        os.unlink(project.path(path))
    real_walk = walking.walk

    def walk_with_mount(*args: Any) -> object:
        for listing in real_walk(*args):
            yield listing._replace(dev=listing.dev + listing.prefix.startswith(b"disk/"))

    monkeypatch.setattr("bm_gitindex.survey.walk", walk_with_mount)
    assert survey(project).vanished == gone


# --- scope -----------------------------------------------------------------------------------------------------------


def test_a_path_below_what_became_a_symlink_is_gone_in_a_partial_run_too(project: Project) -> None:
    indexed(project, "real/a.md", "d/b.md")
    os.unlink(project.path("d/b.md"))
    os.rmdir(project.path("d"))
    os.symlink("real", project.path("d"))
    assert survey(project, b"d/b.md").vanished == [b"d/b.md"]
    assert survey(project).vanished == [b"d/b.md"]


def test_a_partial_run_below_an_unreadable_folder_is_not_a_deletion(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(project, "sub/deep/a.md", "b.md")
    faults.deny_folder(monkeypatch, b"sub")
    result = survey(project, b"sub/deep/a.md")
    assert result.vanished == []
    assert reasons(result) == {b"sub": SkipReason.UNREADABLE}


def test_an_empty_index_has_nothing_to_lose(project: Project) -> None:
    evidence = Evidence(Index.empty(), project.read().baseline, Trust())
    with Tree(project.root) as tree:
        assert Surveyor(tree, BY_CTIME, evidence).survey(Scope()).is_clean


def test_what_became_ignored_is_gone_from_the_project(project: Project) -> None:
    indexed(project, "a.md", "drafts/b.md")
    project.write(".gitignore", b"drafts/\n")
    assert survey(project).vanished == [b"drafts/b.md"]
