"""Storing files whose content is new: their entities, with observations and relations."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam, delete, update

from bm_gitindex.entities.chunks import QUERY_CHUNK, chunks
from bm_gitindex.entities.externalid import new_external_id
from bm_gitindex.entities.inserts import insert_entities, insert_rows
from bm_gitindex.entities.permalinks import Claim, assign_permalinks
from bm_gitindex.entities.rows import (
    OBSERVATION_COLUMNS,
    RELATION_COLUMNS,
    TAG_COLUMNS,
    Names,
    Row,
    StoredEntity,
    entity_columns,
)
from bm_gitindex.entities.schema import entity, entity_tag, observation, relation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from bm_gitindex.entities.links import Renaming
    from bm_gitindex.entities.records import Upsert

_GIVEN_APART = ("project_id", "external_id")
"""Columns that an entity gets when it is new, whatever its file says."""


class _Change(NamedTuple):
    """One upsert, what the database has at its path, and what it will have."""

    upsert: Upsert
    stored: StoredEntity | None
    columns: Row

    @property
    def path(self) -> bytes:
        """Where the file is."""
        return self.upsert.file.path

    @property
    def renaming(self) -> Renaming:
        """What the entity answered to, and what it will answer to."""
        new = Names(self.path, self.columns["title"], self.columns["permalink"])
        return (self.stored.names if self.stored else None), new


async def write_upserts(
    connection: AsyncConnection,
    project_id: int,
    upserts: Sequence[Upsert],
    stored_by_path: Mapping[bytes, StoredEntity],
    next_numbers: dict[str, int],
) -> Iterator[Renaming]:
    """Store each upsert, over the row that its path has, or as a new one; return what is called otherwise now.

    No two upserts may have the same path. `next_numbers` is for `assign_permalinks`, and kept from call to call.
    """
    claims = [_claim(upsert, stored_by_path.get(upsert.file.path)) for upsert in upserts]
    permalinks = await assign_permalinks(connection, project_id, claims, next_numbers)
    changes = []
    for upsert in upserts:
        path = upsert.file.path
        stored = stored_by_path.get(path)
        changes.append(_Change(upsert, stored, entity_columns(upsert, permalinks[path], stored)))

    # Changed rows come first: a new one may take a permalink that a changed one gives up.
    id_by_path = await _update_entities(connection, changes)
    id_by_path |= await _insert_entities(connection, project_id, changes)
    await _insert_content(connection, project_id, changes, id_by_path)
    return (change.renaming for change in changes)


def _claim(upsert: Upsert, stored: StoredEntity | None) -> Claim:
    return Claim(
        path=upsert.file.path,
        is_note=upsert.note is not None,
        stated=upsert.note.permalink if upsert.note else None,
        held=stored.permalink if stored else None,
    )


async def _update_entities(connection: AsyncConnection, changes: Sequence[_Change]) -> dict[bytes, int]:
    """Write the rows that exist, without their observations, relations and tags; return their ids."""
    id_by_path = {change.path: change.stored.id for change in changes if change.stored}
    rows = [{"row_id": change.stored.id, **change.columns} for change in changes if change.stored]
    if rows:
        await connection.execute(update(entity).where(entity.c.id == bindparam("row_id")), rows)
    for ids in chunks(id_by_path.values(), QUERY_CHUNK):
        await connection.execute(delete(observation).where(observation.c.entity_id.in_(ids)))
        await connection.execute(delete(relation).where(relation.c.from_id.in_(ids)))
        await connection.execute(delete(entity_tag).where(entity_tag.c.entity_id.in_(ids)))
    return id_by_path


async def _insert_entities(
    connection: AsyncConnection, project_id: int, changes: Sequence[_Change]
) -> dict[bytes, int]:
    """Write the rows that are new; return their ids."""
    new = [change for change in changes if not change.stored]
    if not new:
        return {}
    columns = [column.name for column in entity.c if column.name in _GIVEN_APART or column.name in new[0].columns]
    values = itemgetter(*columns)
    rows = [values({"project_id": project_id, "external_id": new_external_id(), **change.columns}) for change in new]
    ids = await insert_entities(connection, project_id, columns, rows)
    return dict(zip((change.path for change in new), ids, strict=True))


async def _insert_content(
    connection: AsyncConnection,
    project_id: int,
    changes: Sequence[_Change],
    id_by_path: Mapping[bytes, int],
) -> None:
    notes = [(id_by_path[change.path], change.upsert.note) for change in changes if change.upsert.note]
    observations = ((entity_id, *row) for entity_id, note in notes for row in note.observations)
    relations = ((project_id, entity_id, *row) for entity_id, note in notes for row in note.relations)
    tags = ((entity_id, tag, project_id) for entity_id, note in notes for tag in note.lookup_tags)
    await insert_rows(connection, observation, OBSERVATION_COLUMNS, observations)
    await insert_rows(connection, relation, RELATION_COLUMNS, relations)
    await insert_rows(connection, entity_tag, TAG_COLUMNS, tags)
