from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from bm_gitindex.entities.migrations import SCRIPT_LOCATION
from bm_gitindex.entities.schema import metadata
from bm_gitindex.entities.store import open_store
from bm_gitindex.entities.tie import SCHEMA_HEAD, SCHEMA_REVISIONS
from bm_gitindex.errors import SchemaUnsupportedError
from entities.builders import contents, rows

if TYPE_CHECKING:
    from pathlib import Path

DEFINITIONS = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic%' ORDER BY name"


def test_the_revisions_that_tie_knows_are_those_of_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", SCRIPT_LOCATION)
    scripts = ScriptDirectory.from_config(config)
    newest_first = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(newest_first)) == SCHEMA_REVISIONS
    assert scripts.get_current_head() == SCHEMA_HEAD


def test_alembic_finds_no_difference_between_migrations_and_tables(database: Path) -> None:
    engine = create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_sqlite_finds_none_either(database: Path, tmp_path: Path) -> None:
    """Unlike Alembic, this also compares checks, and the conditions of partial indexes."""
    engine = create_engine(f"sqlite:///{tmp_path / 'tables.db'}")
    metadata.create_all(engine)
    engine.dispose()
    assert _definitions(database) == _definitions(tmp_path / "tables.db")


async def test_newer_schema_is_refused_and_left_alone(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    entities = rows(database, "SELECT * FROM alembic_version")
    with pytest.raises(SchemaUnsupportedError, match=r"entities\.db: a newer release"):
        async with open_store(database):
            pass
    assert rows(database, "SELECT * FROM alembic_version") == entities
    assert list(contents(database.parent)) == ["entities.db"]


async def test_failed_migration_leaves_no_table_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_connection: object) -> None:
        upgrade(_connection)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    from bm_gitindex.entities import migrations

    upgrade = migrations.upgrade_to_head
    monkeypatch.setattr(migrations, "upgrade_to_head", fail)
    with pytest.raises(KeyboardInterrupt):
        async with open_store(tmp_path / "entities.db"):
            pass
    assert rows(tmp_path / "entities.db", "SELECT * FROM sqlite_master") == []


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


def test_opening_a_database_at_head_does_not_import_alembic(database: Path) -> None:
    program = f"""
import asyncio, pathlib, sys
from bm_gitindex.entities.store import open_store

async def main():
    async with open_store(pathlib.Path({str(database)!r})):
        sys.exit("alembic" in sys.modules)

asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def _definitions(database: Path) -> dict[str, str | None]:
    """Each definition without its line breaks, and with its parts in one order."""
    return {
        name: sql and " ".join(sorted(part.strip() for part in sql.split("\n")))
        for name, sql in rows(database, DEFINITIONS)
    }
