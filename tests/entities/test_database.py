from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex.entities import database as database_module
from bm_gitindex.entities.database import Database, open_for_writing
from bm_gitindex.entities.reader import open_reader
from bm_gitindex.entities.sqliteerrors import translated
from bm_gitindex.entities.store import EntityStore, open_store
from bm_gitindex.errors import DatabaseDamagedError, LockHeldError, StateWriteError
from entities.builders import contents, damage, fact, modes, note, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection


pytestmark = pytest.mark.sqlite_file


async def test_new_database_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "entities.db"
    async with open_store(path):
        assert modes(tmp_path) == {0o600}
    assert modes(tmp_path) == {0o600}


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?mode=memory.db", "a#b.db", "%41.db", "file:x.db"])
async def test_any_name_can_be_opened(tmp_path: Path, name: str) -> None:
    async with open_store(tmp_path / name) as store:
        await store.put([note("a.md")])
    assert list(contents(tmp_path)) == [name]
    async with open_reader(tmp_path / name) as entities:
        assert await entities.count() == 1


async def test_name_that_is_not_utf8_can_be_opened(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.db")
    async with open_store(path) as store:
        await store.put([note("a.md")])
    async with open_reader(path) as entities:
        assert await entities.count() == 1


async def test_closed_database_is_a_single_file(store: EntityStore, database: Path) -> None:
    await store.put([note("a.md")])
    assert set(contents(database.parent)) == {"entities.db", "entities.db-wal", "entities.db-shm"}
    async with open_store(database.with_name("other.db")):
        pass
    assert "other.db-wal" not in contents(database.parent)


async def test_open_reader_does_not_keep_a_writer_from_closing(database: Path) -> None:
    async with open_reader(database) as entities:
        async with open_store(database) as store:
            await store.put([note("a.md")])
            assert await entities.count() == 1
        assert contents(database.parent)["entities.db-wal"] == b""
        assert await entities.count() == 1
    before = contents(database.parent)
    async with open_reader(database) as entities:
        assert await entities.count() == 1
    assert contents(database.parent).keys() == before.keys()
    async with open_store(database):
        pass
    assert list(contents(database.parent)) == ["entities.db"]


async def test_without_wal_the_rollback_journal_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "entities.db"

    async def without_wal(connection: AsyncConnection, setting: str) -> Any:
        if setting == "journal_mode = WAL":
            raise sqlite3.OperationalError("locking protocol")
        return await pragma(connection, setting)

    pragma = database_module._pragma
    monkeypatch.setattr(database_module, "_pragma", without_wal)
    async with open_for_writing(database) as opened, opened.transaction() as connection:
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "delete"
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == 2
        await connection.exec_driver_sql("CREATE TABLE kept (number INTEGER)")
    assert rows(database, "SELECT COUNT(*) FROM kept") == [(0,)]


async def test_transaction_that_fails_changes_nothing(database: Path) -> None:
    async def fail(opened: Database) -> None:
        async with opened.transaction() as connection:
            await connection.exec_driver_sql("UPDATE project SET parsed_by = 'x'")
            raise KeyError

    async with open_for_writing(database) as opened:
        with pytest.raises(KeyError):
            await fail(opened)
        async with opened.transaction() as connection:
            assert (await connection.exec_driver_sql("SELECT parsed_by FROM project")).scalar() == ""


async def test_foreign_keys_are_enforced(database: Path) -> None:
    async with open_for_writing(database) as opened, opened.transaction() as connection:
        assert (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar() == 1


@pytest.mark.parametrize("content", [b"text " * 200, b"not a database, but a longer text " * 100])
async def test_file_of_other_content_is_damaged_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "entities.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseDamagedError, match=r"entities\.db: damaged.*keeps it aside"):
        async with open_store(path):
            pass
    assert path.read_bytes() == content


async def test_damage_deep_inside_is_reported_as_such(database: Path) -> None:
    async with open_store(database) as store:
        await store.put([note(f"{number}.md", observations=(fact("x" * 2000),)) for number in range(100)])
    damage(database)
    with pytest.raises(DatabaseDamagedError, match=r"entities\.db"):
        async with open_store(database) as store:
            await store.put([note(f"{number}.md") for number in range(100)])


async def test_database_of_another_program_is_damaged(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DROP TABLE entity")
    with pytest.raises(DatabaseDamagedError, match="no such table"):
        async with open_store(database) as store:
            await store.known([b"a.md"])


@pytest.mark.parametrize("loss", ["DELETE FROM alembic_version", "DROP TABLE alembic_version"])
async def test_tables_without_a_revision_are_damage(database: Path, loss: str) -> None:
    rows(database, loss)
    before = rows(database, "SELECT name FROM sqlite_master")
    with pytest.raises(DatabaseDamagedError, match="no revision"):
        async with open_store(database):
            pass
    assert rows(database, "SELECT name FROM sqlite_master") == before


async def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateWriteError, match=r"none/entities\.db: cannot be written.*writable"):
        async with open_store(tmp_path / "none" / "entities.db"):
            pass


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("elsewhere", path)])
async def test_what_is_no_file_is_refused_and_left_alone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "entities.db"
    make(path)
    before = path.lstat()
    with pytest.raises(StateWriteError, match=r"entities\.db: cannot be written"):
        async with open_store(path):
            pass
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert os.listdir(tmp_path) == ["entities.db"]


