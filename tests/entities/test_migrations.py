from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from bm_gitindex.entities.creation import create_schema
from bm_gitindex.entities.migrations import SCRIPT_LOCATION, downgrade_to, upgrade_to, upgrade_to_head
from bm_gitindex.entities.schema import metadata
from bm_gitindex.entities.store import open_store
from bm_gitindex.entities.tie import SCHEMA_HEAD, SCHEMA_REVISIONS
from bm_gitindex.errors import SchemaUnsupportedError
from entities.builders import contents, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

pytestmark = pytest.mark.sqlite_file

DEFINITIONS = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic%' ORDER BY name"

OLD_DATA = """
    INSERT INTO project VALUES (1, 'local', 1, NULL, '2-abc', 2, 0);
    INSERT INTO entity VALUES (9, 1, 'gone.md', 'note', '', hex(zeroblob(20)), 0, 0, 'gone', 1, 'note',
        NULL, NULL, '2020-01-01 00:00:00.000000', '2020-01-01 00:00:00.000000', 0, '[]', '{}', '[]', '');
    DELETE FROM entity;
    INSERT INTO entity SELECT 1, 1, 'a.md', 'note', 'text/markdown', hex(zeroblob(20)), 0, 0, 'a', 1, 'note',
        'a', 'a', '2020-01-01 00:00:00.000000', '2020-01-01 00:00:00.000000', 0, '["a", "b c", ""]', '{}', '[]', '';
    INSERT INTO entity SELECT 7, 1, 'b.md', 'note', 'text/markdown', hex(zeroblob(20)), 0, 0, 'b', 1, 'note',
        'b', 'b', '2020-01-01 00:00:00.000000', '2020-01-01 00:00:00.000000', 0, '[]', '{}', '[]', '';
    INSERT INTO observation VALUES (1, 1, 0, 'note', 'x', '["a", "é"]', NULL);
    INSERT INTO observation VALUES (2, 7, 0, 'note', 'y', '["a"]', NULL);
    INSERT INTO relation VALUES (1, 1, 1, 0, 'links_to', 'b', 'b', 'b', 'b', 7, 0, NULL);
    INSERT INTO file_failure VALUES (1, 1, 'c.md', 'e', 1, '2020-01-01 00:00:00.000000',
        '2020-01-01 00:00:00.000000', 0, 0, 0);
    INSERT INTO sync_run VALUES (1, 1, '2020-01-01 00:00:00.000000', '2020-01-01 00:00:00.000000', 1, '{}');
"""


def test_the_revisions_that_tie_knows_are_those_of_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", SCRIPT_LOCATION)
    scripts = ScriptDirectory.from_config(config)
    newest_first = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(newest_first)) == SCHEMA_REVISIONS
    assert scripts.get_current_head() == SCHEMA_HEAD


