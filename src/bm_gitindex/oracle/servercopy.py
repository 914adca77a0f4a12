"""One project's rows on a PostgreSQL server, copied into an SQLite file in plain SQL, for `verify` alone.

All of it is one snapshot. The file has the server's tables and columns as they are there, and none of its constraints:
what must not be is found by looking. Memory does not grow with the rows.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bm_gitindex.entities.postgresql import VERSION_TABLE, asked
from bm_gitindex.errors import StateWriteError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from asyncpg import Connection  # layers: types only

    from bm_gitindex.entities.server import Server

_COLUMNS = """
    SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()
    ORDER BY table_name, ordinal_position"""
_ROWS_AT_ONCE = 500


def copy_project(server: Server, project: str, path: Path) -> None:
    """Copy what belongs to a project of this name into a new file; without such a project, no table is copied.

    Raises DatabaseServerError and LockHeldError, and StateWriteError where the file cannot be written.
    """

    async def copy(connection: Connection) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as target:
            target.execute("PRAGMA synchronous = OFF")
            target.execute("BEGIN")
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await _copy(connection, target, project)
            target.execute("COMMIT")

    try:
        asked(server, copy)
    except sqlite3.Error as error:
        raise StateWriteError(f"{path}: cannot be written ({error})") from error


async def _copy(connection: Connection, target: sqlite3.Connection, project: str) -> None:
    tables: dict[str, list[str]] = {}
    for table, column in await connection.fetch(_COLUMNS):
        tables.setdefault(table, []).append(column)
    if "project" not in tables:
        return
    project_id = await connection.fetchval("SELECT id FROM project WHERE name = $1", project)
    if project_id is None:
        return
    for table, columns in tables.items():
        conditions = _conditions(table, columns, project_id)
        if conditions:
            await _copy_table(connection, target, (table, columns), " OR ".join(conditions))


def _conditions(table: str, columns: Sequence[str], project_id: int) -> list[str]:
    """Return what makes a row one of this project, or one that refers to it; none for a table that is not ours."""
    if table == VERSION_TABLE:
        return ["true"]
    if table == "project":
        return [f"id = {project_id:d}"]
    ours = f"(SELECT e.id FROM entity AS e WHERE e.project_id = {project_id:d})"  # noqa: S608
    conditions = [f"{column} IN {ours}" for column in ("entity_id", "from_id", "to_id") if column in columns]
    return [f"project_id = {project_id:d}", *conditions] if "project_id" in columns else conditions


async def _copy_table(
    connection: Connection, target: sqlite3.Connection, table: tuple[str, Sequence[str]], condition: str
) -> None:
    name, columns = _quoted(table[0]), [_quoted(column) for column in table[1]]
    definitions = [f"{column} INTEGER PRIMARY KEY" if column == '"id"' else column for column in columns]
    creation = f"CREATE TABLE {name} ({', '.join(definitions)})"
    selection = f"SELECT {', '.join(columns)} FROM {name} WHERE {condition}"  # noqa: S608
    insertion = f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
    target.execute(creation)
    batch: list[tuple[object, ...]] = []
    async for row in connection.cursor(selection, prefetch=_ROWS_AT_ONCE):
        batch.append(tuple(map(_as_sqlite, row)))
        if len(batch) == _ROWS_AT_ONCE:
            target.executemany(insertion, batch)
            batch.clear()
    target.executemany(insertion, batch)
    for column in table[1]:
        if column.endswith("_id"):
            indexing = f"CREATE INDEX {_quoted(f'{table[0]} {column}')} ON {name} ({_quoted(column)})"
            target.execute(indexing)


def _quoted(name: str) -> str:
    """Return a name as SQL has it, whatever it is made of."""
    return '"' + name.replace('"', '""') + '"'


def _as_sqlite(value: object) -> object:
    """Return a value as an SQLite database of ours has it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        # The driver takes the first and the last moment there are for infinities, which have no zone.
        utc = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return utc.isoformat(" ", "microseconds")
    return value
