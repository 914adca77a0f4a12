"""From rows to records: entities with all that they say, put together from few queries for many of them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar, cast

from sqlalchemy import select

from bm_gitindex.entities.chunks import QUERY_CHUNK, chunks
from bm_gitindex.entities.records import (
    Entity,
    EntityObservation,
    EntityRelation,
    EntitySummary,
    IncomingRelation,
    UnresolvedLink,
)
from bm_gitindex.entities.schema import entity, observation, relation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from sqlalchemy import Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    AnyRow = Row[*tuple[Any, ...]]

T = TypeVar("T")

ENTITY_PAGE = 100
"""Entities that are put together at once: each may have many observations and relations."""

_SUMMARY_COLUMNS = (
    entity.c.id,
    entity.c.external_id,
    entity.c.title,
    entity.c.type,
    entity.c.permalink,
    entity.c.file_path,
    entity.c.kind,
    entity.c.updated_at,
    entity.c.tags,
    entity.c.metadata,
    entity.c.warnings,
)


async def read_entities(connection: AsyncConnection, ids: Sequence[int]) -> list[Entity]:
    """Return the entities with these ids, at most `QUERY_CHUNK`, in the order of the ids."""
    rows = (await connection.execute(select(entity).where(entity.c.id.in_(ids)))).all()
    observations = await _grouped(connection, _observations(ids), _observation)
    relations = await _grouped(connection, _relations(ids), lambda row: EntityRelation(*row[1:]))
    incoming = await _grouped(connection, _incoming(ids), lambda row: IncomingRelation(*row[1:]))
    by_id = {
        row.id: Entity(
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
            tags=_listed(row.tags),
            metadata=row.metadata,
            warnings=_listed(row.warnings),
            observations=tuple(observations[row.id]),
            relations=tuple(relations[row.id]),
            incoming=tuple(incoming[row.id]),
        )
        for row in rows
    }
    return [by_id[entity_id] for entity_id in ids if entity_id in by_id]


async def read_summaries(connection: AsyncConnection, ids: Sequence[int]) -> list[EntitySummary]:
    """Return the entities with these ids in short, in the order of the ids."""
    by_id: dict[int, EntitySummary] = {}
    for chunk in chunks(ids, QUERY_CHUNK):
        query = select(*_SUMMARY_COLUMNS).where(entity.c.id.in_(chunk))
        for row in await connection.execute(query):
            by_id[row.id] = _summary(row)
    return [by_id[entity_id] for entity_id in ids if entity_id in by_id]


async def read_links(connection: AsyncConnection, ids: Sequence[int]) -> list[UnresolvedLink]:
    """Return the relations with these ids, at most `QUERY_CHUNK`, in the order of the ids."""
    query = (
        select(relation.c.id, entity.c.file_path, entity.c.permalink, relation.c.type, relation.c.target)
        .join_from(relation, entity, entity.c.id == relation.c.from_id)
        .where(relation.c.id.in_(ids))
    )
    by_id = {row.id: UnresolvedLink(*row[1:]) for row in await connection.execute(query)}
    return [by_id[relation_id] for relation_id in ids if relation_id in by_id]


def is_of_right_types(found: Entity) -> bool:
    """Return whether every column holds a value of its own type: SQLite lets any hold any, and damage makes it so."""
    texts: list[object] = [found.content_type]
    optional: list[object] = []
    if not _are_tuples([item.tags for item in found.observations]):
        return False
    for item in found.observations:
        texts += [item.category, item.content, *item.tags]
        optional.append(item.context)
    for link in found.relations:
        texts += [link.type, link.target]
        optional += [link.to_permalink, link.context]
    for source in found.incoming:
        texts.append(source.type)
        optional += [source.from_permalink, source.context]
    are_numbers = all(isinstance(value, int) for value in (found.size_bytes, found.mtime_ns))
    return is_summary_of_right_types(found) and _are_texts(texts, optional) and are_numbers


def is_summary_of_right_types(found: Entity | EntitySummary) -> bool:
    """Return the same of what an entity says in short."""
    if not _are_tuples([found.tags, found.warnings]):
        return False
    texts = [found.external_id, found.title, found.type, *found.tags, *found.warnings]
    return _are_texts(texts, [found.permalink]) and isinstance(found.metadata, dict)


def is_link_of_right_types(found: UnresolvedLink) -> bool:
    """Return the same of a link."""
    return _are_texts([found.type, found.target], [found.from_permalink])


def _are_tuples(values: Iterable[object]) -> bool:
    return all(isinstance(value, tuple) for value in values)


def _are_texts(texts: Iterable[object], optional: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in texts) and all(isinstance(value, str | None) for value in optional)


async def _grouped(
    connection: AsyncConnection, query: Select[Any], record: Callable[[AnyRow], T]
) -> defaultdict[int, list[T]]:
    """Return the records of a query by its first column, in its order."""
    groups: defaultdict[int, list[T]] = defaultdict(list)
    for row in await connection.execute(query):
        groups[row[0]].append(record(row))
    return groups


def _observations(ids: Sequence[int]) -> Select[Any]:
    columns = observation.c
    return (
        select(columns.entity_id, columns.category, columns.content, columns.tags, columns.context)
        .where(columns.entity_id.in_(ids))
        .order_by(columns.entity_id, columns.position)
    )


def _observation(row: AnyRow) -> EntityObservation:
    return EntityObservation(row.category, row.content, _listed(row.tags), row.context)


def _relations(ids: Sequence[int]) -> Select[Any]:
    columns = relation.c
    return (
        select(columns.from_id, columns.type, columns.target, entity.c.permalink, entity.c.file_path, columns.context)
        .outerjoin_from(relation, entity, entity.c.id == columns.to_id)
        .where(columns.from_id.in_(ids))
        .order_by(columns.from_id, columns.position)
    )


def _incoming(ids: Sequence[int]) -> Select[Any]:
    columns = relation.c
    return (
        select(columns.to_id, columns.type, entity.c.permalink, entity.c.file_path, columns.context)
        .join_from(relation, entity, entity.c.id == columns.from_id)
        .where(columns.to_id.in_(ids))
        .order_by(columns.to_id, entity.c.file_path, columns.position)
    )


def _summary(row: AnyRow) -> EntitySummary:
    values = row._asdict()
    return EntitySummary(**values | {"tags": _listed(row.tags), "warnings": _listed(row.warnings)})


def _listed(value: Any) -> tuple[str, ...]:
    """Return the items of a list; anything else as it is, to be found out by its type."""
    return tuple(value) if isinstance(value, list) else cast("tuple[str, ...]", value)
