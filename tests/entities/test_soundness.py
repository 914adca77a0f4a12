from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.entities.reader import open_reader
from bm_gitindex.entities.soundness import damage_told, find_damage, require_sound
from bm_gitindex.entities.store import open_store
from bm_gitindex.errors import DatabaseDamagedError, EntityMissingError, StateWriteError
from entities.builders import attachment, contents, fact, note

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.sqlite_file


@pytest.fixture
async def filled(database: Path) -> Path:
    async with open_store(database) as store:
        await store.put([note("a.md", observations=(fact("x"),), links=("b",)), attachment("b.pdf")])
        await store.resolve_links()
    return database


def change(database: Path, statement: str) -> None:
    """Run a statement that no constraint keeps from making nonsense."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement)


NONSENSE = [
    "UPDATE entity SET blob_id = 'no id' WHERE id = 1",
    "UPDATE entity SET blob_id = 'zz' || substr(blob_id, 3) WHERE id = 1",
    "UPDATE entity SET title = x'00' WHERE id = 1",
    "UPDATE entity SET external_id = x'00' WHERE id = 1",
    "UPDATE entity SET sketch = 'text' WHERE id = 1",
    "UPDATE entity SET title = CAST(x'ff' AS TEXT) WHERE id = 1",
    "UPDATE entity SET tags = '[' WHERE id = 1",
    f"UPDATE entity SET metadata = '{'[' * 100_000}' WHERE id = 1",
    "UPDATE entity SET created_at = 'yesterday' WHERE id = 1",
    "UPDATE entity SET kind = 'thing' WHERE id = 1",
    "UPDATE entity SET size_bytes = 'many' WHERE id = 1",
    "UPDATE entity SET project_id = 7 WHERE id = 1",
    "UPDATE observation SET entity_id = 7",
    "UPDATE relation SET to_id = 7",
    "INSERT INTO project SELECT 7, 'other', 1, NULL, '', 0, 0, NULL, NULL FROM project",
    "DROP TABLE observation",
    "ALTER TABLE entity DROP COLUMN content_type",
]


@pytest.mark.parametrize("statement", NONSENSE)
def test_nonsense_in_any_column_is_found(filled: Path, statement: str) -> None:
    assert find_damage(filled) is None
    require_sound(filled)
    change(filled, statement)
    assert find_damage(filled)
    with pytest.raises(DatabaseDamagedError, match="keeps it aside"):
        require_sound(filled)


def test_damage_to_pages_is_found(filled: Path) -> None:
    data = filled.read_bytes()
    filled.write_bytes(data[:8192] + bytes(4096) + data[12_288:])
    assert find_damage(filled)
    filled.write_bytes(data[:18] + b"\xff" + data[19:])
    assert find_damage(filled)
    filled.write_bytes(b"text " * 1000)
    assert find_damage(filled)


def test_what_cannot_be_looked_at_is_not_called_damaged(filled: Path, tmp_path: Path) -> None:
    assert find_damage(tmp_path / "none") is None
    assert find_damage(tmp_path) is None
    with closing(sqlite3.connect(filled, isolation_level=None, timeout=0)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        assert find_damage(filled) is None


def test_a_database_without_any_table_is_one_that_was_never_filled(tmp_path: Path) -> None:
    database = tmp_path / "entities.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    assert database.stat().st_size > 0
    assert find_damage(database) is None
    with pytest.raises(OSError, match="Too many"), damage_told(database):
        raise OSError(24, "Too many open files")


def test_looking_changes_nothing(filled: Path) -> None:
    before = contents(filled.parent)
    find_damage(filled)
    assert contents(filled.parent) == before


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), EntityMissingError("x")])
def test_an_error_is_blamed_on_a_database_only_if_it_is_damaged(filled: Path, error: Exception) -> None:
    with pytest.raises(type(error)), damage_told(filled):
        raise error
    change(filled, "UPDATE entity SET kind = 'thing'")
    with pytest.raises(DatabaseDamagedError, match="thing"), damage_told(filled):
        raise error


def test_an_error_that_says_what_it_is_stays_as_it_is(filled: Path) -> None:
    change(filled, "UPDATE entity SET kind = 'thing'")
    with pytest.raises(StateWriteError), damage_told(filled):
        raise StateWriteError("disk full")


UNREADABLE = [
    "UPDATE entity SET title = x'00' WHERE id = 1",
    "UPDATE entity SET size_bytes = 'many' WHERE id = 1",
    "UPDATE entity SET metadata = '[]' WHERE id = 1",
    "UPDATE entity SET metadata = '{' WHERE id = 1",
    "UPDATE entity SET tags = '[1]' WHERE id = 1",
    "UPDATE observation SET content = x'00'",
    "UPDATE observation SET tags = '[1]'",
    "UPDATE observation SET tags = '7'",
    "UPDATE relation SET type = CAST(x'ff' AS TEXT)",
    "UPDATE relation SET context = x'00'",
]


@pytest.mark.parametrize("statement", UNREADABLE)
async def test_an_entity_that_makes_no_sense_is_not_given_out(filled: Path, statement: str) -> None:
    async def look_up() -> None:
        async with open_reader(filled) as entities:
            await entities.get("a.md")

    await look_up()
    change(filled, statement)
    with pytest.raises(DatabaseDamagedError):
        await look_up()
