"""A sync in the model: its decisions are those of the real functions, only their order is told here.

What a file's stat proves, what a tie is worth, what has to be read and stored, and what the next index says, is asked
of `indexfile`, `survey`, `syncing` and `index`, as they are.
"""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from bm_gitindex.entities.records import KnownFile, Parsed, ProjectState
from bm_gitindex.entities.rows import note_rows
from bm_gitindex.index.compare import Baseline, Evidence, LockClock
from bm_gitindex.index.draft import Draft
from bm_gitindex.index.entry import Index, stat_only_id
from bm_gitindex.index.stat import Trust, stat_data, stored_time
from bm_gitindex.indexfile import IndexSnapshot, snapshot_of
from bm_gitindex.notes.model import ParsedNote
from bm_gitindex.options import Options
from bm_gitindex.rules import Kind, Skipped, SkipReason
from bm_gitindex.survey import Counters, Survey, Surveyor
from bm_gitindex.syncing.findings import Findings
from bm_gitindex.syncing.intake import Intake
from bm_gitindex.syncing.parsing import Parser
from bm_gitindex.syncing.plan import MatchPlanner, ReconcilePlanner
from bm_gitindex.worktree.pythonprover import PythonProver
from bm_gitindex.worktree.reading import ReadError, Reading, is_same_version
from bm_gitindex.worktree.walk import Listing, Scope
from racy.world import (
    FILE_DEVICE,
    HALF_SECOND_NS,
    Database,
    Disk,
    F,
    File,
    G,
    Row,
    Setting,
    Sync,
    content_id,
    second,
    stat_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bm_gitindex.syncing.intake import Taken
    from bm_gitindex.syncing.plan import Plan

PARSED_BY = "this parser"
_CACHED = 1 << 16
_NOTHING = Parsed(note_rows(ParsedNote(None, "note", None, (), None, None, {}, (), (), ())), b"")


class Outcome(NamedTuple):
    """What a sync leaves behind."""

    database: Database
    data: bytes | None
    """Of the new index; None where the index stays as it is."""
    reads_f: bool
    """Whether the content of F was compared, and its entry is of this run."""


class Rules:
    """The functions of the product, for one setting."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.trust = Trust(ctime=setting.trusts_ctime)
        suffixes = (".md",) if setting.opens_files else (".note",)
        options = Options(large_file_bytes=10_000_000 if setting.opens_files else 0, note_suffixes=suffixes)
        self._options = options
        self._intake = GivenIntake(options)
        self.outcome = lru_cache(_CACHED)(self._outcome)
        self.snapshot = lru_cache(_CACHED)(_snapshot)
        self._surveyor = lru_cache(_CACHED)(self._new_surveyor)

    def clock(self, now: int) -> LockClock:
        """Return t0 of a run that begins now, by the clock of the files."""
        time_ns = (now + self.setting.state_clock_ahead) * HALF_SECOND_NS
        return LockClock(*stored_time(time_ns), frozenset({self.setting.state_device}))

    def true_id(self, file: File) -> bytes:
        """Return the id that a file should be known by."""
        if file.size and not self.setting.opens_files:
            return stat_only_id(file.size, file.mtime * HALF_SECOND_NS)
        return content_id(file.size, file.variant)

    def survey(self, disk: Disk, baseline: Baseline, files: Mapping[bytes, File]) -> Survey:
        """Return what stat alone says of these files."""
        survey = Survey()
        listed: Any = [(path, stat_of(path, file)) for path, file in files.items()]
        surveyor = self._surveyor(disk, baseline)
        surveyor._compare(Listing(b"", FILE_DEVICE, False, listed, []), survey, set())
        self._check_prover(surveyor, survey, dict(listed))
        return survey

    def _check_prover(self, surveyor: Surveyor, survey: Survey, listed: Mapping[bytes, Any]) -> None:
        """Fail where a prover would take a file for unchanged that a closer look does not."""
        evidence = surveyor._evidence
        if evidence.is_worth_something:
            tree: Any = None
            prover = PythonProver(tree, evidence, surveyor.classifier)
            for place, path in enumerate(evidence.index):
                entry: Any = SimpleNamespace(stat=lambda *, follow_symlinks, path=path: listed[path])
                if path in listed and prover.are_unchanged([place], [entry]) == [True]:
                    assert path not in survey.modified
                    assert path not in survey.unsure

    def _new_surveyor(self, disk: Disk, baseline: Baseline) -> Surveyor:
        tree: Any = None
        return Surveyor(tree, self._options, Evidence(self.snapshot(disk).index, baseline, self.trust))

    def _outcome(self, disk: Disk, database: Database, sync: Sync, g: File, *, is_partial: bool) -> Outcome | None:
        """Return what a sync leaves, or None where it has nothing to store; a partial one is asked for G alone."""
        snapshot = self.snapshot(disk)
        project = ProjectState(database.tie_closed, database.trailer, PARSED_BY, 2, 0)
        is_match = snapshot.exists and project.is_tied_to(snapshot.index.trailer)
        clock = self.clock(sync.start)
        baseline = snapshot.baseline.seen_at(clock)
        scope = Scope((G,) if is_partial and is_match else ())
        survey = self.survey(disk, baseline, {F: sync.seen, G: g} if scope.is_whole else {G: g})
        survey.is_whole = scope.is_whole
        surveyor = self._surveyor(disk, baseline)
        if Findings(surveyor._evidence, baseline, surveyor.classifier, survey, scope, is_match).is_settled:
            return None
        planner: MatchPlanner | ReconcilePlanner = MatchPlanner(snapshot.index, surveyor.classifier)
        if not is_match:
            rows = {row.path: _known_file(row) for row in database.rows}
            planner = ReconcilePlanner(snapshot.index, surveyor.classifier, rows, PARSED_BY)
        plan = planner.plan(survey)
        draft = Draft(snapshot.index, baseline, clock, self.trust)
        stored = {row.path: row for row in database.rows}
        self._intake.looks = {F: sync, G: sync._replace(seen=g, opened=g, content=(g.size, g.variant), closed=g)}
        for taken in self._taken(plan):
            if isinstance(taken, bytes):
                draft.put_unread(taken, planner.unread_entry(taken))
                continue
            path = taken.task.path
            draft.put(path, stat_data(taken.stat), taken.blob_id, taken.task.kind.tracking)
            if taken.change is not None:
                stored[path] = Row(path, taken.task.kind, taken.blob_id, taken.stat.st_size, taken.stat.st_mtime_ns)
        encoded = draft.encode()
        trailer = encoded.trailer if encoded else snapshot.index.trailer
        reads_f = any(task.path == F for task in plan.tasks)
        return Outcome(
            Database(tuple(sorted(stored.values())), True, trailer), bytes(encoded) if encoded else None, reads_f
        )

    def _taken(self, plan: Plan) -> Iterable[Taken | bytes]:
        """Yield what was taken in, or the path of what could not be."""
        for task in plan.tasks:
            try:
                read, _size_bytes = self._intake._take(task)
            except ReadError:
                yield task.path
            else:
                yield self._intake._parsed(read)


class NoParser(Parser):
    """Makes nothing of any note."""

    def put(self, data: bytes) -> None:
        pass

    def get(self) -> Parsed:
        return _NOTHING


class GivenIntake(Intake):
    """The real one, but for what it does outside: it is given its reading, and parses nothing."""

    def __init__(self, options: Options) -> None:
        run: Any = SimpleNamespace(tree=None, stop=None, options=options)
        classifier: Any = None
        super().__init__(run, classifier, Counters(), NoParser(options.bounds))
        self.looks: Mapping[bytes, Sync] = {}

    def _read(self, path: bytes, kind: Kind) -> Reading:
        look = self.looks[path]
        assert look.opened is not None
        assert look.content is not None
        assert look.closed is not None
        before: Any = stat_of(path, look.opened)
        after: Any = stat_of(path, look.closed)
        size, variant = look.content
        if kind is Kind.STAT_ONLY:
            return Reading(after, stat_only_id(after.st_size, after.st_mtime_ns), None, 0)
        if not is_same_version(before, after) or size != before.st_size:
            raise ReadError(Skipped(path, SkipReason.UNSTABLE))
        return Reading(before, content_id(size, variant), b"", size)


def _snapshot(disk: Disk) -> IndexSnapshot:
    if disk.data is None:
        return IndexSnapshot(Index.empty(), Baseline(0, is_trusted=False), exists=False)
    return snapshot_of(disk.data, second(disk.timestamp), disk.own)


def _known_file(row: Row) -> KnownFile:
    return KnownFile(row.path, row.kind, row.blob_id, row.size, row.mtime_ns, PARSED_BY)
