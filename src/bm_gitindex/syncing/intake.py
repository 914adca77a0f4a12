"""Taking files in: each is read once, and the same bytes are hashed, compared with what is known, and parsed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.entities.records import FileRecord, Refresh, Upsert
from bm_gitindex.index.stat import stored_time
from bm_gitindex.notes.shape import parsed_by
from bm_gitindex.rules import Kind, Skipped
from bm_gitindex.worktree.reading import ReadError, Reading, hash_file, read_note

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from bm_gitindex.rules import Classifier
    from bm_gitindex.survey import Counters
    from bm_gitindex.syncing.findings import Run
    from bm_gitindex.syncing.parsing import Parser
    from bm_gitindex.syncing.plan import Task, Tasks

BATCH_FILES = 500
BATCH_BYTES = 512 * 1024
_BATCHES_AHEAD = 2
"""With one, workers have nothing to do while this process reads."""
_READ_AHEAD_BYTES = 16 * 1024 * 1024


class Taken(NamedTuple):
    """A file that was read, and what has to be stored of it."""

    task: Task
    stat: os.stat_result
    blob_id: bytes
    change: Upsert | Refresh | None
    """None where the database has all of it already."""


class Failed(NamedTuple):
    """A file that could not be read, and the stat that it had then."""

    skipped: Skipped
    stat: os.stat_result | None
    """None where not even that was to be had."""


@dataclass(slots=True)
class Batch:
    """Files taken in together, to be stored in one transaction."""

    taken: list[Taken]
    failed: list[Failed]


class _Read(NamedTuple):
    """A file that was read, before its note is parsed."""

    taken: Taken
    note: FileRecord | None
    """Of a note that the parser has."""


class Intake:
    """Reads files, one at a time, and has those parsed whose content is new."""

    def __init__(self, run: Run, classifier: Classifier, counters: Counters, parser: Parser) -> None:
        self._tree = run.tree
        self._stop = run.stop
        self._classifier = classifier
        self._bounds = run.options.bounds
        self._parsed_by = parsed_by(run.options)
        self._counters = counters
        self._parser = parser
        self._ahead: dict[bytes, Reading] = {}
        self._ahead_bytes = 0
        self.files_parsed = 0

    def read_ahead(self, path: bytes, size_bytes: int) -> Reading | None:
        """Return a file's reading before it is known what becomes of it, or None where it cannot be read.

        The content is held for `batches`, up to a bound, so that a file which turns out to be no vanished one need
        not be read twice.
        """
        try:
            reading = self._read(path, self._classifier.kind(path, size_bytes))
        except ReadError:
            return None  # tried, and reported, once more in its batch
        held_bytes = len(reading.data or b"")
        if self._ahead_bytes + held_bytes <= _READ_AHEAD_BYTES:
            self._ahead_bytes += held_bytes
            self._ahead[path] = reading
        return reading

    def forget(self, path: bytes) -> None:
        """Let go of a file that was read ahead and is not going to be taken in."""
        reading = self._ahead.pop(path, None)
        self._ahead_bytes -= len(reading.data or b"") if reading else 0

    def batches(self, tasks: Tasks, on_file: Callable[[int], None]) -> Iterator[Batch]:
        """Yield the tasks' files in bounded batches, and leave no task; `on_file` is told how many were done so far.

        Where workers parse, the next batches are read before one is yielded: they are parsed while that one is stored.
        """
        self._parser.expect(sum(_is_note(task) for task in tasks))
        ahead = _BATCHES_AHEAD if self._parser.works_ahead else 0
        waiting: deque[tuple[list[_Read], list[Failed]]] = deque()
        for read in self._read_batches(tasks, on_file):
            self._parser.flush()
            waiting.append(read)
            if len(waiting) > ahead:
                yield self._batch(*waiting.popleft())
        while waiting and not self._stop.is_set():
            yield self._batch(*waiting.popleft())

    def _batch(self, files: Iterable[_Read], failed: list[Failed]) -> Batch:
        return Batch([self._parsed(file) for file in files], failed)

    def _read_batches(self, tasks: Tasks, on_file: Callable[[int], None]) -> Iterator[tuple[list[_Read], list[Failed]]]:
        files: list[_Read] = []
        failed: list[Failed] = []
        batch_bytes = 0
        number = 0
        while tasks:
            if self._stop.is_set():
                return
            try:
                read, size_bytes = self._take(tasks.popleft())
            except ReadError as error:
                failed.append(self._failed(error.skipped))
            else:
                files.append(read)
                batch_bytes += size_bytes
            number += 1
            on_file(number)
            if len(files) >= BATCH_FILES or batch_bytes >= BATCH_BYTES:
                yield files, failed
                files, failed, batch_bytes = [], [], 0
        if files or failed:
            yield files, failed

    def _take(self, task: Task) -> tuple[_Read, int]:
        """Return a file, read, and how many bytes of it are to be parsed."""
        reading = self._ahead.get(task.path) or self._read(task.path, task.kind)
        self.forget(task.path)
        record = file_record(task.path, task.kind, reading.stat, reading.blob_id)
        known = task.known
        change: Upsert | Refresh | None = None
        if known is None or task.must_parse or (known.blob_id, known.is_note) != (reading.blob_id, _is_note(task)):
            if _is_note(task) and reading.data is not None:
                self._parser.put(reading.data)
                return _Read(Taken(task, reading.stat, reading.blob_id, None), record), len(reading.data)
            change = self._unparsed(record)
        elif known.mtime != stored_time(record.mtime_ns):
            change = Refresh(record)
        return _Read(Taken(task, reading.stat, reading.blob_id, change), None), 0

    def _parsed(self, read: _Read) -> Taken:
        taken, note = read
        if note is None:
            return taken
        self.files_parsed += 1
        rows, sketch = self._parser.get()
        upsert = Upsert(note, rows, parsed_by=self._parsed_by, sketch=sketch)
        return Taken(taken.task, taken.stat, taken.blob_id, upsert)

    def _failed(self, skipped: Skipped) -> Failed:
        try:
            return Failed(skipped, self._tree.lstat(skipped.path))
        except OSError:
            return Failed(skipped, None)

    def _read(self, path: bytes, kind: Kind) -> Reading:
        if kind is Kind.NOTE:
            reading = read_note(self._tree, path, self._bounds.note_max_bytes)
        else:
            reading = hash_file(self._tree, path, kind)
        self._counters.files_read += kind is not Kind.STAT_ONLY
        self._counters.bytes_read += reading.bytes_read
        return reading

    def _unparsed(self, record: FileRecord) -> Upsert:
        """Return what is stored of a file that is no note, or one that is too large."""
        if record.kind is not Kind.NOTE:
            return Upsert(record, None)
        limit = self._bounds.note_max_bytes
        warning = f"larger than note_max_bytes ({limit}): hashed, but not parsed"
        return Upsert(record, None, (warning,), self._parsed_by)


def file_record(path: bytes, kind: Kind, st: os.stat_result, blob_id: bytes) -> FileRecord:
    """Return what the database keeps of a file's outside."""
    return FileRecord(path, kind, blob_id, st.st_size, st.st_mtime_ns, _birth_ns(st))


def _is_note(task: Task) -> bool:
    return task.kind is Kind.NOTE


def _birth_ns(st: os.stat_result) -> int | None:
    """Return the birth time, where system and Python know one: macOS gives it as seconds."""
    birth_s: float | None = getattr(st, "st_birthtime", None)
    return None if birth_s is None else int(birth_s * 1_000_000_000)
