"""One process that does the same thing for a long time, and says what it holds meanwhile.

Run as a program with root, kind of work and number of rounds as arguments; the samples are printed as lines
of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bm_gitindex import Progress, Project

WARM_UP = 10
"""Rounds that are not counted: modules are imported, caches filled and threads started in them."""
_SAMPLES = 25
_NOTES = 30


@dataclass(frozen=True)
class Sample:
    """What the process holds after a number of rounds."""

    rounds: int
    rss_kib: int
    blocks: int
    """Of memory, that Python has handed out: a list or a string more than before is one more."""
    descriptors: int
    threads: int
    files: int
    """In the state folder and the folder for temporary files."""
    milliseconds: float
    """Of a round, since the last sample."""


@dataclass(frozen=True)
class Growth:
    """From the first fifth of the samples to the last one, each by its median, warm-up left out."""

    rss_kib: float
    blocks: float
    descriptors: float
    threads: float
    files: float


def growth(samples: Sequence[Sample]) -> Growth:
    counted = [sample for sample in samples if sample.rounds > WARM_UP]
    fifth = len(counted) // 5
    first, last = counted[:fifth], counted[-fifth:]
    return Growth(
        **{
            name: median(getattr(sample, name) for sample in last) - median(getattr(sample, name) for sample in first)
            for name in Growth.__dataclass_fields__
        }
    )


class Soak:
    """A project of some notes, and what is done to it again and again."""

    def __init__(self, root: Path) -> None:
        from bm_gitindex import Project

        self._random = random.Random(1)
        self._root = root
        self._runner = asyncio.Runner()
        self._aside = root.parent / "aside"
        self._works: dict[str, Callable[[int], None]] = {
            "sync": self._sync,
            "status": self._status,
            "entities": self._open_entities,
            "failures": self._fail,
        }
        for number in range(_NOTES):
            self._write(number)
        self.project: Project = Project(root)
        self.project.sync_blocking()

    def run(self, work: str, rounds: int) -> None:
        """Do it, and print a sample now and then; none is kept here, where it would count as growth."""
        step = max(1, rounds // _SAMPLES)
        with self._runner:
            self._runner.run(_fill_pool())
            started_s = time.perf_counter()
            for done in range(1, rounds + WARM_UP + 1):
                self._works[work](done)
                if done % step == 0:
                    milliseconds = 1000 * (time.perf_counter() - started_s) / step
                    sys.stdout.write(json.dumps(asdict(self._sample(done, milliseconds))) + "\n")
                    started_s = time.perf_counter()

    def _sample(self, done: int, milliseconds: float) -> Sample:
        gc.collect()
        with open("/proc/self/statm", encoding="ascii") as statm:
            rss_kib = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
        return Sample(
            rounds=done,
            rss_kib=rss_kib,
            blocks=sys.getallocatedblocks(),
            descriptors=len(os.listdir("/proc/self/fd")),
            threads=threading.active_count(),
            files=len(os.listdir(self.project.state.path)) + len(os.listdir(tempfile.gettempdir())),
            milliseconds=round(milliseconds, 1),
        )

    def _write(self, number: int) -> None:
        facts = "".join(f"- [fact] {self._random.random():.16f} #tag\n" for _ in range(5))
        text = (
            f"---\ntitle: Note {number}\ntags: [a, b]\n---\n{facts}- links [[Note {self._random.randrange(_NOTES)}]]\n"
        )
        (self._root / f"{number}.md").write_text(text, "utf-8")

    # --- what is done ------------------------------------------------------------------------------------------------

    def _sync(self, done: int) -> None:
        """Change two notes, rename or take away a third; sync in the loop and without one by turns."""
        self._write(self._random.randrange(10))
        self._write(self._random.randrange(10, 20))
        note, elsewhere = self._root / "20.md", self._root / "elsewhere.md"
        if done % 3 == 0:
            self._write(20)
        elif note.exists():
            note.rename(elsewhere)
        else:
            elsewhere.unlink(missing_ok=True)
        if done % 2:
            self._runner.run(self.project.sync())
        else:
            self.project.sync_blocking()

    def _status(self, done: int) -> None:
        if done % 10 == 0:
            self._write(self._random.randrange(_NOTES))
        self.project.status()

    def _open_entities(self, done: int) -> None:
        async def look_up() -> None:
            async with self.project.entities() as entities:
                assert await entities.get_by_path(b"%d.md" % (done % _NOTES)) is not None

        self._runner.run(look_up())

    def _fail(self, done: int) -> None:
        """Every way in which a sync does not come to its end, one after the other."""
        ways = (self._find_lock_held, self._find_index_damaged, self._find_root_empty, self._be_cancelled)
        self._write(done % 10)
        ways[done % len(ways)](done)

    def _find_lock_held(self, done: int) -> None:
        from bm_gitindex import SyncRequest
        from bm_gitindex.errors import LockHeldError
        from bm_gitindex.indexlock import lock_index

        with lock_index(self.project.state, 0, "another"):
            for act in (self.project.sync_blocking, lambda *given: self._runner.run(self.project.sync(*given))):
                with suppress(LockHeldError):
                    act((), SyncRequest(wait_s=0))
                    raise AssertionError

    def _find_index_damaged(self, done: int) -> None:
        from bm_gitindex.errors import IndexDamagedError

        self.project.state.index.write_bytes(b"DIRC nonsense")
        with suppress(IndexDamagedError):
            self.project.status()
            raise AssertionError
        self.project.sync_blocking()
        for kept in self.project.state.path.glob("*.corrupt-*"):
            kept.unlink()

    def _find_root_empty(self, done: int) -> None:
        from bm_gitindex.errors import SafetyStopError

        self._aside.mkdir()
        notes = list(self._root.glob("*.md"))
        for note in notes:
            note.rename(self._aside / note.name)
        with suppress(SafetyStopError):
            self._runner.run(self.project.sync())
            raise AssertionError
        for note in notes:
            (self._aside / note.name).rename(note)
        self._aside.rmdir()

    def _be_cancelled(self, done: int) -> None:
        """At any step of its progress, by turns."""
        from bm_gitindex import SyncRequest

        steps = 1 + done // 4 % 5

        async def cancel_it() -> None:
            loop = asyncio.get_running_loop()

            def cancel(progress: Progress) -> None:
                nonlocal steps
                steps -= 1
                if steps == 0:
                    loop.call_soon_threadsafe(task.cancel)

            task = asyncio.ensure_future(self.project.sync((), SyncRequest(on_progress=cancel)))
            with suppress(asyncio.CancelledError):
                await task

        self._runner.run(cancel_it())


async def _fill_pool() -> None:
    """Start all threads that the loop's pool may have.

    It starts one more whenever it happens to find none idle, which on a busy machine may come late; each has memory of
    its own.
    """
    pool = ThreadPoolExecutor()
    asyncio.get_running_loop().set_default_executor(pool)
    all_are_there = threading.Barrier(pool._max_workers)
    await asyncio.gather(*(asyncio.to_thread(all_are_there.wait) for _ in range(pool._max_workers)))


def soak(root: Path, work: str, rounds: int, source: str) -> list[Sample]:
    """Let another process do `rounds` rounds of this work, its modules coming from the folder `source`."""
    temporary = root.parent / "temporary"
    temporary.mkdir()
    root.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__, str(root), work, str(rounds)],
        env={**os.environ, "PYTHONPATH": source, "TMPDIR": str(temporary)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    return [Sample(**json.loads(line)) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    Soak(Path(sys.argv[1])).run(sys.argv[2], int(sys.argv[3]))
