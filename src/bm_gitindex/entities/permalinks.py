"""Which permalink a note gets: what its front matter states, else what it has, else one made from its path."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import select

from bm_gitindex.entities.chunks import QUERY_CHUNK, chunks
from bm_gitindex.entities.rows import path_permalink
from bm_gitindex.entities.schema import entity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

_FIRST_NUMBERS_TRIED = 16


class Claim(NamedTuple):
    """One file that is about to be stored, and the permalinks that it may lay claim to."""

    path: bytes
    is_note: bool
    """Only notes have permalinks; another file gives up the one that it held as a note."""
    stated: str | None
    held: str | None


async def assign_permalinks(
    connection: AsyncConnection, project_id: int, claims: Sequence[Claim], next_numbers: dict[str, int]
) -> dict[bytes, str | None]:
    """Return a permalink by path, unique among the claims and in the project. Earlier claims go first.

    `next_numbers` says for each permalink from which number on one is worth asking for, and is brought up to date; with
    an empty one at each call, thousands of notes of one name would ask for all numbers of those before them.

    Executing the claims' rows in the same order, changed ones before new ones, never meets a permalink in use.
    """
    holders = _Holders(connection, project_id, next_numbers)
    generated = {claim.path: path_permalink(claim.path) for claim in claims if claim.is_note and claim.held is None}
    stated = (claim.stated for claim in claims if claim.is_note and claim.stated is not None)
    await holders.look_up([*stated, *generated.values()])

    assigned: dict[bytes, str | None] = {}
    for claim in claims:
        if not claim.is_note:
            permalink = None
        elif claim.stated is not None and holders.is_free_for(claim.stated, claim.path):
            permalink = claim.stated
        elif claim.held is not None:
            permalink = claim.held
        else:
            permalink = await holders.first_free(generated[claim.path], claim.path)
        holders.give(permalink, claim)
        assigned[claim.path] = permalink
    return assigned


class _Holders:
    """Who has which permalink, as far as it was asked, with what has been given away since."""

    def __init__(self, connection: AsyncConnection, project_id: int, next_numbers: dict[str, int]) -> None:
        self._connection = connection
        self._project_id = project_id
        self._path_by_permalink: dict[str, bytes | None] = {}
        self._next_number = next_numbers

    async def look_up(self, permalinks: Iterable[str]) -> None:
        """Learn who holds each of them, without forgetting what has been given away."""
        unknown = set(permalinks) - self._path_by_permalink.keys()
        self._path_by_permalink.update(dict.fromkeys(unknown))
        for chunk in chunks(unknown, QUERY_CHUNK):
            query = select(entity.c.permalink, entity.c.file_path).where(
                entity.c.project_id == self._project_id, entity.c.permalink.in_(chunk)
            )
            for permalink, path in await self._connection.execute(query):
                self._path_by_permalink[permalink] = path

    def is_free_for(self, permalink: str, path: bytes) -> bool:
        return self._path_by_permalink[permalink] in {None, path}

    def give(self, permalink: str | None, claim: Claim) -> None:
        if claim.held is not None:
            self._path_by_permalink[claim.held] = None
            if claim.held != permalink:
                self._next_number.clear()  # it may be one of the numbers passed over
        if permalink is not None:
            self._path_by_permalink[permalink] = claim.path

    async def first_free(self, base: str, path: bytes) -> str:
        """Return `base`, else `base-1`, `base-2` and so on: the first that nobody holds."""
        if self.is_free_for(base, path):
            return base
        window = _FIRST_NUMBERS_TRIED
        while True:
            start = self._next_number.get(base, 1)
            numbered = [f"{base}-{number}" for number in range(start, start + window)]
            await self.look_up(numbered)
            for offset, permalink in enumerate(numbered):
                if self.is_free_for(permalink, path):
                    self._next_number[base] = start + offset + 1
                    return permalink
            self._next_number[base] = start + window
            window = min(2 * window, QUERY_CHUNK)
