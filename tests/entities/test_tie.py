from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.entities.store import EntityStore, open_store
from bm_gitindex.entities.tie import SCHEMA_HEAD, read_file_count, read_project_state
from bm_gitindex.errors import DatabaseDamagedError, SchemaUnsupportedError, StateFolderError
from entities.builders import contents, note, rows, state, sync_run
from support.faults import raising

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.sqlite_file


async def test_state_is_that_of_the_last_closed_sync(database: Path) -> None:
    async with open_store(database) as store:
        await store.open_tie()
        await store.close_tie(state(), sync_run())
    assert read_project_state(database) == state()


async def test_new_database_has_an_open_tie(database: Path) -> None:
    before_first_sync = read_project_state(database)
    assert before_first_sync is not None
    assert (before_first_sync.tie_closed, before_first_sync.index_trailer) == (False, None)


def test_absent_file_says_nothing_and_is_not_created(tmp_path: Path) -> None:
    assert read_project_state(tmp_path / "entities.db") is None
    assert read_project_state(tmp_path / "none" / "entities.db") is None
    assert contents(tmp_path) == {}


def test_empty_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "entities.db").touch()
    assert read_project_state(tmp_path / "entities.db") is None
    assert contents(tmp_path) == {"entities.db": b""}


def test_database_without_tables_or_project_says_nothing(tmp_path: Path, database: Path) -> None:
    other = tmp_path / "other.db"
    rows(other, "PRAGMA user_version = 1")
    assert read_project_state(other) is None
    _execute(database, "DELETE FROM project")
    assert read_project_state(database) is None


@pytest.mark.parametrize("loss", ["DELETE FROM alembic_version", "DROP TABLE alembic_version"])
def test_tables_without_a_revision_are_damage(database: Path, loss: str) -> None:
    rows(database, loss)
    with pytest.raises(DatabaseDamagedError):
        read_project_state(database)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_READONLY_CANTLOCK])
def test_what_cannot_be_read_is_not_damage_and_no_failure_to_write(
    database: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    monkeypatch.setattr(sqlite3, "connect", raising(error))
    with pytest.raises(StateFolderError, match=r"entities\.db: cannot be read \(what SQLite says\)"):
        read_project_state(database)


def test_database_of_another_program_is_damage(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    rows(other, "CREATE TABLE something (id INTEGER)")
    with pytest.raises(DatabaseDamagedError, match="another program"):
        read_project_state(other)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM alembic_version",
        "UPDATE alembic_version SET version_num = '12ab34cd'",
        "UPDATE alembic_version SET version_num = x'ff'",
        "UPDATE alembic_version SET version_num = CAST(x'ff' AS TEXT)",
        "UPDATE project SET tie_closed = 'no'",
        "UPDATE project SET entries_at_full_sync = x'00'",
        "UPDATE project SET index_trailer = zeroblob(40)",
        "UPDATE project SET parsed_by = CAST(x'ff' AS TEXT)",
    ],
)
def test_value_that_makes_no_sense_is_damage(database: Path, statement: str) -> None:
    _execute(database, statement)
    with pytest.raises(DatabaseDamagedError, match=r"entities\.db: damaged.*keeps it aside"):
        read_project_state(database)


@pytest.mark.parametrize("write_format", [0x03, 0x82, 0xFF])
def test_header_that_would_forbid_writing_is_damage(database: Path, write_format: int) -> None:
    data = database.read_bytes()
    database.write_bytes(data[:18] + bytes([write_format]) + data[19:])
    with pytest.raises(DatabaseDamagedError, match="header"):
        read_project_state(database)


def test_what_sqlite_cannot_make_sense_of_is_damage(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = sqlite3.OperationalError("unsupported file format")
    error.sqlite_errorcode = sqlite3.SQLITE_ERROR
    monkeypatch.setattr(sqlite3, "connect", raising(error))
    with pytest.raises(DatabaseDamagedError, match="unsupported file format"):
        read_project_state(database)


def test_older_schema_says_nothing(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bm_gitindex.entities.tie.SCHEMA_HEAD", "0003")
    monkeypatch.setattr("bm_gitindex.entities.tie.SCHEMA_REVISIONS", (SCHEMA_HEAD, "0003"))
    assert read_project_state(database) is None


def test_newer_schema_is_refused_by_name(database: Path) -> None:
    _execute(database, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaUnsupportedError, match=r"entities\.db: a newer release .* upgrade bm-gitindex"):
        read_project_state(database)


@pytest.mark.parametrize("content", [b"text " * 200, b"not a database, but a longer text " * 100, bytes(4096)])
def test_other_content_is_damage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "entities.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseDamagedError, match=r"entities\.db: damaged.*keeps it aside"):
        read_project_state(path)
    assert contents(tmp_path) == {"entities.db": content}


def test_truncated_database_is_damage(database: Path) -> None:
    os.truncate(database, 5000)
    with pytest.raises(DatabaseDamagedError):
        read_project_state(database)


def test_impossible_trailer_is_damage(database: Path) -> None:
    _execute(database, f"UPDATE project SET index_trailer = '{'z' * 40}'")
    with pytest.raises(DatabaseDamagedError):
        read_project_state(database)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_not_damage(database: Path) -> None:
    database.chmod(0)
    with pytest.raises(StateFolderError, match="cannot be read"):
        read_project_state(database)


def test_folder_in_its_place_is_not_damage(tmp_path: Path) -> None:
    with pytest.raises(StateFolderError, match="cannot be read"):
        read_project_state(tmp_path)


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "a#b.db", "%41.db", "é&mode=rw.db"])
def test_any_name_can_be_read(tmp_path: Path, database: Path, name: str) -> None:
    path = tmp_path / name / name
    path.parent.mkdir()
    shutil.copy(database, path)
    assert read_project_state(path) is not None
    assert list(contents(path.parent)) == [name]


