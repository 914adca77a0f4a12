"""What the code promises of rows, the database itself holds: in SQLite and in PostgreSQL alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, null, update
from sqlalchemy.exc import IntegrityError

from bm_gitindex.entities.schema import entity, entity_tag, file_failure, metadata, observation, project, relation
from entities.builders import fact, failure, ids, note, rows, state, sync_run

if TYPE_CHECKING:
    from sqlalchemy import Table

    from bm_gitindex.entities.store import EntityStore
    from entities.builders import AnyDatabase

ABSENT = 987_654


@pytest.fixture
async def filled(store: EntityStore) -> EntityStore:
    """Every table has a row."""
    await store.put([note("a.md", observations=(fact("x"),), links=("b", "c"), tags=("t",)), note("b.md")])
    await store.resolve_links()
    await store.record_failures([failure("f.md")])
    await store.close_tie(state(), sync_run())
    return store


def nullable(table: Table) -> list[str]:
    return [column.name for column in table.columns if not column.nullable and not column.primary_key]


NOT_NULL = [(table, name) for table in metadata.sorted_tables for name in nullable(table)]

IMPOSSIBLE: dict[str, tuple[Table, dict[str, Any]]] = {
    "a file twice": (entity, {"file_path": b"a.md"}),
    "a permalink twice": (entity, {"permalink": "a"}),
    "an external id twice": (entity, {"external_id": "0" * 36}),
    "a blob id of another length": (entity, {"blob_id": b"\0" * 19}),
    "an external id of another length": (entity, {"external_id": "x"}),
    "a negative size": (entity, {"size_bytes": -1}),
    "an entity of no project": (entity, {"project_id": ABSENT}),
    "a tag of no entity": (entity_tag, {"entity_id": ABSENT}),
    "a tag of no project": (entity_tag, {"project_id": ABSENT}),
    "an observation of no entity": (observation, {"entity_id": ABSENT}),
    "a relation from no entity": (relation, {"from_id": ABSENT}),
    "a relation to no entity": (relation, {"to_id": ABSENT}),
    "a relation twice": (relation, {"position": 0}),
    "a relation of no project": (relation, {"project_id": ABSENT}),
    "a failure of nothing": (file_failure, {"failures": 0}),
    "a failure of no project": (file_failure, {"project_id": ABSENT}),
    "a trailer of another length": (project, {"index_trailer": b"\0" * 19}),
}


async def test_what_must_be_there_cannot_be_null(filled: EntityStore) -> None:
    assert len(NOT_NULL) > 40
    for table, name in NOT_NULL:
        with pytest.raises(IntegrityError, match=rf"(?i)not.null.*{name}|{name}.*not.null"):
            async with filled._database.transaction() as connection:
                await connection.execute(update(table).values({name: null()}))


@pytest.mark.parametrize("what", IMPOSSIBLE)
async def test_what_cannot_be_is_refused(filled: EntityStore, database: AnyDatabase, what: str) -> None:
    table, values = IMPOSSIBLE[what]
    before = rows(database, f"SELECT * FROM {table} ORDER BY 1")
    with pytest.raises(IntegrityError):
        async with filled._database.transaction() as connection:
            await connection.execute(update(table).values(values))
    assert rows(database, f"SELECT * FROM {table} ORDER BY 1") == before


async def test_a_project_twice_is_refused(filled: EntityStore, database: AnyDatabase) -> None:
    [(name,)] = rows(database, "SELECT name FROM project")
    columns = dict.fromkeys(nullable(project), True) | {"name": name, "parsed_by": ""}
    with pytest.raises(IntegrityError):
        async with filled._database.transaction() as connection:
            await connection.execute(insert(project).values(columns))


async def test_what_hangs_on_a_row_goes_with_it(filled: EntityStore, database: AnyDatabase) -> None:
    b = ids(database)["b.md"]
    async with filled._database.transaction() as connection:
        await connection.execute(entity.delete().where(entity.c.id == b))
    assert rows(database, "SELECT target, to_id FROM relation ORDER BY position") == [("b", None), ("c", None)]
    async with filled._database.transaction() as connection:
        await connection.execute(project.delete())
    for table in metadata.sorted_tables:
        assert rows(database, f"SELECT count(*) FROM {table}") == [(0,)]
