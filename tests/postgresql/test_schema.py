"""One schema, one history: on a server too, with data in place, and with several at work at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from bm_gitindex.entities import claims, serverdatabase
from bm_gitindex.entities.creation import create_schema
from bm_gitindex.entities.migrations import downgrade_to, upgrade_to, upgrade_to_head
from bm_gitindex.entities.postgresql import connect
from bm_gitindex.entities.remote import ServerDatabase
from bm_gitindex.entities.schema import metadata
from bm_gitindex.entities.store import open_store
from bm_gitindex.entities.tie import SCHEMA_HEAD, SCHEMA_REVISIONS
from bm_gitindex.statefolder import StateFolder
from support.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

    from support.postgresql import Database

# Checks, the conditions of indexes and collations, which Alembic does not compare.
DEFINITIONS = """
    SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conname NOT LIKE 'alembic%'
    UNION SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'alembic%'
    UNION SELECT table_name || '.' || column_name,
        concat_ws(' ', data_type, collation_name, is_nullable, character_maximum_length, column_default)
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'alembic%' ORDER BY 1, 2"""

OLD_DATA = """
    INSERT INTO project (name, tie_closed, parsed_by, entries_at_full_sync, deleted_since_full_sync)
    VALUES ('old', true, '2-abc', 2, 0);
    INSERT INTO entity (project_id, file_path, kind, content_type, blob_id, size_bytes, mtime_ns, title,
        title_from_path, type, permalink, alias_key, created_at, updated_at, updated_at_from_note, tags, metadata,
        warnings, parsed_by)
    SELECT 1, name || '.md', 'note', 'text/markdown', repeat('0', 40), 0, 0, name, true, 'note', name, name,
        '2020-01-01Z', '2020-01-01Z', false, tags::json, '{}', '[]', ''
    FROM (VALUES ('a', '["a", "b c", ""]'), ('b', '[]')) AS given (name, tags);
    INSERT INTO observation (entity_id, position, category, content, tags) VALUES (1, 0, 'note', 'x', '["a", "é"]');
    INSERT INTO relation (project_id, from_id, position, type, target, target_name, target_key, target_alias, to_id,
        pending) VALUES (1, 1, 0, 'links_to', 'b', 'b', 'b', 'b', 2, false);
    INSERT INTO sync_run (project_id, started_at, finished_at, "full", counts)
    VALUES (1, '2020-01-01Z', '2020-01-01Z', true, '{}');