@pytest.fixture(params=["made at once", "migrated"])
def newest(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database with the present schema, by either way to it."""
    database = tmp_path / "newest.db"
    _migrate(database, create_schema if request.param == "made at once" else upgrade_to_head)
    return database


def test_alembic_finds_no_difference_between_schema_and_tables(newest: Path) -> None:
    engine = create_engine(f"sqlite:///{newest}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_sqlite_finds_none_either(newest: Path, tmp_path: Path) -> None:
    """Unlike Alembic, this also compares checks, and the conditions of partial indexes."""
    engine = create_engine(f"sqlite:///{tmp_path / 'tables.db'}")
    metadata.create_all(engine)
    engine.dispose()
    assert _definitions(newest) == _definitions(tmp_path / "tables.db")


def test_alembic_cannot_tell_by_its_own_table_how_a_database_was_made(tmp_path: Path) -> None:
    query = (
        "SELECT sql, version_num FROM sqlite_master, alembic_version WHERE tbl_name = 'alembic_version' AND sql > ''"
    )
    found = []
    for name, make in {"once.db": create_schema, "migrated.db": upgrade_to_head}.items():
        _migrate(tmp_path / name, make)
        ((sql, revision),) = rows(tmp_path / name, query)
        found.append((" ".join(sql.split()), revision))
    assert found[0] == found[1]
    assert found[0][1] == SCHEMA_HEAD


def test_upgrades_and_downgrades_keep_the_data(tmp_path: Path) -> None:
    database = tmp_path / "old.db"
    _migrate(database, lambda connection: upgrade_to(connection, "0001"))
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.executescript(OLD_DATA)
    old = _everything(database)
    _migrate(database, upgrade_to_head)
    external_ids = [row[0] for row in rows(database, "SELECT external_id FROM entity ORDER BY id")]
    assert [len(str(UUID(external_id))) for external_id in external_ids] == [36, 36]
    assert len(set(external_ids)) == 2
    assert rows(database, "SELECT entity_id, tag FROM entity_tag ORDER BY entity_id, tag") == [
        (1, "a"),
        (1, "b c"),
        (1, "é"),
        (7, "a"),
    ]
    assert rows(database, "SELECT seq FROM sqlite_sequence WHERE name = 'entity'") == [(9,)]
    _migrate(database, lambda connection: downgrade_to(connection, "0001"))
    assert _everything(database) == old
    _migrate(database, upgrade_to_head)
    assert len(rows(database, "SELECT * FROM entity_tag")) == 4
    _migrate(database, lambda connection: downgrade_to(connection, "base"))
    assert [name for (name,) in rows(database, "SELECT name FROM sqlite_master WHERE type = 'table'")] == [
        "alembic_version",
        "sqlite_sequence",
    ]


async def test_newer_schema_is_refused_and_left_alone(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    entities = rows(database, "SELECT * FROM alembic_version")
    with pytest.raises(SchemaUnsupportedError, match=r"entities\.db: a newer release"):
        async with open_store(database):
            pass
    assert rows(database, "SELECT * FROM alembic_version") == entities
    assert list(contents(database.parent)) == ["entities.db"]


@pytest.mark.parametrize(
    ("old", "step"),
    [
        (None, "bm_gitindex.entities.database.create_schema"),
        ("0001", "bm_gitindex.entities.migrations.upgrade_to_head"),
    ],
)
async def test_what_fails_to_make_the_schema_leaves_no_table_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str | None, step: str
) -> None:
    database = tmp_path / "entities.db"
    if old is not None:
        _migrate(database, lambda connection: upgrade_to(connection, old))
    before = rows(database, "SELECT * FROM sqlite_master")
    real = resolve_name(step)

    def fail(connection: Connection) -> None:
        real(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr(step, fail)
    with pytest.raises(KeyboardInterrupt):
        async with open_store(database):
            pass
    assert rows(database, "SELECT * FROM sqlite_master") == before


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("bm_gitindex.entities.tie", "sqlalchemy"),
        ("bm_gitindex.entities.records", "sqlalchemy"),
        ("bm_gitindex.entities.store", "alembic"),
        ("bm_gitindex.entities.reader", "alembic"),
    ],
)
def test_import_costs_no_more_than_it_must(module: str, absent: str) -> None:
    program = f"import sys, {module}; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("is_new", [True, False])
def test_neither_making_a_database_nor_opening_it_imports_alembic(database: Path, *, is_new: bool) -> None:
    if is_new:
        database.unlink()
    program = f"""
import asyncio, pathlib, sys
from bm_gitindex.entities.store import open_store

async def main():
    async with open_store(pathlib.Path({str(database)!r})):
        sys.exit("alembic" in sys.modules)

asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def _migrate(database: Path, migration: Callable[[Connection], None]) -> None:
    """Run a migration in one transaction, with foreign keys enforced, as the program does."""
    engine = create_engine(f"sqlite:///{database}", connect_args={"isolation_level": None})
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        migration(connection)
        connection.exec_driver_sql("COMMIT")
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    engine.dispose()


def _everything(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    tables = rows(database, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return {name: rows(database, f"SELECT * FROM {name} ORDER BY 1") for (name,) in tables}


def _definitions(database: Path) -> dict[str, list[str] | None]:
    """Each definition as its parts in one order, whatever the line breaks: a column added later stands last."""
    return {name: sql and _parts(sql) for name, sql in rows(database, DEFINITIONS)}


def _parts(sql: str) -> list[str]:
    """What stands between the commas of the outermost parentheses, with what stands before and after those."""
    depth = 0
    parts = [""]
    for character in sql:
        depth += (character == "(") - (character == ")")
        if (character == "," and depth == 1) or (character in "()" and depth == (character == "(")):
            parts.append("")
        else:
            parts[-1] += character
    return sorted(" ".join(part.split()) for part in parts)
