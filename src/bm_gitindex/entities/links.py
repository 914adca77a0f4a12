"""Which entity a link means.

A relation keeps the coarse key of its target. Whenever an entity appears, vanishes or is renamed, the relations with
one of its keys are marked pending; only those are decided again. What a link can mean by any rule has the link's key
(`notes.links.link_key`), so that none is overlooked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from bm_gitindex.entities.chunks import QUERY_CHUNK, chunks
from bm_gitindex.entities.pathtext import path_to_text
from bm_gitindex.entities.schema import entity, relation
from bm_gitindex.notes.links import link_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, ScalarSelect
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.sql.dml import ReturningUpdate

    from bm_gitindex.entities.rows import Names

    Renaming = tuple[Names | None, Names | None]
    """What an entity answered to, and answers to now; None stands for one that does not exist, before or after."""

_NOTE_SUFFIX = ".md"
_RESOLVE_CHUNK = 2_000
_KEPT_STATEMENTS = 4
"""Of so many projects: one takes longer to build than to run."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """How far one step of resolution came."""

    found: int
    """Relations that were pending, and now lead to an entity."""
    is_last: bool
    """Whether no pending relation is left."""


def changed_keys(changes: Iterable[Renaming]) -> set[str]:
    """Return the keys of the links whose meaning may change when entities are renamed."""
    texts = (text for old, new in changes for _rule, text in _link_texts(old) ^ _link_texts(new))
    return {link_key(text) for text in texts}


async def has_links(connection: AsyncConnection, project_id: int) -> bool:
    """Return whether the project has any relation."""
    query = select(relation.c.id).where(relation.c.project_id == project_id).limit(1)
    return (await connection.execute(query)).first() is not None


async def mark_pending(connection: AsyncConnection, project_id: int, keys: Iterable[str]) -> None:
    """Mark every relation of the project that has one of these keys."""
    for chunk in chunks(keys, QUERY_CHUNK):
        await connection.execute(
            update(relation)
            .where(relation.c.project_id == project_id, relation.c.target_key.in_(chunk), ~relation.c.pending)
            .values(pending=True)
        )


async def release_incoming(connection: AsyncConnection, entity_ids: Iterable[int]) -> None:
    """Let no relation lead to these entities any more, and mark those that did."""
    for chunk in chunks(entity_ids, QUERY_CHUNK):
        await connection.execute(update(relation).where(relation.c.to_id.in_(chunk)).values(to_id=None, pending=True))


async def resolve_some(connection: AsyncConnection, project_id: int) -> Resolved:
    """Decide a bounded number of pending relations, in one statement that brings back no more than their ids."""
    to_ids = (await connection.execute(decide_some(project_id))).scalars().all()
    return Resolved(found=sum(to_id is not None for to_id in to_ids), is_last=len(to_ids) < _RESOLVE_CHUNK)


@lru_cache(_KEPT_STATEMENTS)
def decide_some(project_id: int) -> ReturningUpdate[int | None]:
    """Return the statement: for each relation, one look-up in an index by each rule, until one finds what is meant."""
    some = (
        select(relation.c.id)
        .where(relation.c.project_id == project_id, relation.c.pending)
        .order_by(relation.c.id)
        .limit(_RESOLVE_CHUNK)
    )
    return (
        update(relation)
        .where(relation.c.id.in_(some))
        .values(to_id=_meant_id(), pending=False)
        .returning(relation.c.to_id)
    )


def _link_texts(names: Names | None) -> set[tuple[str, str]]:
    """Return the texts by which a link can mean the entity, each with the rule that compares it."""
    if names is None:
        return set()
    path = path_to_text(names.path)
    texts = {("title", names.title), ("path", path), ("path", path.removesuffix(_NOTE_SUFFIX))}
    return texts if names.permalink is None else texts | {("permalink", names.permalink)}


def _meant_id() -> ColumnElement[int]:
    """Return the id of the entity that a row of `relation` means: the first rule that finds one decides."""
    name = relation.c.target_name
    path = entity.c.file_path
    return func.coalesce(
        _only_id(entity.c.permalink == name),
        _only_id(entity.c.title == name),
        _only_id(path == name),
        _only_id(path == name + _NOTE_SUFFIX),
        _only_id(entity.c.alias_key == relation.c.target_alias),
        _only_id(entity.c.path_key == relation.c.target_alias),
    )


def _only_id(condition: ColumnElement[bool]) -> ScalarSelect[int]:
    """Return the id of the entity that meets a condition, NULL if there is none or more than one.

    Two are enough to know; a title that thousands share costs no more than any other.
    """
    two = (
        select(entity.c.id)
        .where(entity.c.project_id == relation.c.project_id, condition)
        .limit(2)
        .correlate(relation)
        .subquery()
    )
    return select(func.min(two.c.id)).having(func.count() == 1).scalar_subquery()