"""


def run(database: Database, work: Callable[[Connection], Any]) -> Any:
    """Run something that is not async in one transaction, as the program does."""

    async def begin() -> Any:
        engine = create_async_engine("postgresql+asyncpg://", async_creator=partial(connect, database.at))
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(begin())


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    tables = database.rows("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    return {name: database.rows(f"SELECT to_json(t)::text FROM {name} AS t ORDER BY 1") for (name,) in tables}


@pytest.mark.parametrize("make", [create_schema, upgrade_to_head])
def test_alembic_finds_no_difference_between_schema_and_tables(
    blank: Database, make: Callable[[Connection], None]
) -> None:
    run(blank, make)
    assert run(blank, lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)) == []


def test_postgresql_finds_none_either(database: Database, blank: Database) -> None:
    run(blank, upgrade_to_head)
    assert database.rows(DEFINITIONS) == blank.rows(DEFINITIONS)
    assert database.rows("SELECT * FROM alembic_version") == blank.rows("SELECT * FROM alembic_version")


def test_names_compare_by_their_bytes(database: Database) -> None:
    query = """SELECT table_name || '.' || column_name FROM information_schema.columns
               WHERE table_schema = 'public' AND collation_name = 'C' ORDER BY 1"""
    named = {name for (name,) in database.rows(query)}
    assert {"entity.file_path", "entity.title", "entity.permalink", "entity_tag.tag", "relation.target_key"} <= named


@pytest.mark.parametrize("old", SCHEMA_REVISIONS[:-1])
def test_upgrades_and_downgrades_keep_the_data(blank: Database, old: str) -> None:
    run(blank, lambda connection: upgrade_to(connection, "0001"))
    blank.execute(OLD_DATA)
    run(blank, lambda connection: upgrade_to(connection, old))
    before = everything(blank)
    run(blank, upgrade_to_head)
    external_ids = blank.rows("SELECT external_id FROM entity")
    assert len(set(external_ids)) == 2
    assert blank.rows("SELECT entity_id, tag FROM entity_tag ORDER BY 1, 2") == [(1, "a"), (1, "b c"), (1, "é")]
    assert blank.rows("SELECT last_value FROM entity_id_seq") == [(2,)]
    run(blank, lambda connection: downgrade_to(connection, old))
    assert everything(blank) == before
    run(blank, upgrade_to_head)
    assert blank.rows("SELECT count(*) FROM entity_tag") == [(3,)]
    run(blank, lambda connection: downgrade_to(connection, "base"))
    assert list(everything(blank)) == ["alembic_version"]


def test_a_sync_brings_an_older_schema_up_to_date(vault: Vault, blank: Database) -> None:
    run(blank, lambda connection: upgrade_to(connection, SCHEMA_REVISIONS[0]))
    vault = Vault(vault.root, database=blank)
    assert vault.sync().added == 3
    assert blank.rows("SELECT version_num FROM alembic_version") == [(SCHEMA_HEAD,)]
    run(blank, lambda connection: downgrade_to(connection, SCHEMA_REVISIONS[0]))
    assert not vault.project.verify().ok
    assert vault.sync(paranoid=True).counts["unchanged"] == 3  # what the older schema could not hold is stored again
    assert vault.project.verify().ok


def test_a_database_that_was_taken_back_to_nothing_can_be_filled_again(vault: Vault) -> None:
    vault.sync()
    assert vault.database is not None
    run(vault.database, lambda connection: downgrade_to(connection, "base"))
    vault.sync()
    assert vault.project.verify().ok


def test_projects_that_open_a_new_database_at_once_do_not_collide(blank: Database, tmp_path: Path) -> None:
    states = []
    for number in range(6):
        (tmp_path / str(number)).mkdir()
        state = StateFolder(tmp_path / str(number))
        state.ensure()
        states.append(state)

    async def open_all() -> None:
        async with AsyncExitStack() as stack:
            locations = [ServerDatabase(blank.at, state) for state in states]
            await asyncio.gather(*(stack.enter_async_context(open_store(location)) for location in locations))

    asyncio.run(open_all())
    assert blank.rows("SELECT version_num FROM alembic_version") == [(SCHEMA_HEAD,)]
    assert blank.rows("SELECT count(*), count(DISTINCT root) FROM project") == [(6, 6)]


def test_tables_that_cannot_all_be_made_leave_none_behind(
    vault: Vault, blank: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: Connection) -> None:
        create_schema(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr(serverdatabase, "create_schema", fail)
    with pytest.raises(KeyboardInterrupt):
        Vault(vault.root, database=blank).sync()
    assert everything(blank) == {}


def test_a_failed_migration_changes_no_table(vault: Vault, blank: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from bm_gitindex.entities import migrations

    def fail(connection: Connection) -> None:
        upgrade_to_head(connection)
        raise KeyboardInterrupt

    run(blank, lambda connection: upgrade_to(connection, SCHEMA_REVISIONS[0]))
    before = blank.rows(DEFINITIONS)
    monkeypatch.setattr(migrations, "upgrade_to_head", fail)
    with pytest.raises(KeyboardInterrupt):
        Vault(vault.root, database=blank).sync()
    assert blank.rows(DEFINITIONS) == before


QUERIES = [
    ("SELECT id FROM relation WHERE project_id = 1 AND pending ORDER BY id LIMIT 9", "ix_relation_pending"),
    ("SELECT id FROM relation WHERE project_id = 1 AND target_key IN ('a', 'b')", "ix_relation_project_id_target_key"),
    ("SELECT id FROM relation WHERE to_id IN (1, 2)", "ix_relation_to_id"),
    ("SELECT id FROM entity WHERE project_id = 1 AND title = 'a' LIMIT 2", "ix_entity_project_id_title"),
    ("SELECT id FROM entity WHERE project_id = 1 AND alias_key = 'a' LIMIT 2", "ix_entity_project_id_alias_key"),
    ("SELECT id FROM entity WHERE project_id = 1 AND file_path IN ('a', 'b')", "uq_entity_project_id_file_path"),
    ("SELECT id FROM entity WHERE project_id = 1 AND permalink IN ('a', 'b')", "uq_entity_project_id_permalink"),
    (
        "SELECT id FROM entity WHERE project_id = 1 AND file_path > 'a' ORDER BY file_path LIMIT 500",
        "uq_entity_project_id_file_path",
    ),
]


MANY = """
    INSERT INTO project (name, tie_closed, parsed_by, entries_at_full_sync, deleted_since_full_sync)
    SELECT n::text, true, '', 0, 0 FROM generate_series(1, 2) AS n;
    INSERT INTO entity (project_id, file_path, kind, content_type, blob_id, size_bytes, mtime_ns, title,
        title_from_path, type, permalink, alias_key, created_at, updated_at, updated_at_from_note, tags, metadata,
        warnings, parsed_by, external_id)
    SELECT 1 + n % 2, n::text, 'note', '', repeat('0', 40), 0, 0, n::text, true, 'note', n::text, n::text, now(), now(),
        false, '[]', '{}', '[]', '', gen_random_uuid()::text FROM generate_series(1, 20000) AS n;
    INSERT INTO relation (project_id, from_id, position, type, target, target_name, target_key, target_alias, to_id,
        pending) SELECT project_id, id, 0, '', '', '', title, '', id, id % 1000 = 0 FROM entity;
    ANALYZE"""


def test_queries_of_every_sync_use_their_index(database: Database) -> None:
    database.execute(MANY)
    for query, index in QUERIES:
        plan = [line for (line,) in database.rows(f"EXPLAIN {query}")]
        assert any(index in line for line in plan), (query, plan)


def test_the_lock_is_held_until_the_project_is_settled(
    vault: Vault, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordinary = claims.settle
    held: list[bool] = []

    async def settle(*arguments: Any) -> Any:
        key = serverdatabase._OPENING
        held.append(database.rows("SELECT pg_try_advisory_xact_lock($1)", key) == [(False,)])
        return await ordinary(*arguments)

    monkeypatch.setattr(serverdatabase, "settle", settle)
    vault.sync()
    assert held == [True]
