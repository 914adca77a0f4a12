"""What a sync has to do, decided before anything is read: survey, index and database held against each other.

Index and database belong together when the tie says so; the index then speaks for both, and no row is looked at.
Otherwise each path is compared with the row that the database has for it, so that whatever was lost, restored or left
half done, only what really differs is read and parsed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import merge
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.index.entry import Entry, Tracking
from bm_gitindex.index.moves import Lost
from bm_gitindex.index.stat import MODE_REGULAR, StatData, stored_size, stored_time
from bm_gitindex.rules import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bm_gitindex.entities.records import KnownFile
    from bm_gitindex.index.entry import Index
    from bm_gitindex.rules import Classifier
    from bm_gitindex.survey import Survey

_path = attrgetter("path")
_NEVER_SEEN = StatData(0, 0, 0, 0, 0, 0, MODE_REGULAR, 0, 0, 0)


def unseen_entry(path: bytes, blob_id: bytes, tracking: Tracking) -> Entry:
    """Return an entry that is equal to no file, whatever the file: it remembers a content alone."""
    return Entry.of(path, _NEVER_SEEN, blob_id, tracking)


class Known(NamedTuple):
    """What the database holds for a path, as far as it decides what has to be stored."""

    blob_id: bytes
    is_note: bool
    mtime: tuple[int, int]
    """Second, low 32 bits, and nanosecond."""


class Task(NamedTuple):
    """A file to be read."""

    path: bytes
    kind: Kind
    known: Known | None
    """None for a file that the database does not have."""
    must_parse: bool = False
    """Store the file anew even if the database has its content: by another parser, under other options, or since no row
    is believed."""


class Tasks:
    """Files to be read, first in, first out.

    What many new files have in common is held once: an object for each would be half of what a first run holds of a
    file before it is read.
    """

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        """Begin with `tasks`, in their order."""
        self._paths: deque[bytes] = deque()
        self._others: deque[tuple[Kind, Known | None, bool]] = deque()
        """What there is of each task beside its path."""
        shared: dict[tuple[Kind, Known | None, bool], tuple[Kind, Known | None, bool]] = {}
        for path, kind, known, must_parse in tasks:
            other = (kind, known, must_parse)
            self._paths.append(path)
            self._others.append(other if known else shared.setdefault(other, other))

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Task]:
        for path, (kind, known, must_parse) in zip(self._paths, self._others, strict=True):
            yield Task(path, kind, known, must_parse)

    def popleft(self) -> Task:
        """Take the first task out. Raises IndexError if there is none."""
        return Task(self._paths.popleft(), *self._others.popleft())

    def clear(self) -> None:
        """Take out all."""
        self._paths.clear()
        self._others.clear()


@dataclass(slots=True)
class Plan:
    """What to read, and what is gone."""

    tasks: Tasks
    """In order of path."""
    new: dict[bytes, int]
    """Paths that the database does not know, with sizes in bytes: what a lost path may have become."""
    lost: list[Lost]
    """Paths that the database knows and that are proven to be gone."""
    known_count: int
    """How many files were known."""
    unchanged: int
    """Files that need not be read."""
    unread: dict[bytes, Entry | None] = field(default_factory=dict)
    """What the index is to say of paths that could not be looked at; None leaves one out."""


class MatchPlanner:
    """Plans where index and database belong together."""

    def __init__(self, index: Index, classifier: Classifier) -> None:
        self._index = index
        self._classifier = classifier

    def plan(self, survey: Survey) -> Plan:
        """Return what the survey asks for."""
        sizes = _sizes(survey)
        kind = self._classifier.kind
        tasks = Tasks(Task(path, kind(path, sizes[path]), self.known(path)) for path in sorted(sizes))
        lost = [Lost.from_entry(self._index[path]) for path in survey.vanished]
        return Plan(tasks, survey.new, lost, len(self._index), survey.unchanged)

    def known(self, path: bytes) -> Known | None:
        """Return what the database holds for a path, as the index says."""
        entry = self._index.get(path)
        return None if entry is None else _known_by_entry(entry, self._classifier)

    def task_after_rename(self, path: bytes, old_path: bytes, kind: Kind) -> Task | None:
        """Return what has to be read of a renamed file: nothing, unless it became a note, or is none any longer."""
        task = Task(path, kind, self.known(old_path))
        return task if _changes_kind(task) else None

    def unread_entry(self, path: bytes) -> Entry | None:
        """Return the entry for a file that should have been read and could not be: equal to nothing."""
        entry = self._index.get(path)
        return entry and entry.with_size_zero()


class ReconcilePlanner:
    """Plans where index and database may differ: the rows say what is known, the index what is proven."""

    def __init__(self, index: Index, classifier: Classifier, rows: Mapping[bytes, KnownFile], parsed_by: str) -> None:
        """Have a note parsed anew where its row was not made by `parsed_by`."""
        self._index = index
        self._classifier = classifier
        self._rows = rows
        self._parsed_by = parsed_by

    def plan(self, survey: Survey) -> Plan:
        """Return what it takes to make both agree with the tree."""
        sizes = _sizes(survey)
        outdated: list[Task] = []  # in order of path, as the index is
        # The index may know a file by its new path already, and the database still by the old one.
        is_first = not self._rows and not len(self._index)
        new = sizes if is_first else {path: size for path, size in sizes.items() if path not in self._rows}
        unchanged = len(survey.unseen)
        for entry in self._seen_entries(survey):
            if entry.path not in self._rows:
                new[entry.path] = entry.stat.size
            task = self._task(entry.path, _kind_of(entry, self._classifier))
            if task.must_parse or not self._has(entry):
                outdated.append(task)
            else:
                unchanged += 1
        differing = (self._task(path, self._classifier.kind(path, sizes[path])) for path in sorted(sizes))
        tasks = Tasks(merge(differing, outdated, key=_path))
        known_count = len(self._index.keys() | self._rows.keys())
        plan = Plan(tasks, new, [], known_count, unchanged)
        self._plan_absent(survey, plan)
        return plan

    def known(self, path: bytes) -> Known | None:
        """Return what the database holds for a path."""
        row = self._rows.get(path)
        if row is None:
            return None
        return Known(row.blob_id, row.kind is Kind.NOTE, stored_time(row.mtime_ns))

    def unread_entry(self, path: bytes) -> Entry | None:
        """Return the entry for a file that could not be read: the row's id, and equal to nothing.

        Its stat is all zero and not that of the old entry, which may be newer than the row, and would pass for its.
        """
        row = self._rows.get(path)
        return None if row is None else unseen_entry(path, row.blob_id, row.kind.tracking)

    def task_after_rename(self, path: bytes, old_path: bytes, kind: Kind) -> Task | None:
        """Return what has to be read of a renamed file: nothing, unless it has to be parsed anew."""
        task = self._task(old_path, kind)._replace(path=path)
        return task if task.must_parse or _changes_kind(task) else None

    def _task(self, path: bytes, kind: Kind) -> Task:
        row = self._rows.get(path)
        is_outdated = row is not None and row.parsed_by != self._parsed_by
        return Task(path, kind, self.known(path), is_outdated and kind is Kind.NOTE)

    def _seen_entries(self, survey: Survey) -> Iterator[Entry]:
        """Yield the entries that stat data alone prove to be right."""
        absent = survey.unseen.union(survey.vanished)
        for path in self._index:
            if path not in survey.modified and path not in survey.unsure and path not in absent:
                yield self._index[path]

    def _has(self, entry: Entry) -> bool:
        """Return whether the database has what an entry says."""
        known = _known_by_entry(entry, self._classifier)
        return known == self.known(entry.path)

    def _plan_absent(self, survey: Survey, plan: Plan) -> None:
        """Plan for the paths that are known and were not found."""
        for path in survey.unseen:
            if path not in self._rows:
                plan.unread[path] = None
        found = survey.new.keys() | self._index.keys()
        for path, row in self._rows.items():
            if path in survey.unseen or (path not in found and survey.is_unproven(path)):
                self._plan_unseen(path, plan)
            elif path not in found:
                plan.lost.append(Lost(path, row.blob_id, stored_size(row.size_bytes), None, row.kind.tracking))
        plan.lost += [self._lost(path) for path in survey.vanished if path in self._rows]

    def _plan_unseen(self, path: bytes, plan: Plan) -> None:
        """Keep the row, and make the index remember it, so that its file is noticed once it can be looked at."""
        entry = self._index.get(path)
        if entry is None or entry.blob_id != self._rows[path].blob_id:
            plan.unread[path] = self.unread_entry(path)

    def _lost(self, path: bytes) -> Lost:
        row, entry = self._rows[path], self._index[path]
        if entry.blob_id == row.blob_id:
            return Lost.from_entry(entry)
        return Lost(path, row.blob_id, stored_size(row.size_bytes), None, row.kind.tracking)


class DistrustfulPlanner(ReconcilePlanner):
    """Plans where no row is believed: every file is stored anew, over the row that it has."""

    def _task(self, path: bytes, kind: Kind) -> Task:
        return super()._task(path, kind)._replace(must_parse=True)


def _sizes(survey: Survey) -> dict[bytes, int]:
    """Return the files that are to be read, with sizes in bytes; in a first run these are the new ones, and many."""
    if not survey.modified and not survey.unsure:
        return survey.new
    return survey.new | survey.modified | survey.unsure


def _changes_kind(task: Task) -> bool:
    return task.known is not None and task.known.is_note is not (task.kind is Kind.NOTE)


def _known_by_entry(entry: Entry, classifier: Classifier) -> Known:
    is_note = _kind_of(entry, classifier) is Kind.NOTE
    return Known(entry.blob_id, is_note, (entry.stat.mtime_s, entry.stat.mtime_ns))


def _kind_of(entry: Entry, classifier: Classifier) -> Kind:
    """Return the kind of a file by its entry, whose size is cut to 32 bits."""
    if entry.tracking is Tracking.CONTENT:
        return classifier.kind(entry.path, 0)
    return Kind.STAT_ONLY if entry.tracking is Tracking.STAT else Kind.SAMPLE
