"""The reader's side of the entity database: nothing here writes, and no writer is kept waiting."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from bm_gitindex.entities.database import Database, open_for_reading
from bm_gitindex.entities.records import Entity, EntityObservation, EntityRelation, IncomingRelation
from bm_gitindex.entities.schema import entity, observation, project, relation
from bm_gitindex.entities.soundness import damage_told
from bm_gitindex.entities.sqliteerrors import damaged
from bm_gitindex.entities.tie import LOCAL_PROJECT, read_only_uri, read_project_state
from bm_gitindex.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from typing import Any

    from sqlalchemy import ColumnElement, Row
    from sqlalchemy.ext.asyncio import AsyncConnection

_INT64 = range(-(2**63), 2**63)


@asynccontextmanager
async def open_reader(database: Path) -> AsyncIterator[Entities]:
    """Open the database to look entities up. Its file is not changed, and none is left beside it.

    Raises NotFoundError if there is nothing to read before a sync; DatabaseDamagedError, SchemaUnsupportedError and
    StateFolderError as `tie.read_project_state`. The methods raise DatabaseDamagedError, and LockHeldError where a
    writer is at work on a file system that allows no reading beside it.
    """
    state = read_project_state(database)
    uri = None if state is None else read_only_uri(database)
    if uri is None:
        raise NotFoundError(f"{database}: no entities are stored yet; run `bm-gitindex sync` first")
    async with open_for_reading(database, uri) as opened:
        with damage_told(database):
            async with opened.transaction() as connection:
                project_id = await _project_id(connection)
        yield Entities(opened, project_id)


class Entities:
    """The entities of one project, to be read by one task at a time."""

    def __init__(self, database: Database, project_id: int) -> None:
        self._database = database
        self._project_id = project_id

    async def get(self, key: str | int) -> Entity | None:
        """Return one entity: by its id if `key` is an integer, else by its permalink, else by its path."""
        if isinstance(key, int):
            return await self._first([entity.c.id == key]) if key in _INT64 else None
        permalink = key.encode("utf-8", "replace").decode()
        return await self._first([entity.c.permalink == permalink, entity.c.file_path == os.fsencode(key)])

    async def get_by_path(self, path: bytes) -> Entity | None:
        """Return the entity of the file at `path`."""
        return await self._first([entity.c.file_path == path])

    async def count(self) -> int:
        """Return how many entities there are."""
        query = select(func.count()).where(entity.c.project_id == self._project_id)
        with damage_told(self._database.path):
            async with self._database.transaction() as connection:
                return (await connection.execute(query)).scalar_one()

    async def _first(self, conditions: list[ColumnElement[bool]]) -> Entity | None:
        """Return the entity that meets the first condition that any meets; all of it from one snapshot."""
        with damage_told(self._database.path):
            async with self._database.transaction() as connection:
                for condition in conditions:
                    query = select(entity).where(entity.c.project_id == self._project_id, condition)
                    row = (await connection.execute(query)).one_or_none()
                    if row is not None:
                        found = await _entity(connection, row)
                        if not _is_of_right_types(found):
                            raise damaged(self._database.path, f"entity {found.id} holds a value of a wrong type")
                        return found
        return None


async def _project_id(connection: AsyncConnection) -> int:
    query = select(project.c.id).where(project.c.name == LOCAL_PROJECT)
    project_id: int = (await connection.execute(query)).scalar_one()
    return project_id


async def _entity(connection: AsyncConnection, row: Row[Any]) -> Entity:
    return Entity(
        id=row.id,
        external_id=row.external_id,
        title=row.title,
        type=row.type,
        permalink=row.permalink,
        file_path=row.file_path,
        kind=row.kind,
        content_type=row.content_type,
        blob_id=row.blob_id,
        size_bytes=row.size_bytes,
        mtime_ns=row.mtime_ns,
        created_at=row.created_at,
        updated_at=row.updated_at,
        tags=tuple(row.tags),
        metadata=row.metadata,
        warnings=tuple(row.warnings),
        observations=await _observations(connection, row.id),
        relations=await _relations(connection, row.id),
        incoming=await _incoming(connection, row.id),
    )


def _is_of_right_types(found: Entity) -> bool:
    """Return whether every column holds a value of its own type: SQLite lets any hold any, and damage makes it so."""
    texts = [found.external_id, found.title, found.type, found.content_type, *found.tags, *found.warnings]
    optional = [found.permalink]
    for item in found.observations:
        texts += [item.category, item.content, *item.tags]
        optional.append(item.context)
    for link in found.relations:
        texts += [link.type, link.target]
        optional += [link.to_permalink, link.context]
    for source in found.incoming:
        texts.append(source.type)
        optional += [source.from_permalink, source.context]
    are_texts = all(isinstance(value, str) for value in texts)
    are_optional = all(isinstance(value, str | None) for value in optional)
    are_numbers = all(isinstance(value, int) for value in (found.size_bytes, found.mtime_ns))
    return are_texts and are_optional and are_numbers and isinstance(found.metadata, dict)


async def _observations(connection: AsyncConnection, entity_id: int) -> tuple[EntityObservation, ...]:
    query = select(observation).where(observation.c.entity_id == entity_id).order_by(observation.c.position)
    return tuple(
        EntityObservation(row.category, row.content, tuple(row.tags), row.context)
        for row in await connection.execute(query)
    )


async def _relations(connection: AsyncConnection, entity_id: int) -> tuple[EntityRelation, ...]:
    query = (
        select(relation.c.type, relation.c.target, entity.c.permalink, entity.c.file_path, relation.c.context)
        .outerjoin_from(relation, entity, entity.c.id == relation.c.to_id)
        .where(relation.c.from_id == entity_id)
        .order_by(relation.c.position)
    )
    return tuple(EntityRelation(*row) for row in await connection.execute(query))


async def _incoming(connection: AsyncConnection, entity_id: int) -> tuple[IncomingRelation, ...]:
    query = (
        select(relation.c.type, entity.c.permalink, entity.c.file_path, relation.c.context)
        .join_from(relation, entity, entity.c.id == relation.c.from_id)
        .where(relation.c.to_id == entity_id)
        .order_by(entity.c.file_path, relation.c.position)
    )
    return tuple(IncomingRelation(*row) for row in await connection.execute(query))