async def test_without_room_to_begin_nothing_is_begun(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(database.parent)
    room = SimpleNamespace(f_bavail=15, f_frsize=4096)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstatvfs", lambda _: room)
        with pytest.raises(StateWriteError, match=r"entities\.db: cannot be written \(No space left"):
            async with open_store(database):
                pass
        assert contents(database.parent) == before
        room.f_bavail = 16
        async with open_store(database) as store:
            await store.put([note("a.md")])


async def test_a_database_that_may_not_be_written_is_read_all_the_same(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(database) as store:
        await store.put([note("a.md")])
    before = contents(database.parent)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    async with open_reader(database) as entities:
        assert await entities.count() == 1
        assert contents(database.parent) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_read_only_folder_is_named(database: Path) -> None:
    database.parent.chmod(0o500)
    try:
        with pytest.raises(StateWriteError, match=r"entities\.db: cannot be written.*writable"):
            async with open_store(database) as store:
                await store.put([note("a.md")])
    finally:
        database.parent.chmod(0o700)


async def test_full_disk_is_named_and_nothing_is_lost(database: Path) -> None:
    async with open_for_writing(database) as opened:
        async with opened.transaction() as connection:
            pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar()
            await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StateWriteError, match=r"entities\.db: cannot be written.*full.*free some space"):
            async with opened.transaction() as connection:
                await connection.exec_driver_sql("CREATE TABLE much AS SELECT zeroblob(100000) AS zeros")
        async with opened.transaction() as connection:
            assert (await connection.exec_driver_sql("SELECT count(*) FROM project")).scalar() == 1


def test_write_to_a_read_only_database_is_named(database: Path) -> None:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("DELETE FROM project")
        assert isinstance(translated(caught.value, database), StateWriteError)


async def test_first_error_is_not_hidden_by_those_of_closing(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail_to_empty(_connection: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async def interrupted() -> None:
        async with open_for_writing(database):
            raise KeyboardInterrupt

    monkeypatch.setattr(database_module, "_empty_wal", fail_to_empty)
    with pytest.raises(KeyboardInterrupt):
        await interrupted()


async def test_other_programs_lock_is_named(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bm_gitindex.entities.database._BUSY_TIMEOUT_MS", 0)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LockHeldError, match=r"entities\.db: another program is using it"):
            async with open_store(database):
                pass


async def test_a_fault_of_this_program_is_raised_as_it_is(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = sqlite3.ProgrammingError("wrong number of bindings")

    async def fail(_connection: object) -> None:
        raise fault

    monkeypatch.setattr(database_module, "_enter_wal", fail)
    with pytest.raises(sqlite3.ProgrammingError) as caught:
        async with open_for_writing(database):
            pass
    assert caught.value is fault


def test_faults_of_this_program_are_not_blamed_on_the_file(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("SELEC")
        assert translated(caught.value, database) is None


def _error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "reported", "advice"),
    [
        (sqlite3.SQLITE_CORRUPT, DatabaseDamagedError, "keeps it aside"),
        (sqlite3.SQLITE_CORRUPT_VTAB, DatabaseDamagedError, "keeps it aside"),
        (sqlite3.SQLITE_NOTADB, DatabaseDamagedError, "keeps it aside"),
        (sqlite3.SQLITE_BUSY, LockHeldError, "try again"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, LockHeldError, "try again"),
        (sqlite3.SQLITE_LOCKED, LockHeldError, "try again"),
        (sqlite3.SQLITE_FULL, StateWriteError, "free some space"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StateWriteError, "writable"),
        (sqlite3.SQLITE_PERM, StateWriteError, "writable"),
        (sqlite3.SQLITE_CANTOPEN, StateWriteError, "writable"),
        (sqlite3.SQLITE_IOERR_WRITE, StateWriteError, "check the disk"),
    ],
)
def test_what_sqlite_reports_is_told_with_what_to_do(
    database: Path, code: int, reported: type[Exception], advice: str
) -> None:
    told = translated(_error(code), database)
    assert type(told) is reported
    assert str(told).startswith(f"{database}: ")
    assert "what SQLite says" in str(told)
    assert advice in str(told)


@pytest.mark.parametrize(
    ("free_blocks", "advice"), [(0, "free some space"), (1, "check the disk"), (None, "check the disk")]
)
def test_an_error_of_the_disk_is_taken_for_a_full_one_only_where_it_is_full(
    database: Path, monkeypatch: pytest.MonkeyPatch, free_blocks: int | None, advice: str
) -> None:
    def statvfs(_: Path) -> SimpleNamespace:
        if free_blocks is None:
            raise OSError
        return SimpleNamespace(f_bavail=free_blocks)

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert advice in str(translated(_error(sqlite3.SQLITE_IOERR), database))
    assert "writable" in str(translated(_error(sqlite3.SQLITE_READONLY), database))
