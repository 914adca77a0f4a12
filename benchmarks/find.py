"""What it costs to find entities again in a large database: time to the first, time to the last, memory.

    python benchmarks/find.py [NOTES] [LINKS_OF_EACH]

Builds the database of benchmarks/links.py, with a type, a tag, a warning and a time for some notes, and no link in one
of a hundred, and prints a table. Its memory is the most that Python's objects took; the last line has the process's.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from bm_gitindex.entities.chunks import chunks
from bm_gitindex.entities.reader import open_reader
from bm_gitindex.entities.records import Filter, ProjectState, SyncRun
from bm_gitindex.entities.store import open_store
from links import Vault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bm_gitindex.entities.records import Upsert

_START = datetime(2026, 1, 1, tzinfo=UTC)
_BATCH = 500


def note(vault: Vault, number: int) -> Upsert:
    """Return a note: each hundredth is a log without links, each thousandth has a tag, and each a minute of its own."""
    upsert = vault.upsert(number)
    assert upsert.note is not None
    rows = upsert.note._replace(
        type="note" if number % 100 else "log",
        tags=[] if number % 1_000 else ["rare"],
        lookup_tags=[] if number % 1_000 else ["rare"],
        metadata={"status": "done" if number % 7 else "open"},
        modified=_START + timedelta(minutes=number),
        relations=upsert.note.relations if number % 100 else [],
        warnings=[] if number % 1_000 != 7 else ["created ignored: not an ISO 8601 date"],
    )
    return upsert._replace(note=rows)


async def fill(database: Path, vault: Vault) -> None:
    """Store all notes, and resolve their links."""
    async with open_store(database) as store:
        for numbers in chunks(range(vault.notes), _BATCH):
            await store.put([note(vault, number) for number in numbers])
        await store.resolve_links()
        now = datetime.now(UTC)
        state = ProjectState(
            tie_closed=True, index_trailer=bytes(20), parsed_by="", entries_at_full_sync=0, deleted_since_full_sync=0
        )
        await store.close_tie(state, SyncRun(now, now, full=True, counts={}))


async def measure(database: Path, vault: Vault) -> None:
    """Ask, and print what it took."""
    recently = _START + timedelta(minutes=vault.notes - 500)
    async with open_reader(database) as entities:
        questions: dict[str, Callable[[], AsyncIterator[object]]] = {
            "by a tag of 1 in 1,000": lambda: entities.find(Filter(tags=("rare",))),
            "by a type of 1 in 100": lambda: entities.find(Filter(type="log")),
            "with warnings, 1 in 1,000": lambda: entities.find(Filter(has_warnings=True)),
            "the 500 changed last": lambda: entities.find(Filter(changed_since=recently)),
            "by front matter, 1 in 7": lambda: entities.find(Filter(metadata={"status": "open"})),
            "all, in short": lambda: entities.find(Filter()),
            "all, with all that they say": entities.all,
            "links that lead nowhere": entities.unresolved,
            "notes without any link": entities.orphans,
        }
        for name, ask in questions.items():
            first_s, last_s, count = await _timed(ask())
            peak_mb = await _traced(ask())
            print(f"{name:<30} {count:>8,}  {first_s:8.3f} s {last_s:8.3f} s {peak_mb:7.1f} MB", flush=True)
        for name, number, depth in (
            ("a note", 7, 1),
            ("a note", 7, 2),
            ("a note", 7, 3),
            ("the hub", 0, 1),
            ("the hub", 0, 2),
        ):
            start = await entities.get_by_path(vault.path(number))
            assert start is not None
            started_s = time.perf_counter()
            around = await entities.neighbours(start.id, depth)
            seconds = time.perf_counter() - started_s
            more = "+" if around.is_cut else " "
            words = f"around {name}, depth {depth}"
            print(f"{words:<30} {len(around.neighbours):>8,}{more} {'':>9} {seconds:8.3f} s")


async def _timed(found: AsyncIterator[object]) -> tuple[float, float, int]:
    """Return the seconds to the first and to the last, and how many there were."""
    started_s = time.perf_counter()
    first_s = 0.0
    count = 0
    async for _ in found:
        count += 1
        if count == 1:
            first_s = time.perf_counter() - started_s
    return first_s, time.perf_counter() - started_s, count


async def _traced(found: AsyncIterator[object]) -> float:
    """Return the most memory that Python held meanwhile, in megabytes."""
    tracemalloc.start()
    async for _ in found:
        pass
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak_bytes / 1_000_000


def main() -> None:
    """Run the benchmark with the numbers of the command line."""
    notes, links = (*map(int, sys.argv[1:]), *(100_000, 5)[len(sys.argv) - 1 :])
    print(f"{notes:,} notes with {links} links each")
    print(f"{'':<30} {'found':>8} {'the first':>11} {'the last':>10} {'memory':>10}")
    with tempfile.TemporaryDirectory() as folder:
        database, vault = Path(folder) / "entities.db", Vault(notes, links)
        asyncio.run(fill(database, vault))
        asyncio.run(measure(database, vault))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
