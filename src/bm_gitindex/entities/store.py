"""The writer's side of the entity database. One process writes at a time; the project's lock sees to that."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from bm_gitindex.entities.adopting import Adopting
from bm_gitindex.entities.chunks import QUERY_CHUNK, chunks
from bm_gitindex.entities.failures import delete_failures, read_failures, write_failures
from bm_gitindex.entities.links import changed_keys, has_links, mark_pending, resolve_some
from bm_gitindex.entities.location import located
from bm_gitindex.entities.moves import move_entities, refresh_entities, remove_entities
from bm_gitindex.entities.pathtext import path_to_text
from bm_gitindex.entities.records import KnownFile, ProjectState, Refresh, Upsert
from bm_gitindex.entities.rows import NEW_PROJECT, StoredEntity, project_columns
from bm_gitindex.entities.schema import entity, project, sync_run
from bm_gitindex.entities.upserts import write_upserts
from bm_gitindex.errors import EntityMissingError
from bm_gitindex.rules import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path
    from typing import Any

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from bm_gitindex.entities.database import Database
    from bm_gitindex.entities.location import Location
    from bm_gitindex.entities.records import Delete, FileFailure, Move, SyncRun

    AnyRow = Row[*tuple[Any, ...]]

REMEMBERED_RUNS = 100
"""Syncs that are kept on record."""

_KNOWN_COLUMNS = (
    entity.c.file_path,
    entity.c.kind,
    entity.c.blob_id,
    entity.c.size_bytes,
    entity.c.mtime_ns,
    entity.c.parsed_by,
)
_STORED_COLUMNS = (
    entity.c.id,
    entity.c.file_path,
    entity.c.title,
    entity.c.title_from_path,
    entity.c.permalink,
    entity.c.created_at,
    entity.c.updated_at,
    entity.c.updated_at_from_note,
)


@asynccontextmanager
async def open_store(database: Location | Path) -> AsyncIterator[EntityStore]:
    """Open the database for the holder of the project's lock, created and migrated if need be.

    A path stands for the SQLite file there. Raises StateWriteError, DatabaseDamagedError, DatabaseServerError,
    SchemaUnsupportedError, and LockHeldError if a program that does not know of our lock is writing to it; so does
    every method of the store.
    """
    location = located(database)
    async with location.open_for_writing() as opened:
        async with opened.transaction() as connection:
            project_id = await _project_id(connection, opened.project)
        yield EntityStore(location, opened, project_id)


class EntityStore:
    """The entities of one project, to be read and changed by one task at a time.

    Every method that changes something does so in one transaction, unless it says otherwise.
    """

    def __init__(self, location: Location, database: Database, project_id: int) -> None:
        self.notices = database.notices
        """What a user should know of how the project was found."""
        self._location = location
        self._database = database
        self._project_id = project_id
        self._next_numbers: dict[str, int] = {}
        """Where the search for a free permalink goes on, as long as none is given up."""
        self._may_have_decided: bool | None = None
        """Whether there may be links that are not pending, which new names can change; None as long as nobody asked."""

    async def state(self) -> ProjectState:
        """Return the project row; before the first sync an open tie, without a trailer."""
        async with self._database.transaction() as connection:
            row = (await connection.execute(select(project).where(project.c.id == self._project_id))).one()
        return ProjectState(
            tie_closed=row.tie_closed,
            index_trailer=row.index_trailer,
            parsed_by=row.parsed_by,
            entries_at_full_sync=row.entries_at_full_sync,
            deleted_since_full_sync=row.deleted_since_full_sync,
        )

    async def open_tie(self) -> None:
        """Mark that the entities are being changed, until `close_tie`. The first transaction of a sync."""
        async with self._database.transaction() as connection:
            await self._update_project(connection, {"tie_closed": False})

    async def close_tie(self, state: ProjectState, run: SyncRun) -> None:
        """Tie the entities to the index that `state` names, and put the run on record. The last transaction.

        Raises ValueError unless `state` says that the tie is closed, and to which index.
        """
        if not state.tie_closed or state.index_trailer is None:
            raise ValueError("a tie is closed with the trailer of an index")
        async with self._database.transaction() as connection:
            await self._update_project(connection, project_columns(state))
            await self._record_run(connection, run)

    async def is_parsed_by(self, parsed_by: str) -> bool:
        """Return whether every note was taken in by this parser and under these options."""
        query = (
            select(entity.c.id)
            .where(entity.c.project_id == self._project_id, entity.c.kind == Kind.NOTE, entity.c.parsed_by != parsed_by)
            .limit(1)
        )
        async with self._database.transaction() as connection:
            return (await connection.execute(query)).first() is None

    async def known_files(self) -> AsyncIterator[KnownFile]:
        """Yield every row, in the order of the paths' text (`pathtext`): that of their bytes, where they are UTF-8.

        Each page is a query of its own; other methods may be called between two rows.
        """
        query = (
            select(*_KNOWN_COLUMNS)
            .where(entity.c.project_id == self._project_id)
            .order_by(entity.c.file_path)
            .limit(QUERY_CHUNK)
        )
        page = query
        while True:
            async with self._database.transaction() as connection:
                rows = (await connection.execute(page)).all()
            for row in rows:
                yield _known_file(row)
            if len(rows) < QUERY_CHUNK:
                return
            page = query.where(entity.c.file_path > rows[-1].file_path)

    async def known(self, paths: Sequence[bytes]) -> dict[bytes, KnownFile]:
        """Return the rows of these paths; a path without one is left out."""
        async with self._database.transaction() as connection:
            rows = await self._rows_at(connection, _KNOWN_COLUMNS, paths)
        return {row.file_path: _known_file(row) for row in rows}

    async def holders(self, permalinks: Iterable[str]) -> dict[str, bytes]:
        """Return the path of the entity that has each of these permalinks; one that nobody has is left out."""
        found: dict[str, bytes] = {}
        for chunk in chunks(set(permalinks), QUERY_CHUNK):
            query = select(entity.c.permalink, entity.c.file_path).where(
                entity.c.project_id == self._project_id, entity.c.permalink.in_(chunk)
            )
            async with self._database.transaction() as connection:
                found.update((permalink, path) for permalink, path in await connection.execute(query))
        return found

    async def sketches(self, paths: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the sketches of the notes at these paths; a path without one is left out."""
        async with self._database.transaction() as connection:
            rows = await self._rows_at(connection, (entity.c.file_path, entity.c.sketch), paths)
        return {row.file_path: row.sketch for row in rows if row.sketch is not None}

    async def remove(self, deletes: Sequence[Delete]) -> None:
        """Delete the rows of these paths; one without a row is gone already."""
        async with self._database.transaction() as connection:
            stored = await self._stored_at(connection, [delete.path for delete in deletes])
            await remove_entities(connection, self._project_id, stored.values())
        self._next_numbers.clear()

    async def move(self, moves: Sequence[Move]) -> None:
        """Give rows new paths; ids and permalinks stay. Swaps and chains are allowed.

        A row at a new path that is not moved itself is deleted: its file was replaced. Raises EntityMissingError if an
        old path has no row.
        """
        old_paths = {move.old_path for move in moves}
        replaced = [move.file.path for move in moves if move.file.path not in old_paths]
        async with self._database.transaction() as connection:
            stored = await self._stored_at(connection, old_paths)
            self._require(stored, old_paths)
            removed = await self._stored_at(connection, replaced)
            await remove_entities(connection, self._project_id, removed.values())
            pairs = [(stored[move.old_path], move.file) for move in moves]
            await move_entities(connection, self._project_id, pairs)
        self._next_numbers.clear()

    async def put(self, changes: Sequence[Upsert | Refresh]) -> int:
        """Store files, no two of the same path; return how many entities were written.

        Permalinks are given in the order of the changes. Raises EntityMissingError if there is no row to refresh.
        """
        upserts = [change for change in changes if isinstance(change, Upsert)]
        touched = [change.file for change in changes if isinstance(change, Refresh)]
        async with self._database.transaction() as connection:
            stored = await self._stored_at(connection, [change.file.path for change in changes])
            self._require(stored, [file.path for file in touched])
            if self._may_have_decided is None:
                self._may_have_decided = await has_links(connection, self._project_id)
            renamings = await write_upserts(connection, self._project_id, upserts, stored, self._next_numbers)
            if self._may_have_decided:
                await mark_pending(connection, self._project_id, changed_keys(renamings))
            await refresh_entities(connection, [(stored[file.path], file) for file in touched])
        return len(changes)

    async def resolve_links(self) -> int:
        """Decide all pending links, some in each transaction; return how many of them lead to an entity now."""
        found = 0
        self._may_have_decided = True
        while True:
            async with self._database.transaction() as connection:
                resolved = await resolve_some(connection, self._project_id)
            found += resolved.found
            if resolved.is_last:
                return found

    @asynccontextmanager
    async def adopting(self) -> AsyncIterator[Adopting]:
        """Take over identities in one transaction: all that the body adopts, or nothing if it raises."""
        async with self._database.transaction() as connection:
            yield Adopting(connection, self._project_id)
        self._next_numbers.clear()

    async def failures(self) -> dict[bytes, FileFailure]:
        """Return the files that could not be read, by path: the last 100 at most."""
        async with self._database.transaction() as connection:
            return await read_failures(connection, self._project_id)

    async def record_failures(self, failures: Sequence[FileFailure]) -> None:
        """Remember each failure in place of what is remembered of its path; the oldest beyond 100 are dropped."""
        if not failures:
            return
        async with self._database.transaction() as connection:
            await write_failures(connection, self._project_id, failures)

    async def clear_failures(self, paths: Sequence[bytes]) -> None:
        """Forget the failures of these paths."""
        if not paths:
            return
        async with self._database.transaction() as connection:
            await delete_failures(connection, self._project_id, paths)

    async def _update_project(self, connection: AsyncConnection, columns: dict[str, object]) -> None:
        await connection.execute(update(project).where(project.c.id == self._project_id).values(columns))

    async def _record_run(self, connection: AsyncConnection, run: SyncRun) -> None:
        columns = sync_run.c
        await connection.execute(
            insert(sync_run).values(
                project_id=self._project_id,
                started_at=run.started_at,
                finished_at=run.finished_at,
                full=run.full,
                counts=dict(run.counts),
            )
        )
        beyond = (
            select(columns.id)
            .where(columns.project_id == self._project_id)
            .order_by(columns.id.desc())
            .offset(REMEMBERED_RUNS)
        )
        await connection.execute(delete(sync_run).where(columns.id.in_(beyond)))

    async def _stored_at(self, connection: AsyncConnection, paths: Iterable[bytes]) -> dict[bytes, StoredEntity]:
        rows = await self._rows_at(connection, _STORED_COLUMNS, paths)
        return {row.file_path: StoredEntity(*row) for row in rows}

    async def _rows_at(
        self, connection: AsyncConnection, columns: Sequence[Any], paths: Iterable[bytes]
    ) -> list[AnyRow]:
        rows: list[AnyRow] = []
        for chunk in chunks(paths, QUERY_CHUNK):
            query = select(*columns).where(entity.c.project_id == self._project_id, entity.c.file_path.in_(chunk))
            rows += (await connection.execute(query)).all()
        return rows

    def _require(self, stored: dict[bytes, StoredEntity], paths: Iterable[bytes]) -> None:
        for path in paths:
            if path not in stored:
                raise EntityMissingError(f"{self._location}: there is no entity for {path_to_text(path)}")


async def _project_id(connection: AsyncConnection, name: str) -> int:
    find = select(project.c.id).where(project.c.name == name)
    project_id: int | None = (await connection.execute(find)).scalar()
    if project_id is None:
        await connection.execute(insert(project).values(name=name, **project_columns(NEW_PROJECT)))
        project_id = (await connection.execute(find)).scalar_one()
    return project_id


def _known_file(row: AnyRow) -> KnownFile:
    return KnownFile(
        path=row.file_path,
        kind=row.kind,
        blob_id=row.blob_id,
        size_bytes=row.size_bytes,
        mtime_ns=row.mtime_ns,
        parsed_by=row.parsed_by,
    )
