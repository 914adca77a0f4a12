"""Settling which of a database's projects a folder is, under a lock that lets one folder at a time be settled."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import insert, select, update

from bm_gitindex.entities.identity import (
    DamagedIdError,
    Place,
    ProjectId,
    has_moved,
    is_held,
    place_of,
    read_id,
    write_id,
)
from bm_gitindex.entities.rows import NEW_PROJECT, project_columns
from bm_gitindex.entities.schema import project

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncConnection

    from bm_gitindex.statefolder import StateFolder

_OWN_FROM_NOW_ON = "it is a project of its own from now on, and its entities are stored anew"


@dataclass(frozen=True, slots=True)
class Claim:
    """What the files say of which project a folder is."""

    state: StateFolder
    stored: ProjectId | None
    """What `project.id` says; None where there is none, or one that says nothing."""
    place: Place
    wanted: str | None
    """The id that the folder had; None where it had none, or where it is a copy of the folder that has it."""
    notices: tuple[str, ...]

    @classmethod
    def of(cls, state: StateFolder) -> Claim:
        """Return what the files say. Raises StateFolderError."""
        place = place_of(state.root)
        try:
            stored = read_id(state)
        except DamagedIdError as error:
            return cls(state, None, place, None, (f"{state.project_id} is damaged ({error}) and is written anew",))
        if stored is None:
            return cls(state, None, place, None, ())
        origin = os.fsdecode(stored.place.root)
        if stored.place == place:
            return cls(state, stored, place, stored.id, ())
        if has_moved(stored, state):
            return cls(state, stored, place, stored.id, (f"the project was moved here from {origin}",))
        if stored.place.machine != place.machine:
            origin = f"{origin} on another machine"
        return cls(state, stored, place, None, (f"this folder was copied from {origin}: {_OWN_FROM_NOW_ON}",))


@dataclass(frozen=True, slots=True)
class Settled:
    """Which project a folder is."""

    id: str
    notices: tuple[str, ...]


async def settle(connection: AsyncConnection, claim: Claim) -> Settled:
    """Return which project a folder is, and see that its row says so; a project that is new gets a row.

    To be called in a transaction in which nobody else settles anything.
    """
    notices = list(claim.notices)
    settled = await _uncontested(connection, claim, notices)
    if settled is None:
        settled = await _name_where(connection, _is_at(claim.place))
        if settled is not None and claim.stored is None:
            notices.append("project.id was lost: the entities that were stored of this folder are taken up again")
    if settled is None:
        settled = str(uuid4())
    await _record(connection, settled, claim.place)
    return Settled(settled, tuple(notices))


def write_settled(claim: Claim, settled: Settled) -> None:
    """Let the folder know which project it is. Raises StateWriteError."""
    project_id = ProjectId(settled.id, claim.place)
    if claim.stored != project_id:
        write_id(claim.state, project_id)


async def _uncontested(connection: AsyncConnection, claim: Claim, notices: list[str]) -> str | None:
    """Return the id that is wanted, None where it is another folder's by now."""
    if claim.wanted is None:
        return None
    query = select(project.c.root, project.c.machine).where(project.c.name == claim.wanted)
    row = (await connection.execute(query)).one_or_none()
    if row is None or row.root is None or Place(row.root, row.machine) == claim.place:
        return claim.wanted
    if row.machine == claim.place.machine and not await asyncio.to_thread(is_held, row.root, claim.wanted, claim.state):
        return claim.wanted
    notices[:] = [f"this folder's entities have become those of {os.fsdecode(row.root)}, a copy: {_OWN_FROM_NOW_ON}"]
    return None


async def _name_where(connection: AsyncConnection, condition: ColumnElement[bool]) -> str | None:
    query = select(project.c.name).where(condition).order_by(project.c.id.desc()).limit(1)
    name: str | None = (await connection.execute(query)).scalar()
    return name


async def _record(connection: AsyncConnection, name: str, place: Place) -> None:
    """Let this project's row, and no other, be at a place."""
    nowhere = {"root": None, "machine": None}
    await connection.execute(update(project).where(_is_at(place), project.c.name != name).values(nowhere))
    here = {"root": place.root, "machine": place.machine}
    if await _name_where(connection, project.c.name == name) is None:
        await connection.execute(insert(project).values(name=name, **project_columns(NEW_PROJECT), **here))
    elif await _name_where(connection, (project.c.name == name) & _is_at(place)) is None:
        await connection.execute(update(project).where(project.c.name == name).values(here))


def _is_at(place: Place) -> ColumnElement[bool]:
    return (project.c.root == place.root) & (project.c.machine == place.machine)
