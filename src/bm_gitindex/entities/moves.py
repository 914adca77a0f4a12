"""Rows whose file is found elsewhere, was touched, or is gone: nothing of what it says has to be stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, update

from bm_gitindex.entities.chunks import QUERY_CHUNK, chunks
from bm_gitindex.entities.links import changed_keys, mark_pending, release_incoming
from bm_gitindex.entities.rows import Names, Row, StoredEntity, moved_columns, refreshed_columns
from bm_gitindex.entities.schema import entity

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from bm_gitindex.entities.records import FileRecord


async def move_entities(
    connection: AsyncConnection, project_id: int, moves: Sequence[tuple[StoredEntity, FileRecord]]
) -> None:
    """Give each row its new place. Swaps and chains work, since every row leaves its place before any takes one."""
    await _update_by_id(
        connection, [{"row_id": stored.id, "file_path": _between_places(stored)} for stored, _file in moves]
    )
    moved = [(stored, {"row_id": stored.id, **moved_columns(stored, file)}) for stored, file in moves]
    await _update_by_id(connection, [row for _stored, row in moved])
    renamings = ((stored.names, Names(row["file_path"], row["title"], stored.permalink)) for stored, row in moved)
    await mark_pending(connection, project_id, changed_keys(renamings))


async def refresh_entities(connection: AsyncConnection, refreshed: Sequence[tuple[StoredEntity, FileRecord]]) -> None:
    """Bring size and times of rows up to date whose content is known."""
    await _update_by_id(
        connection, [{"row_id": stored.id, **refreshed_columns(stored, file)} for stored, file in refreshed]
    )


async def remove_entities(connection: AsyncConnection, project_id: int, removed: Collection[StoredEntity]) -> None:
    """Delete rows with all that hangs on them; the links that led to them are to be resolved anew."""
    await release_incoming(connection, (stored.id for stored in removed))
    for ids in chunks((stored.id for stored in removed), QUERY_CHUNK):
        await connection.execute(delete(entity).where(entity.c.id.in_(ids)))
    await mark_pending(connection, project_id, changed_keys((stored.names, None) for stored in removed))


async def _update_by_id(connection: AsyncConnection, rows: Sequence[Row]) -> None:
    """Update the row `row_id` by the columns that stand beside it, the same ones in all `rows`."""
    if rows:
        await connection.execute(update(entity).where(entity.c.id == bindparam("row_id")), rows)


def _between_places(stored: StoredEntity) -> bytes:
    """Return a path of this row alone that no file has: relative paths begin with no slash."""
    return b"/%d" % stored.id
