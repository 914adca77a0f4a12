"""A disk that fails to deliver a page makes SQLite call the database damaged: it is set aside only if it is."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.entities import location
from bm_gitindex.entities.tie import is_whole
from bm_gitindex.errors import DatabaseDamagedError, LockHeldError, StateFolderError
from bm_gitindex.syncing import findings
from bm_gitindex.syncing.storing import Storing
from support.faults import deny_file
from support.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "vault")
    vault.write("one.md", "links to [[two]]\n")
    vault.write("two.md", "- [fact] two #t\n")
    vault.settled_sync()
    vault.write("one.md", "links to [[two]] still\n")
    return vault


def failing(real: Callable[..., object], times: int) -> Callable[..., object]:
    """Return a function that comes upon a page that cannot be read, so many times."""
    left = [times]

    def call(*arguments: object, **named: object) -> object:
        if left[0] == 0:
            return real(*arguments, **named)
        left[0] -= 1
        cause = sqlite3.DatabaseError("database disk image is malformed")
        cause.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise DatabaseDamagedError("damaged") from cause

    return call


def corrupt_files(vault: Vault) -> list[str]:
    return sorted(path.name for path in vault.state_path.iterdir() if ".corrupt-" in path.name)


@pytest.mark.parametrize(("place", "name"), [(Storing, "store"), (location, "read_project_state")])
def test_a_page_that_could_not_be_read_for_a_moment_costs_no_identity(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, place: object, name: str
) -> None:
    ids = vault.ids()
    monkeypatch.setattr(place, name, failing(getattr(place, name), 1))
    report = vault.sync()
    assert (report.modified, report.unchanged) == (1, 1)
    assert corrupt_files(vault) == []
    assert vault.ids() == ids
    assert vault.project.verify().ok


def test_a_database_that_fails_again_and_again_but_is_whole_is_left_alone(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = vault.ids()
    with monkeypatch.context() as patch:
        patch.setattr(Storing, "store", failing(Storing.store, 99))
        with pytest.raises(StateFolderError, match="check the disk"):
            vault.sync()
    assert corrupt_files(vault) == []
    vault.sync()
    assert vault.ids() == ids


def test_a_database_that_cannot_be_read_at_all_is_not_set_aside(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise StateFolderError(f"cannot read {path}")

    monkeypatch.setattr(findings, "read_through", refuse)
    monkeypatch.setattr(Storing, "store", failing(Storing.store, 1))
    with pytest.raises(StateFolderError, match="cannot read"):
        vault.sync()
    assert corrupt_files(vault) == []


def test_a_damaged_database_is_set_aside_with_its_log_and_no_statement_is_quoted(vault: Vault) -> None:
    pages = [page for (page,) in vault.rows("SELECT rootpage FROM sqlite_master WHERE tbl_name = 'entity'")]
    with vault.database_path.open("r+b") as file:
        for page in pages:
            assert isinstance(page, int)
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)
    assert not is_whole(vault.database_path)
    report = vault.sync()
    assert corrupt_files(vault)[0] == "entities.db.corrupt-1"
    (notice,) = [notice for notice in report.notices if "was damaged" in notice]
    assert "SELECT" not in notice
    assert vault.project.verify().ok


def test_a_log_that_sqlite_removed_while_it_looked_is_not_missed(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    log = vault.database_path.with_name("entities.db-wal")
    vault.database_path.write_bytes(b"no database at all" * 1000)
    log.write_bytes(b"old")

    def removed(path: Path) -> None:
        log.unlink(missing_ok=True)

    monkeypatch.setattr(findings, "read_through", removed)
    vault.sync()
    assert corrupt_files(vault) == ["entities.db.corrupt-1"]
    assert vault.project.verify().ok


def test_a_log_that_is_left_beside_a_damaged_database_is_set_aside_too(vault: Vault) -> None:
    vault.database_path.write_bytes(b"no database at all" * 1000)
    vault.database_path.with_name("entities.db-wal").write_bytes(b"old")
    vault.sync()
    assert {"entities.db.corrupt-1", "entities.db-wal.corrupt-1"} <= set(corrupt_files(vault))
    assert vault.project.verify().ok


def test_a_file_that_sqlite_cannot_open_is_neither_whole_nor_damaged(vault: Vault, tmp_path: Path) -> None:
    assert is_whole(vault.database_path)
    with pytest.raises(StateFolderError, match="cannot be read"):
        is_whole(tmp_path / "nowhere")


def test_without_descriptors_no_loop_is_begun(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe", refuse)
        with pytest.raises(OSError, match="Too many"):
            vault.sync()
    assert not (vault.state_path / "index.lock").exists()
    assert vault.sync().modified == 1


@pytest.mark.parametrize("also_lost", [False, True], ids=["index and database", "database alone"])
def test_a_moved_note_that_cannot_be_read_at_once_keeps_its_id(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, also_lost: bool
) -> None:
    ids = vault.ids()
    if also_lost:
        vault.index_path.unlink()
    # A copy has another inode: only its content says that it is the same note.
    (vault.root / "sub").mkdir()
    shutil.copyfile(vault.root / "two.md", vault.root / "sub/two.md")
    (vault.root / "two.md").unlink()
    with monkeypatch.context() as patch:
        deny_file(patch, b"sub/two.md")
        report = vault.sync()
        assert [failed.path for failed in report.failed] == [b"sub/two.md"]
        assert report.deleted == 0
        assert sorted(map(str, vault.ids())) == ["one.md", "two.md"]
    report = vault.sync()
    assert report.moved == 1
    assert vault.ids() == {"one.md": ids["one.md"], "sub/two.md": ids["two.md"]}
    assert vault.project.verify().ok


def test_a_note_that_is_gone_is_not_kept_for_a_new_one_of_another_size(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    (vault.root / "two.md").unlink()
    vault.write("other.md", "of another size than all others\n")
    deny_file(monkeypatch, b"other.md")
    assert vault.sync().deleted == 1


def test_a_database_that_another_program_has_locked_is_not_called_damaged(vault: Vault) -> None:
    with closing(sqlite3.connect(vault.database_path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LockHeldError):
            is_whole(vault.database_path)
    assert is_whole(vault.database_path)
