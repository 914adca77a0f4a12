"""A project's entities on a PostgreSQL server, which other projects may share."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bm_gitindex.entities.identity import DamagedIdError, Place, ProjectId, has_moved, place_of, read_id
from bm_gitindex.entities.pathtext import path_to_text, text_to_path
from bm_gitindex.entities.postgresql import asked, has_our_tables
from bm_gitindex.entities.records import ProjectState
from bm_gitindex.entities.tie import nothing_stored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from asyncpg import Connection, Record

    from bm_gitindex.entities.database import Database
    from bm_gitindex.entities.records import FileFailure
    from bm_gitindex.entities.server import Server
    from bm_gitindex.statefolder import StateFolder

_STATE = """
    SELECT tie_closed, index_trailer, parsed_by, entries_at_full_sync, deleted_since_full_sync FROM project
    WHERE name = $1 AND root = $2 AND machine = $3"""
_PLACE = "SELECT root, machine FROM project WHERE name = $1"
_COUNT = "SELECT count(*) FROM entity JOIN project ON project.id = project_id WHERE project.name = $1"
_MARK = "SELECT xmin::text FROM project WHERE name = $1"


class ServerDatabase:
    """One project's part of a server's database."""

    file = None
    """The server looks after its files itself."""

    def __init__(self, server: Server, state: StateFolder) -> None:
        self.server = server
        self._state = state

    def __str__(self) -> str:
        return str(self.server)

    def read_state(self) -> ProjectState | None:
        """Return what the project row says; None unless files and row agree on which project this is, and where."""
        stored = self._stored()
        if stored is None or stored.place != self.place:
            return None  # whether it is a copy is for a writer to settle
        place = (stored.id, path_to_text(stored.place.root), stored.place.machine)

        async def state(connection: Connection) -> ProjectState | None:
            if not await has_our_tables(connection, self.server):
                return None
            row = await connection.fetchrow(_STATE, *place)
            return None if row is None else _project_state(row)

        return asked(self.server, state)

    def read_file_count(self) -> int:
        """Return how many files of this project the database knows."""
        count: int | None = self._asked_of_project(_COUNT)
        return count or 0

    def read_failures(self) -> list[FileFailure]:
        """Return nothing: whoever asks is not to wait for a server."""
        return []

    def marks(self) -> tuple[object, ...]:
        """Return the transaction that changed the project row last."""
        return (self._asked_of_project(_MARK),)

    def project_to_read(self) -> str | None:
        """Return the name of the project that this folder may read; None before its first sync."""
        project = self._claimed()
        if project is None:
            return None
        return project if asked(self.server, lambda connection: self._is_ours(connection, project)) else None

    @property
    def place(self) -> Place:
        """Where this project is."""
        return place_of(self._state.root)

    def open_for_writing(self) -> AbstractAsyncContextManager[Database]:
        """Open the database, and settle which project this folder is."""
        from bm_gitindex.entities.serverdatabase import open_for_writing

        return open_for_writing(self.server, self._state)

    @asynccontextmanager
    async def open_for_reading(self) -> AsyncIterator[Database]:
        """Open the database to read from it, each transaction from one snapshot."""
        from bm_gitindex.entities.serverdatabase import open_for_reading

        project = await asyncio.to_thread(self.project_to_read)
        if project is None:
            raise nothing_stored(self)
        async with open_for_reading(self.server, project) as opened:
            yield opened

    def _asked_of_project(self, query: str) -> Any:
        project = self._claimed()
        if project is None:
            return None

        async def value(connection: Connection) -> Any:
            return await connection.fetchval(query, project) if await self._is_ours(connection, project) else None

        return asked(self.server, value)

    def _claimed(self) -> str | None:
        """Return the name of the project that this folder is, as far as files tell."""
        stored = self._stored()
        if stored is None or not (stored.place == self.place or has_moved(stored, self._state)):
            return None
        return stored.id

    async def _is_ours(self, connection: Connection, project: str) -> bool:
        """Return whether the row of a project names no other folder; that it was moved may not be known there yet."""
        if not await has_our_tables(connection, self.server):
            return False
        row = await connection.fetchrow(_PLACE, project)
        stored = self._stored()
        if row is None or stored is None:
            return False
        return row["root"] is None or Place(text_to_path(row["root"]), row["machine"]) in (self.place, stored.place)

    def _stored(self) -> ProjectId | None:
        try:
            return read_id(self._state)
        except DamagedIdError:
            return None


def _project_state(row: Record) -> ProjectState:
    trailer = row["index_trailer"]
    return ProjectState(
        tie_closed=row["tie_closed"],
        index_trailer=None if trailer is None else bytes.fromhex(trailer),
        parsed_by=row["parsed_by"],
        entries_at_full_sync=row["entries_at_full_sync"],
        deleted_since_full_sync=row["deleted_since_full_sync"],
    )