def test_reading_leaves_every_byte_as_it_was(database: Path) -> None:
    before = contents(database.parent)
    assert read_project_state(database) is not None
    assert contents(database.parent) == before
    assert list(before) == ["entities.db"]


@pytest.mark.parametrize("left_behind", [(), ("-wal",), ("-shm",), ("-wal", "-shm")])
def test_reading_a_wal_database_that_nobody_has_open_leaves_nothing_behind(
    database: Path, left_behind: tuple[str, ...]
) -> None:
    _execute(database, "PRAGMA journal_mode = WAL")
    for ending in left_behind:
        database.with_name(database.name + ending).touch()
    before = contents(database.parent)
    assert read_project_state(database) is not None
    after = contents(database.parent)
    assert after.keys() == before.keys()
    assert after["entities.db"] == before["entities.db"]


async def test_what_a_writer_has_committed_is_seen_while_it_writes(store: EntityStore, database: Path) -> None:
    await store.close_tie(state(), sync_run())
    before = contents(database.parent)
    assert set(before) == {"entities.db", "entities.db-wal", "entities.db-shm"}
    assert read_project_state(database) == state()
    after = contents(database.parent)
    assert set(after) == set(before)
    assert after["entities.db"] == before["entities.db"]
    assert after["entities.db-wal"] == before["entities.db-wal"]


async def test_hot_wal_of_a_crashed_writer_is_read_in_place(store: EntityStore, database: Path, tmp_path: Path) -> None:
    await store.close_tie(state(), sync_run())
    crashed = tmp_path / "crashed"
    shutil.copytree(database.parent, crashed)
    before = contents(crashed)
    assert read_project_state(crashed / "entities.db") == state()
    after = contents(crashed)
    assert set(after) == set(before)
    assert after["entities.db"] == before["entities.db"]
    assert after["entities.db-wal"] == before["entities.db-wal"]


async def test_hot_wal_alone_waits_for_the_writer(store: EntityStore, database: Path, tmp_path: Path) -> None:
    await store.close_tie(state(), sync_run())
    copied = tmp_path / "copied"
    shutil.copytree(database.parent, copied, ignore=shutil.ignore_patterns("*-shm"))
    before = contents(copied)
    assert read_project_state(copied / "entities.db") is None
    assert contents(copied) == before
    async with open_store(copied / "entities.db") as recovered:
        assert await recovered.state() == state()


async def test_hot_rollback_journal_waits_for_the_writer(database: Path, tmp_path: Path) -> None:
    async with open_store(database) as store:
        await store.close_tie(state(), sync_run())
    crashed = tmp_path / "crashed"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE project SET tie_closed = 0")
        # More than the cache holds, so that pages of the transaction reach the file before it ends.
        connection.execute("CREATE TABLE much AS SELECT hex(zeroblob(100000)) AS zeros")
        shutil.copytree(database.parent, crashed)
    before = contents(crashed)
    assert "entities.db-journal" in before
    assert read_project_state(crashed / "entities.db") is None
    assert contents(crashed) == before
    async with open_store(crashed / "entities.db") as recovered:
        assert await recovered.state() == state()


async def test_interrupted_sync_leaves_the_tie_open(database: Path) -> None:
    async def interrupted() -> None:
        async with open_store(database) as store:
            await store.open_tie()
            await store.put([note("a.md")])
            raise KeyboardInterrupt

    async with open_store(database) as store:
        await store.open_tie()
        await store.close_tie(state(), sync_run())
    with pytest.raises(KeyboardInterrupt):
        await interrupted()
    assert read_project_state(database) == state(tie_closed=False)
    assert rows(database, "SELECT file_path FROM entity") == [("a.md",)]


def _execute(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(statement)


async def test_how_many_files_are_known_is_told_before_there_are_any(database: Path, tmp_path: Path) -> None:
    never_filled = tmp_path / "new.db"
    assert read_file_count(never_filled) == 0
    with closing(sqlite3.connect(never_filled)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    assert read_file_count(never_filled) == 0
    async with open_store(database) as store:
        await store.put([note("a.md"), note("b.md")])
    assert read_file_count(database) == 2
