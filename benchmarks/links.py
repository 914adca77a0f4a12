"""How long it takes to resolve links: all of a large vault's, and those that one change affects.

    python benchmarks/links.py [NOTES] [LINKS_OF_EACH]

Builds an entity database in a temporary folder without any files, 100,000 notes with 5 links each unless told
otherwise, and prints a table. A fifth of the links go by permalink, title, path, another spelling, and nowhere.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import tempfile
import time
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING

from bm_gitindex.entities.chunks import chunks
from bm_gitindex.entities.records import Delete, FileRecord, Move, Upsert
from bm_gitindex.entities.rows import note_rows
from bm_gitindex.entities.store import EntityStore, open_store
from bm_gitindex.notes.model import ParsedNote, Relation
from bm_gitindex.rules import Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable

_SEED = 20
_BATCH = 500
_HUB = 0
"""The note that a hundredth of all links lead to, besides the even rest."""


class Vault:
    """Notes and links that only depend on their numbers."""

    def __init__(self, notes: int, links: int) -> None:
        self.notes = notes
        self._links = links
        self._random = random.Random(_SEED)

    def path(self, number: int) -> bytes:
        """Return where a note is."""
        return b"Folder %d/Note Number %d.md" % (number % 1_000, number)

    def upsert(self, number: int) -> Upsert:
        """Return what a sync stores of a note."""
        relations = tuple(Relation("links_to", self._target(), None) for _ in range(self._links))
        note = ParsedNote(None, "note", None, (), None, None, {}, (), relations, ())
        return Upsert(self._record(number, self.path(number)), note_rows(note))

    def move(self, number: int, path: bytes) -> Move:
        """Return the move of a note to another path."""
        return Move(self.path(number), self._record(number, path))

    def _record(self, number: int, path: bytes) -> FileRecord:
        blob_id = sha1(b"%d" % number, usedforsecurity=False).digest()
        return FileRecord(path, Kind.NOTE, blob_id, 1_000, 1_700_000_000_000_000_000, None)

    def _target(self) -> str:
        number = _HUB if self._random.random() < 0.01 else self._random.randrange(self.notes)
        folder = number % 1_000
        return self._random.choice(
            [
                f"folder-{folder}/note-number-{number}",
                f"Note Number {number}",
                f"Folder {folder}/Note Number {number}",
                f"folder_{folder}/Note_Number_{number}",
                f"Nothing {number}",
            ]
        )


async def measure(database: Path, vault: Vault) -> None:
    """Fill the database, change it, and print what each change costs."""
    async with open_store(database) as store:
        filled_s = await _timed(_fill(store, vault))
        _row("store all notes", filled_s, vault.notes)
        await _resolve(store, "resolve all links")
        for name, change in (
            ("one note is renamed, some links lead to it", store.move([vault.move(7, b"Folder 7/Renamed.md")])),
            ("the hub is renamed", store.move([vault.move(_HUB, b"Folder 0/Hub.md")])),
            ("a note is deleted", store.remove([Delete(vault.path(8))])),
            ("it returns", store.put([vault.upsert(8)])),
            ("a thousand notes change", store.put([vault.upsert(number) for number in range(1_000, 2_000)])),
        ):
            _row(name, await _timed(change))
            await _resolve(store, "  resolve")


async def _fill(store: EntityStore, vault: Vault) -> None:
    for numbers in chunks(range(vault.notes), _BATCH):
        await store.put([vault.upsert(number) for number in numbers])


async def _resolve(store: EntityStore, name: str) -> None:
    started_s = time.perf_counter()
    found = await store.resolve_links()
    _row(name, time.perf_counter() - started_s, found)


async def _timed(work: Awaitable[object]) -> float:
    started_s = time.perf_counter()
    await work
    return time.perf_counter() - started_s


def _row(name: str, seconds: float, count: int | None = None) -> None:
    counted = "" if count is None else f"{count:>9,}"
    each = "" if not count else f"{seconds / count * 1e6:>9.1f} us each"
    print(f"{name:<50} {seconds:>9.3f} s {counted} {each}", flush=True)


def main() -> None:
    """Run the benchmark with the numbers of the command line."""
    notes, links = (*map(int, sys.argv[1:]), *(100_000, 5)[len(sys.argv) - 1 :])
    print(f"{notes:,} notes with {links} links each")
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "entities.db"
        asyncio.run(measure(database, Vault(notes, links)))
        print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB", end=", ")
        print(f"database {database.stat().st_size // 1_000_000} MB")


if __name__ == "__main__":
    main()
