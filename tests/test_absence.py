"""A listing is no proof of absence: what it has not shown is asked for by name, and looked for twice."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex import Options
from bm_gitindex.rules import SkipReason
from bm_gitindex.worktree.tree import Tree
from support import faults
from support.vault import Vault
from test_survey import indexed, reasons, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.project import Project


def unlist(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Leave a name out of every listing."""
    faults.in_python(monkeypatch)
    real = os.scandir

    @contextlib.contextmanager
    def scandir(fd: int) -> Iterator[list[os.DirEntry[str]]]:
        with real(fd) as entries:
            yield [entry for entry in entries if entry.name != name]

    monkeypatch.setattr(os, "scandir", scandir)


def when_listed(monkeypatch: pytest.MonkeyPatch, folder: Path, act: Callable[[], object]) -> None:
    """Let something happen just before a folder is listed for the first time."""
    faults.in_python(monkeypatch)
    real, waiting = os.scandir, [os.stat(folder).st_ino]

    def scandir(fd: int) -> Any:
        if waiting == [os.fstat(fd).st_ino]:
            waiting.clear()
            act()
        return real(fd)

    monkeypatch.setattr(os, "scandir", scandir)


def test_a_file_that_a_listing_misses_is_there(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    indexed(project, "a.md", "d/b.md", "d/c.md")
    unlist(monkeypatch, "b.md")
    result = survey(project)
    assert (result.vanished, result.unchanged, result.counters.files_seen) == ([], 3, 3)
    project.write("d/b.md", b"edited meanwhile")
    assert survey(project).modified == {b"d/b.md": 16}


def test_files_below_a_folder_that_a_listing_misses_are_there(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(project, "a.md", "d/b.md", "d/deep/c.md")
    unlist(monkeypatch, "d")
    result = survey(project)
    assert (result.vanished, result.unchanged) == ([], 3)


@pytest.mark.parametrize("rule", ["b.md\n", "/d/\n", "d/*\n"])
def test_a_file_that_is_ignored_by_now_is_gone(project: Project, rule: str) -> None:
    indexed(project, "a.md", "d/b.md")
    project.write(".gitignore", rule.encode())
    assert survey(project).vanished == [b"d/b.md"]


def test_a_file_that_is_left_out_by_now_is_gone(project: Project) -> None:
    indexed(project, "a.md", "b.tmp.md")
    os.rename(project.path("b.tmp.md"), project.path("b.tmp"))
    assert survey(project).vanished == [b"b.tmp.md"]


@pytest.mark.parametrize("error", [faults.DENIED, OSError(errno.EIO, "Input/output error")])
def test_a_file_that_cannot_be_asked_for_is_not_gone(
    project: Project, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    indexed(project, "a.md", "b.md")
    unlist(monkeypatch, "b.md")
    real = Tree.lstat

    def lstat(tree: Tree, path: bytes) -> os.stat_result:
        if path == b"b.md":
            raise error
        return real(tree, path)

    monkeypatch.setattr(Tree, "lstat", lstat)
    result = survey(project)
    assert (result.vanished, set(result.unseen)) == ([], {b"b.md"})
    assert reasons(result) == {b"b.md": SkipReason.UNREADABLE}


def test_a_file_that_got_another_spelling_is_gone_by_the_old_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that takes both for one name."""
    indexed(project, "A.md", "b.md")
    os.link(project.path("A.md"), project.path("a.md"))
    unlist(monkeypatch, "A.md")
    result = survey(project)
    assert (result.vanished, set(result.new)) == ([b"A.md"], {b"a.md"})
    os.unlink(project.path("a.md"))
    project.write("a.md", b"another file")
    assert survey(project).vanished == []
    real = Tree.lstat

    def gone(tree: Tree, path: bytes) -> os.stat_result:
        if path == b"a.md":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return real(tree, path)

    monkeypatch.setattr(Tree, "lstat", gone)
    assert survey(project).vanished == []


def test_an_ignore_file_that_cannot_be_read_for_once_deletes_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(project, "a.md", "d/keep.md", "d/gone.md")
    project.write(".gitignore", b"d/*\n")
    project.write("d/.gitignore", b"!keep.md\n!gone.md\n")
    os.unlink(project.path("d/gone.md"))
    assert survey(project).vanished == [b"d/gone.md"]
    faults.deny_file(monkeypatch, b"d/.gitignore")
    result = survey(project)
    assert (result.vanished, set(result.unseen)) == ([b"d/gone.md"], {b"d/keep.md"})
    assert result.skipped[-1].detail == "cannot be read: Permission denied (its ignore file)"


def test_a_file_that_moves_behind_the_listing_is_found_where_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(project, "a/x.md", "b/y.md", "b/z.md")
    old, new = project.path("b/y.md"), project.path("a/y.md")
    when_listed(monkeypatch, project.root / "b", lambda: os.rename(old, new))
    result = survey(project)
    assert (result.vanished, set(result.new)) == ([b"b/y.md"], {b"a/y.md"})


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_stub_beside_what_it_stands_for_is_a_leftover(project: Project, is_folder: bool) -> None:
    indexed(project, "n.md", "x" if is_folder else "x/one")
    (os.unlink if is_folder else _remove_folder)(project.path("x"))
    project.write("x/two" if is_folder else "x", b"here")
    project.write(".x.icloud")
    result = survey(project)
    assert set(result.new) == {b"x/two" if is_folder else b"x"}
    assert result.vanished == [b"x" if is_folder else b"x/one"]
    assert result.skipped == []


def _remove_folder(path: bytes) -> None:
    os.unlink(os.path.join(path, b"one"))
    os.rmdir(path)


def test_a_root_of_placeholders_is_not_empty(project: Project) -> None:
    indexed(project, "a.md")
    os.rename(project.path("a.md"), project.path(".a.md.icloud"))
    assert not survey(project).root_is_empty


@pytest.mark.parametrize("include_hidden", [True, False])
def test_a_vault_with_stubs_is_verified(tmp_path: Path, include_hidden: bool) -> None:
    vault = Vault(tmp_path / "vault", Options(include_hidden=include_hidden))
    vault.write("here.md")
    vault.write("gone.md")
    vault.sync()
    (vault.root / "gone.md").rename(vault.root / ".gone.md.icloud")
    (vault.root / ".here.md.icloud").touch()
    verification = vault.project.verify()
    assert (verification.mismatches, verification.unreadable) == ((), (b"gone.md",))
