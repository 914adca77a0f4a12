"""Looking for entities: by what they are, by where relations lead, and by what is missing.

What may be much is found in two steps: first the ids, 8 bytes each, then the rows in pages. Every query is a
transaction of its own, so that a reader who takes his time keeps no writer waiting; a row that is gone by then is left
out.
"""

from __future__ import annotations

from array import array
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Text, cast, exists, select

from bm_gitindex.entities.chunks import INSERT_CHUNK, QUERY_CHUNK, chunks
from bm_gitindex.entities.records import Filter
from bm_gitindex.entities.schema import entity, entity_tag, relation
from bm_gitindex.rules import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from bm_gitindex.notes.model import JsonValue


class Step(NamedTuple):
    """How an entity was reached."""

    distance: int
    type: str
    is_incoming: bool
    via_id: int


def matching_ids(project_id: int, wanted: Filter) -> Select[int]:
    """Return the query for the entities that a filter finds, but for its `metadata`, in order of their paths."""
    if wanted == Filter():
        return select(entity.c.id).where(entity.c.project_id == project_id).order_by(entity.c.file_path)
    # In an order that no index has, so that the one of the condition is used, and what it finds is sorted.
    query = _tagged(project_id, wanted.tags).order_by(entity.c.file_path.concat(b""))
    if wanted.type is not None:
        query = query.where(entity.c.type == wanted.type)
    if wanted.changed_since is not None:
        query = query.where(entity.c.updated_at >= wanted.changed_since)
    if wanted.has_warnings:
        query = query.where(cast(entity.c.warnings, Text) != "[]")
    return query


def _tagged(project_id: int, tags: Sequence[str]) -> Select[int]:
    """Return the query for the entities that have all of these tags.

    It begins at the first tag, and asks for the project there alone: an entity's own could only lead through all of
    them.
    """
    if not tags:
        return select(entity.c.id).where(entity.c.project_id == project_id)
    query = (
        select(entity.c.id)
        .join_from(entity_tag, entity, entity.c.id == entity_tag.c.entity_id)
        .where(entity_tag.c.project_id == project_id, entity_tag.c.tag == tags[0])
    )
    for tag in tags[1:]:
        other = entity_tag.alias()
        query = query.where(exists().where(other.c.entity_id == entity.c.id, other.c.tag == tag))
    return query


def orphan_ids(project_id: int) -> Select[int]:
    """Return the query for the notes that no relation connects with another entity, in order of their paths."""
    is_other = relation.c.from_id != relation.c.to_id
    leads_out = exists().where(relation.c.from_id == entity.c.id, relation.c.to_id.is_not(None), is_other)
    leads_in = exists().where(relation.c.to_id == entity.c.id, is_other)
    return (
        select(entity.c.id)
        .where(entity.c.project_id == project_id, entity.c.kind == Kind.NOTE, ~leads_out, ~leads_in)
        .order_by(entity.c.file_path)
    )


def unresolved_ids(project_id: int) -> Select[int]:
    """Return the query for the relations that lead to no entity, in order of their notes' paths."""
    # The project and the order are asked for in a way that no index has, so that the one of what is missing is used.
    return (
        select(relation.c.id)
        .join_from(relation, entity, entity.c.id == relation.c.from_id)
        .where(entity.c.project_id + 0 == project_id, relation.c.to_id.is_(None))
        .order_by(entity.c.file_path.concat(b""), relation.c.position)
    )


async def fetch_ids(connection: AsyncConnection, query: Select[int]) -> array[int]:
    """Return the ids that a query finds, in its order."""
    ids = array("q")
    async for rows in (await connection.stream(query)).partitions(INSERT_CHUNK):
        ids.extend(row[0] for row in rows)
    return ids


def has_metadata(metadata: Mapping[str, JsonValue], wanted: Mapping[str, str]) -> bool:
    """Return whether front matter has every one of these values."""
    return all(_has_value(metadata, key, value) for key, value in wanted.items())


async def reach(
    connection: AsyncConnection, start_id: int, depth: int, limit: int, conditions: Sequence[Direction]
) -> tuple[dict[int, Step], bool]:
    """Return how each entity is reached within `depth` relations, breadth first, and whether there are more.

    At most `limit` are returned. Each level takes one query for some hundred entities and each direction.
    """
    steps: dict[int, Step] = {}
    frontier = [start_id]
    for distance in range(1, depth + 1):
        found: dict[int, Step] = {}
        for ids in chunks(frontier, QUERY_CHUNK):
            for direction in conditions:
                async with aclosing(_rows(connection, direction.query(ids))) as rows:
                    async for near_id, far_id, relation_type in rows:
                        if far_id == start_id or far_id in steps or far_id in found:
                            continue
                        if len(steps) + len(found) == limit:
                            return steps | found, True
                        found[far_id] = Step(distance, relation_type, direction.is_incoming, near_id)
        steps |= found
        frontier = list(found)
        if not frontier:
            break
    return steps, False


class Direction(NamedTuple):
    """Relations followed from the entity that states them, or back to it."""

    near: ColumnElement[int]
    far: ColumnElement[int]
    is_incoming: bool

    def query(self, ids: Sequence[int]) -> Select[Any]:
        """Return the query for the relations that begin, in this direction, at these entities."""
        return (
            select(self.near, self.far, relation.c.type)
            .where(self.near.in_(ids), self.far.is_not(None))
            .order_by(relation.c.id)
        )


OUTGOING = Direction(relation.c.from_id, relation.c.to_id, is_incoming=False)
INCOMING = Direction(relation.c.to_id, relation.c.from_id, is_incoming=True)


async def _rows(connection: AsyncConnection, query: Select[Any]) -> AsyncGenerator[Row[*tuple[Any, ...]]]:
    """Yield the rows of a query, which are waited for many at a time: to wait for each costs more than to use it."""
    result = await connection.stream(query)
    try:
        while some := await result.fetchmany(INSERT_CHUNK):
            for row in some:
                yield row
    finally:
        await result.close()


def _has_value(metadata: JsonValue | Mapping[str, JsonValue], key: str, value: str) -> bool:
    if not isinstance(metadata, dict):
        return False
    if key in metadata:
        found = metadata[key]
        return found == value or (isinstance(found, list) and value in found)
    first, dot, rest = key.partition(".")
    return bool(dot) and _has_value(metadata.get(first), rest, value)
