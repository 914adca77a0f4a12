"""Taking over external ids, permalinks and times of creation from another database.

What is to be taken over is collected in a temporary table first, so that memory stays flat however many they are. Then
it is decided who can have what: a name that an entity holds is free only if that entity gives it up for another one,
which may be a matter of chains and circles. Then all of it is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Column, MetaData, String, Table, bindparam, func, insert, or_, select, update

from bm_gitindex.entities.chunks import QUERY_CHUNK, chunks
from bm_gitindex.entities.externalid import new_external_id
from bm_gitindex.entities.links import changed_keys, mark_pending, resolve_some
from bm_gitindex.entities.records import Contested, HeldIdentity
from bm_gitindex.entities.rows import Names
from bm_gitindex.entities.schema import NameText, RowId, UtcTime, entity, relation
from bm_gitindex.notes.links import alias_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from typing import Any

    from sqlalchemy import Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from bm_gitindex.entities.records import Adoption

_UUID_CHARACTERS = 36

adoption = Table(
    "adoption",
    MetaData(),
    Column("entity_id", RowId, primary_key=True, autoincrement=False),
    Column("external_id", String(_UUID_CHARACTERS), index=True),
    Column("permalink", NameText, index=True),
    Column("created_at", UtcTime),
    prefixes=["TEMPORARY"],
)
"""One row for each entity of which something changes, with what is new; NULL stands for what stays."""

_HELD_COLUMNS = (
    entity.c.id,
    entity.c.file_path,
    entity.c.kind,
    entity.c.blob_id,
    entity.c.external_id,
    entity.c.permalink,
    entity.c.created_at,
)


class _Wish(NamedTuple):
    """An entity that wants a name which another one holds."""

    entity_id: int
    holder_id: int
    holder_leaves: bool
    """The holder is to get another name itself, unless that one is held in turn."""


class Finished(NamedTuple):
    """What came of an import."""

    entities: int
    """Those of which something has changed."""
    links_before: int
    """Links that led to an entity before."""
    links_after: int


class Adopting:
    """One transaction in which identities are taken over: `stage` them all, then `settle`, then `finish`."""

    def __init__(self, connection: AsyncConnection, project_id: int) -> None:
        self._connection = connection
        self._project_id = project_id
        self._is_begun = False

    async def held(self, paths: Iterable[bytes]) -> dict[bytes, HeldIdentity]:
        """Return what the entities of these paths are known by; a path without an entity is left out."""
        found: dict[bytes, HeldIdentity] = {}
        for chunk in chunks(paths, QUERY_CHUNK):
            query = select(*_HELD_COLUMNS).where(entity.c.project_id == self._project_id, entity.c.file_path.in_(chunk))
            found.update((row.file_path, HeldIdentity(*row)) for row in await self._connection.execute(query))
        return found

    async def stage(self, adoptions: Sequence[Adoption]) -> None:
        """Collect what is to be taken over; no entity may come twice."""
        if not self._is_begun:
            await self._connection.run_sync(adoption.create)
            self._is_begun = True
        rows = [
            {
                "entity_id": one.entity_id,
                "external_id": one.external_id,
                "permalink": one.permalink,
                "created_at": one.created_at,
            }
            for one in adoptions
        ]
        if rows:
            await self._connection.execute(insert(adoption), rows)

    async def settle(self) -> tuple[list[Contested], list[Contested]]:
        """Let go of every name that cannot be had; return these, external ids and permalinks.

        A name that several want is given to none of them. What an entity holds and does not give up, it keeps.
        """
        if not self._is_begun:
            return [], []
        return await self._settle("external_id"), await self._settle("permalink")

    async def finish(self) -> Finished:
        """Write what was collected and can be had, and resolve the links that it affects; return what came of it.

        The names were unique at each moment: those that are given up are so before any is taken.
        """
        links_before = await self._resolved_links()
        if not self._is_begun:
            return Finished(0, links_before, links_before)
        written = 0
        async for rows in self._pages():
            await self._write(rows)
            written += len(rows)
        await self._connection.run_sync(adoption.drop)
        self._is_begun = False
        while not (await resolve_some(self._connection, self._project_id)).is_last:
            pass
        return Finished(written, links_before, await self._resolved_links())

    async def _resolved_links(self) -> int:
        query = select(func.count()).where(relation.c.project_id == self._project_id, relation.c.to_id.is_not(None))
        return (await self._connection.execute(query)).scalar_one()

    async def _settle(self, name: str) -> list[Contested]:
        staged = adoption.c[name]
        several = select(staged).where(staged.is_not(None)).group_by(staged).having(func.count() > 1)
        query = self._with_names(name).where(staged.in_(several))
        rows = await self._connection.execute(query)
        contested = [Contested(path, wanted, held, None) for path, wanted, held, _id in rows]
        await self._connection.execute(update(adoption).where(staged.in_(several)).values({name: None}))

        wishes = await self._wishes(name)
        refused = _refused(wishes)
        for wished in chunks((wish for wish in wishes if wish.entity_id in refused), QUERY_CHUNK):
            contested += await self._contested(name, wished)
            ids = [wish.entity_id for wish in wished]
            await self._connection.execute(update(adoption).where(adoption.c.entity_id.in_(ids)).values({name: None}))
        await self._release(name, [wish.holder_id for wish in wishes if wish.entity_id not in refused])
        return contested

    def _with_names(self, name: str) -> Select[bytes, str, str | None, int]:
        """Return the query for path, wanted name, held name, and the entity's id."""
        held = entity.c[name]
        return (
            select(entity.c.file_path, adoption.c[name], held, entity.c.id)
            .join_from(adoption, entity, entity.c.id == adoption.c.entity_id)
            .order_by(entity.c.file_path)
        )

    async def _wishes(self, name: str) -> list[_Wish]:
        """Return the entities that want a name which is held."""
        leaving = adoption.alias("leaving")
        query = (
            select(adoption.c.entity_id, entity.c.id, leaving.c[name].is_not(None))
            .join_from(adoption, entity, entity.c[name] == adoption.c[name])
            .outerjoin(leaving, leaving.c.entity_id == entity.c.id)
            .where(entity.c.project_id == self._project_id)
            .order_by(adoption.c.entity_id)
        )
        return [_Wish(*row) for row in await self._connection.execute(query)]

    async def _contested(self, name: str, wished: Sequence[_Wish]) -> list[Contested]:
        holder_by_id = {wish.entity_id: wish.holder_id for wish in wished}
        holders = select(entity.c.id, entity.c.file_path).where(entity.c.id.in_(holder_by_id.values()))
        path_by_id = {row.id: row.file_path for row in await self._connection.execute(holders)}
        query = self._with_names(name).where(entity.c.id.in_(holder_by_id))
        rows = await self._connection.execute(query)
        return [
            Contested(path, wanted, held, path_by_id[holder_by_id[entity_id]]) for path, wanted, held, entity_id in rows
        ]

    async def _release(self, name: str, holder_ids: Sequence[int]) -> None:
        """Let entities give up a name before another takes it: those which are to get a new one anyway.

        The links by that name are marked when it is taken.
        """
        by_id = entity.c.id == bindparam("row_id")
        for ids in chunks(holder_ids, QUERY_CHUNK):
            if name == "permalink":
                await self._connection.execute(
                    update(entity).where(entity.c.id.in_(ids)).values(permalink=None, alias_key=None)
                )
            else:
                rows = [{"row_id": row_id, "new_id": new_external_id()} for row_id in ids]
                statement = update(entity).where(by_id).values(external_id=bindparam("new_id"))
                await self._connection.execute(statement, rows)

    async def _pages(self) -> AsyncIterator[Sequence[Row[Any]]]:
        query = (
            select(
                adoption,
                entity.c.file_path,
                entity.c.title,
                entity.c.external_id.label("held_external_id"),
                entity.c.permalink.label("held_permalink"),
                entity.c.alias_key,
                entity.c.created_at.label("held_created_at"),
            )
            .join_from(adoption, entity, entity.c.id == adoption.c.entity_id)
            .where(or_(*(adoption.c[name].is_not(None) for name in ("external_id", "permalink", "created_at"))))
            .order_by(adoption.c.entity_id)
            .limit(QUERY_CHUNK)
        )
        page = query
        while rows := (await self._connection.execute(page)).all():
            yield rows
            page = query.where(adoption.c.entity_id > rows[-1].entity_id)

    async def _write(self, rows: Sequence[Row[Any]]) -> None:
        columns = [
            {
                "row_id": row.entity_id,
                "external_id": row.external_id or row.held_external_id,
                "permalink": row.permalink or row.held_permalink,
                "alias_key": alias_key(row.permalink) if row.permalink else row.alias_key,
                "created_at": row.created_at or row.held_created_at,
            }
            for row in rows
        ]
        await self._connection.execute(update(entity).where(entity.c.id == bindparam("row_id")), columns)
        renamed = (
            (Names(row.file_path, row.title, row.held_permalink), Names(row.file_path, row.title, row.permalink))
            for row in rows
            if row.permalink
        )
        await mark_pending(self._connection, self._project_id, changed_keys(renamed))


def _refused(wishes: Sequence[_Wish]) -> set[int]:
    """Return the entities that cannot have the name they want: its holder keeps it, or cannot have its own new one."""
    wanting = {wish.holder_id: wish.entity_id for wish in wishes}
    refused: set[int] = set()
    waiting = [wish.entity_id for wish in wishes if not wish.holder_leaves]
    while waiting:
        entity_id = waiting.pop()
        refused.add(entity_id)
        if entity_id in wanting:
            waiting.append(wanting[entity_id])
    return refused
