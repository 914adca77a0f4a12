"""The reader's side of the entity database: nothing here writes, and no writer is kept waiting."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

from sqlalchemy import func, select

from bm_gitindex.entities.assembly import (
    ENTITY_PAGE,
    is_link_of_right_types,
    is_of_right_types,
    is_summary_of_right_types,
    read_entities,
    read_links,
    read_summaries,
)
from bm_gitindex.entities.chunks import QUERY_CHUNK, chunks
from bm_gitindex.entities.location import located
from bm_gitindex.entities.records import Filter, Neighbour, Neighbourhood
from bm_gitindex.entities.schema import entity, project
from bm_gitindex.entities.search import (
    INCOMING,
    OUTGOING,
    fetch_ids,
    has_metadata,
    matching_ids,
    orphan_ids,
    reach,
    unresolved_ids,
)
from bm_gitindex.entities.soundness import damage_told
from bm_gitindex.entities.sqliteerrors import damaged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from bm_gitindex.entities.database import Database
    from bm_gitindex.entities.location import Location
    from bm_gitindex.entities.records import Entity, EntitySummary, UnresolvedLink

LinkDirection = Literal["both", "out", "in"]

_INT64 = range(-(2**63), 2**63)
_DIRECTIONS = {"both": (OUTGOING, INCOMING), "out": (OUTGOING,), "in": (INCOMING,)}


@asynccontextmanager
async def open_reader(database: Location | Path) -> AsyncIterator[Entities]:
    """Open the database to look entities up. A file is not changed, and none is left beside it.

    A path stands for the SQLite file there. Raises NotFoundError if there is nothing to read before a sync;
    DatabaseDamagedError, SchemaUnsupportedError, StateFolderError and DatabaseServerError as `Location.read_state`.
    """
    location = located(database)
    async with location.open_for_reading() as opened:
        with damage_told(location):
            async with opened.transaction() as connection:
                project_id = await _project_id(connection, opened.project)
        yield Entities(location, opened, project_id)


class Entities:
    """The entities of one project, to be read by one task at a time.

    All methods raise DatabaseDamagedError, DatabaseServerError, and LockHeldError where a writer allows no reading
    beside it.
    """

    def __init__(self, location: Location, database: Database, project_id: int) -> None:
        self._location = location
        self._database = database
        self._project_id = project_id

    async def get(self, key: str | int) -> Entity | None:
        """Return one entity: by its id if `key` is an integer, else by permalink, by path, or by external id."""
        if isinstance(key, int):
            return await self._first([entity.c.id == key]) if key in _INT64 else None
        if _is_text(key):
            by_path = entity.c.file_path == os.fsencode(key)
            return await self._first([entity.c.permalink == key, by_path, entity.c.external_id == key])
        try:
            return await self.get_by_path(os.fsencode(key))
        except UnicodeEncodeError:
            return None  # it stands for no bytes, and so for no path

    async def get_by_path(self, path: bytes) -> Entity | None:
        """Return the entity of the file at `path`."""
        return None if b"\0" in path else await self._first([entity.c.file_path == path])

    async def count(self) -> int:
        """Return how many entities there are."""
        query = select(func.count()).where(entity.c.project_id == self._project_id)
        async with self._reading() as connection:
            return (await connection.execute(query)).scalar_one()

    async def find(self, wanted: Filter) -> AsyncIterator[EntitySummary]:
        """Yield the entities that meet every condition of a filter, in order of their paths."""
        if not all(map(_is_text, (wanted.type or "", *wanted.tags))):
            return
        async for found in self._summaries(matching_ids(self._project_id, wanted)):
            if has_metadata(found.metadata, wanted.metadata):
                yield found

    async def all(self) -> AsyncIterator[Entity]:
        """Yield every entity with all that it says, in order of their paths. Memory does not grow with their number."""
        async with self._reading() as connection:
            ids = await fetch_ids(connection, matching_ids(self._project_id, Filter()))
        for page in chunks(ids, ENTITY_PAGE):
            async with self._reading() as connection:
                found = await read_entities(connection, page)
            for one in found:
                self._check(one.id, is_right=is_of_right_types(one))
                yield one

    async def neighbours(
        self, entity_id: int, depth: int = 1, limit: int = 1_000, direction: LinkDirection = "both"
    ) -> Neighbourhood:
        """Return the entities that at most `depth` relations lead to, each once, by the shortest way.

        An id that no entity has, has no neighbours. Raises ValueError for a depth or a limit below 1.
        """
        if depth < 1 or limit < 1:
            raise ValueError("depth and limit are at least 1")
        if entity_id not in _INT64:
            return Neighbourhood((), is_cut=False)
        async with self._reading() as connection:
            steps, is_cut = await reach(connection, entity_id, depth, limit, _DIRECTIONS[direction])
            summaries = await read_summaries(connection, list(steps))
        for summary in summaries:
            is_right = is_summary_of_right_types(summary) and isinstance(steps[summary.id].type, str)
            self._check(summary.id, is_right=is_right)
        found = (
            Neighbour(summary, step.distance, step.type, step.is_incoming, step.via_id)
            for summary in summaries
            for step in (steps[summary.id],)
        )
        return Neighbourhood(tuple(sorted(found, key=_by_distance)), is_cut)

    async def unresolved(self) -> AsyncIterator[UnresolvedLink]:
        """Yield the links that lead to no entity, in order of the paths of their notes."""
        async with self._reading() as connection:
            ids = await fetch_ids(connection, unresolved_ids(self._project_id))
        for page in chunks(ids, QUERY_CHUNK):
            async with self._reading() as connection:
                links = await read_links(connection, page)
            for link in links:
                if not is_link_of_right_types(link):
                    raise damaged(self._location, "a relation holds a value of a wrong type")
                yield link

    async def orphans(self) -> AsyncIterator[EntitySummary]:
        """Yield the notes that no relation connects with another entity, in order of their paths."""
        async for found in self._summaries(orphan_ids(self._project_id)):
            yield found

    async def _summaries(self, query: Select[int]) -> AsyncIterator[EntitySummary]:
        async with self._reading() as connection:
            ids = await fetch_ids(connection, query)
        for page in chunks(ids, QUERY_CHUNK):
            async with self._reading() as connection:
                summaries = await read_summaries(connection, page)
            for summary in summaries:
                self._check(summary.id, is_right=is_summary_of_right_types(summary))
                yield summary

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        """Read from one snapshot; an error that damage explains is told as such."""
        with damage_told(self._location):
            async with self._database.transaction() as connection:
                yield connection

    async def _first(self, conditions: list[ColumnElement[bool]]) -> Entity | None:
        """Return the entity that meets the first condition that any meets; all of it from one snapshot."""
        async with self._reading() as connection:
            for condition in conditions:
                query = select(entity.c.id).where(entity.c.project_id == self._project_id, condition)
                entity_id = (await connection.execute(query)).scalar_one_or_none()
                if entity_id is not None:
                    (found,) = await read_entities(connection, [entity_id])
                    self._check(found.id, is_right=is_of_right_types(found))
                    return found
        return None

    def _check(self, entity_id: int, *, is_right: bool) -> None:
        if not is_right:
            raise damaged(self._location, f"entity {entity_id} holds a value of a wrong type")


def _is_text(words: str) -> bool:
    """Return whether a text can be in a database: one with NUL, or half a surrogate pair, names nothing there."""
    return "\0" not in words and not any("\ud800" <= character <= "\udfff" for character in words)


async def _project_id(connection: AsyncConnection, name: str) -> int:
    query = select(project.c.id).where(project.c.name == name)
    project_id: int = (await connection.execute(query)).scalar_one()
    return project_id


def _by_distance(neighbour: Neighbour) -> tuple[int, bytes]:
    return neighbour.distance, neighbour.entity.file_path
