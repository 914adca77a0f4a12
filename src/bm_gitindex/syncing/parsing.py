"""Parsing notes: in this process, or, where many are to be parsed, in others beside it.

A `Parser` is a queue: what is put into it comes out parsed, in the same order, whoever does the work. Workers are given
the notes in groups, and what a worker does not answer, since it could not be started, was killed, or is another
program than this one, is parsed here. So they decide how long a sync takes, and nothing else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bm_gitindex.entities.records import Parsed
from bm_gitindex.notes.sketch import sketch
from bm_gitindex.processors import cpu_count

if TYPE_CHECKING:
    from bm_gitindex.options import NoteBounds
    from bm_gitindex.syncing.workers import Worker

FEWEST_NOTES = 1_000
"""Below it, parsing takes no longer than starting a process for it."""
MOST_WORKERS = 4
"""More would wait for this process, which reads and stores what they parse, and has a processor left to it."""
_GROUP_NOTES = 64
_GROUP_BYTES = 256 * 1024


@dataclass(slots=True)
class _Group:
    """Notes that are parsed by one process, one after the other."""

    notes: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    worker: Worker | None = None
    """Who was asked to parse them; None as long as nobody was, or where nobody can be."""
    is_closed: bool = False
    """No more come in."""


def parse(data: bytes, bounds: NoteBounds) -> Parsed:
    """Return what is stored of a note of these bytes."""
    # Imported here: YAML and Markdown cost 50 ms that a run without a changed note does not pay.
    from bm_gitindex.entities.rows import note_rows
    from bm_gitindex.notes.parser import parse_note

    return Parsed(note_rows(parse_note(data, bounds)), sketch(data))


class Parser:
    """Notes on their way from bytes to rows, first in, first out. To be closed; used by one thread at a time."""

    def __init__(self, bounds: NoteBounds) -> None:
        self._bounds = bounds
        self._workers: list[Worker] = []
        self._groups: deque[_Group] = deque()
        self._parsed: deque[Parsed] = deque()

    @property
    def works_ahead(self) -> bool:
        """Whether it parses what was put into it while its owner does something else."""
        return bool(self._workers)

    def expect(self, count: int) -> None:
        """Make ready for that many notes: with workers, if that is worth it, and there are processors for them."""
        cpus = cpu_count()
        if count < FEWEST_NOTES or cpus < 2 or self._workers:
            return
        # Imported here: most runs have few notes to parse.
        from bm_gitindex.syncing.workers import start_worker

        started = (start_worker(self._bounds) for _ in range(min(cpus - 1, MOST_WORKERS)))
        self._workers = [worker for worker in started if worker is not None]

    def put(self, data: bytes) -> None:
        """Take in a note."""
        if not self._groups or self._groups[-1].is_closed:
            self._groups.append(_Group())
        group = self._groups[-1]
        group.notes.append(data)
        group.size_bytes += len(data)
        if len(group.notes) >= _GROUP_NOTES or group.size_bytes >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Let the notes that were put in so far be parsed without waiting for more."""
        if self._groups and not self._groups[-1].is_closed:
            self._groups[-1].is_closed = True
            self._hand_over(self._groups[-1])

    def get(self) -> Parsed:
        """Return what was made of the first note that is still in here. Raises IndexError if there is none."""
        if not self._parsed:
            group = self._groups.popleft()
            self._parsed.extend(self._answer(group))
        return self._parsed.popleft()

    def close(self) -> None:
        """End the workers, and forget what was not asked for."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        self._groups.clear()
        self._parsed.clear()

    def _hand_over(self, group: _Group) -> None:
        """Let the worker that has the least to do parse a group."""
        while group.worker is None and self._workers:
            worker = min(self._workers, key=lambda worker: worker.unanswered_bytes)
            if worker.ask(group.notes):
                group.worker = worker
            else:
                self._let_go(worker)

    def _answer(self, group: _Group) -> list[Parsed]:
        answer = None
        if group.worker is not None:
            answer = group.worker.answer()
            if answer is None:
                self._let_go(group.worker)
        if answer is None or len(answer) != len(group.notes):
            return [parse(data, self._bounds) for data in group.notes]
        return answer

    def _let_go(self, worker: Worker) -> None:
        """Do without a worker; what it was asked is parsed here."""
        if worker in self._workers:
            self._workers.remove(worker)
        for group in self._groups:
            if group.worker is worker:
                group.worker = None
        worker.end()
