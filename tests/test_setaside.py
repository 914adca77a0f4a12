from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.rules import SkipReason
from bm_gitindex.worktree import tree
from support.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A synced vault in which `bad.md` cannot be opened, whoever asks, and was tried four times."""
    vault = Vault(tmp_path / "vault")
    vault.write("good.md")
    vault.sync()
    vault.write("bad.md")
    whole = tree.Tree.open_file

    def refuse(self: tree.Tree, path: bytes) -> int:
        if path == b"bad.md":
            raise PermissionError(13, "Permission denied")
        return whole(self, path)

    monkeypatch.setattr(tree.Tree, "open_file", refuse)
    for _ in range(4):
        vault.sync()
    return vault


def test_a_status_lists_a_file_that_failed_again_and_again_as_passed_over(failing: Vault) -> None:
    status = failing.status()
    (skipped,) = status.skipped
    assert (skipped.path, skipped.reason) == (b"bad.md", SkipReason.UNREADABLE)
    assert "failed 4 times, tried again after" in skipped.detail
    assert status.changes == ()


def test_a_file_that_changes_is_a_change_again_and_tried_at_once(
    failing: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing.write("bad.md", "another text\n")
    assert [change.path for change in failing.status().changes] == [b"bad.md"]
    monkeypatch.undo()
    assert failing.sync().added == 1
    assert failing.status().skipped == ()


def test_a_status_of_another_part_says_nothing_of_it(failing: Vault) -> None:
    failing.write("good.md", "edited\n")
    assert [change.path for change in failing.status("good.md").changes] == [b"good.md"]
    assert failing.status("good.md").skipped == ()


def test_a_database_that_cannot_be_asked_leaves_the_status_as_it_is(failing: Vault) -> None:
    database = failing.project.state.database
    for path in (database, database.with_name("entities.db-wal"), database.with_name("entities.db-shm")):
        path.unlink(missing_ok=True)
    assert [change.path for change in failing.status().changes] == [b"bad.md"]


def test_what_a_killed_writer_has_left_is_not_touched(failing: Vault) -> None:
    database = failing.project.state.database
    before = {}
    for ending in ("-wal", "-shm"):
        path = database.with_name(database.name + ending)
        path.write_bytes(b"")
        before[path] = path.stat()
    assert [change.path for change in failing.status().changes] == [b"bad.md"]
    assert {path: path.stat() for path in before} == before


def test_less_than_four_failures_are_tried_again_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(tmp_path / "vault")
    vault.write("bad.md")
    tries = []

    def refuse(self: tree.Tree, path: bytes) -> int:
        tries.append(path)
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(tree.Tree, "open_file", refuse)
    for _ in range(6):
        vault.sync()
    assert len(tries) == 4
