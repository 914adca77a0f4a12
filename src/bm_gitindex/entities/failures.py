"""Files that could not be read: the last hundred are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from bm_gitindex.entities.chunks import QUERY_CHUNK, chunks
from bm_gitindex.entities.records import FileFailure
from bm_gitindex.entities.schema import file_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

REMEMBERED_FAILURES = 100
"""More are of no use to anybody: the cause is then one, and not the files'."""


async def read_failures(connection: AsyncConnection, project_id: int) -> dict[bytes, FileFailure]:
    """Return what is remembered, by path."""
    columns = file_failure.c
    rows = await connection.execute(select(file_failure).where(columns.project_id == project_id))
    return {
        row.file_path: FileFailure(
            path=row.file_path,
            error=row.error,
            failures=row.failures,
            window_started_at=row.window_started_at,
            last_failed_at=row.last_failed_at,
            size_bytes=row.size_bytes,
            mtime_ns=row.mtime_ns,
            ctime_ns=row.ctime_ns,
        )
        for row in rows
    }


async def write_failures(connection: AsyncConnection, project_id: int, failures: Sequence[FileFailure]) -> None:
    """Remember each failure in place of what is remembered of its path; the oldest beyond the limit are dropped."""
    newest = sorted(failures, key=lambda failure: failure.last_failed_at)[-REMEMBERED_FAILURES:]
    await delete_failures(connection, project_id, (failure.path for failure in failures))
    if newest:
        await connection.execute(insert(file_failure), [_row(project_id, failure) for failure in newest])
    columns = file_failure.c
    beyond = (
        select(columns.id)
        .where(columns.project_id == project_id)
        .order_by(columns.last_failed_at.desc(), columns.id.desc())
        .offset(REMEMBERED_FAILURES)
    )
    await connection.execute(delete(file_failure).where(columns.id.in_(beyond)))


async def delete_failures(connection: AsyncConnection, project_id: int, paths: Iterable[bytes]) -> None:
    """Forget what is remembered of these paths."""
    columns = file_failure.c
    for chunk in chunks(paths, QUERY_CHUNK):
        await connection.execute(
            delete(file_failure).where(columns.project_id == project_id, columns.file_path.in_(chunk))
        )


def _row(project_id: int, failure: FileFailure) -> dict[str, object]:
    return {
        "project_id": project_id,
        "file_path": failure.path,
        # An error may quote a file name that is not UTF-8.
        "error": failure.error.encode("utf-8", "backslashreplace").decode(),
        "failures": failure.failures,
        "window_started_at": failure.window_started_at,
        "last_failed_at": failure.last_failed_at,
        "size_bytes": failure.size_bytes,
        "mtime_ns": failure.mtime_ns,
        "ctime_ns": failure.ctime_ns,
    }
