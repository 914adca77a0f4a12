"""The second half of a sync: reading what differs, and storing it in database and index, in an order that is safe."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from heapq import merge
from operator import attrgetter
from typing import TYPE_CHECKING

from bm_gitindex.entities.records import Delete, Move, ProjectState, SyncRun, Upsert
from bm_gitindex.entities.soundness import require_sound
from bm_gitindex.index.codec import decode
from bm_gitindex.index.draft import Draft
from bm_gitindex.index.stat import stat_data, stored_size
from bm_gitindex.notes.shape import parsed_by
from bm_gitindex.progress import Progress
from bm_gitindex.renames import RenameFinder
from bm_gitindex.rules import Kind
from bm_gitindex.syncing.cancellation import in_thread
from bm_gitindex.syncing.failures import FailureLog
from bm_gitindex.syncing.identity import Identities
from bm_gitindex.syncing.intake import Batch, Intake, file_record
from bm_gitindex.syncing.plan import DistrustfulPlanner, MatchPlanner, ReconcilePlanner, Tasks, unseen_entry
from bm_gitindex.syncing.safety import check_deletions, check_root
from bm_gitindex.worktree.walk import parents

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from bm_gitindex.entities.records import KnownFile
    from bm_gitindex.entities.store import EntityStore
    from bm_gitindex.index.encoding import Encoded
    from bm_gitindex.index.entry import Entry
    from bm_gitindex.renames import Rename
    from bm_gitindex.rules import Skipped
    from bm_gitindex.syncing.findings import Findings, Run
    from bm_gitindex.syncing.intake import Taken
    from bm_gitindex.syncing.parsing import Parser
    from bm_gitindex.syncing.plan import Plan, Task
    from bm_gitindex.syncing.report import SyncReport

_path = attrgetter("path")


class Storing:
    """One run's way from findings to a closed tie and a new index."""

    def __init__(self, run: Run, findings: Findings, store: EntityStore, report: SyncReport, parser: Parser) -> None:
        evidence = findings.evidence
        self._run = run
        self._findings = findings
        self._survey = findings.survey
        self._index = evidence.index
        self._store = store
        self._report = report
        self._started_at = datetime.now(UTC)
        self._intake = Intake(run, findings.classifier, findings.survey.counters, parser)
        self._draft = Draft(evidence.index, findings.baseline, run.lock.clock, evidence.trust)
        self._failures = FailureLog(self._started_at, run.tree)
        self._rows: dict[bytes, KnownFile] = {}
        """Every row, where index and database may differ."""
        self._planner: MatchPlanner | ReconcilePlanner = MatchPlanner(evidence.index, findings.classifier)
        self._has_left_any = False
        self._unfinished: set[bytes] = set()
        """Renamed files whose rows are not what they should be until they have been read."""
        self._withheld: frozenset[bytes] = frozenset()
        """Lost paths that may be new files which could not be read: they stay known, until one of those can be."""
        self._come_back: frozenset[bytes] = frozenset()
        """New paths that were deleted since the last full sync."""
        self._deleted: Sequence[bytes] = ()
        self._identities: Identities | None = None
        """Where it is not certain yet which row a note belongs to."""

    async def store(self) -> None:
        """Read, parse and store what differs.

        Raises SafetyStopError before anything is changed, StateWriteError and DatabaseDamagedError.
        """
        self._run.notices.extend(self._store.notices)
        if self._is_distrustful:
            await in_thread(lambda: require_sound(self._run.location))
        project = await self._store.state()
        self._failures.remember(await self._store.failures())
        if not self._findings.is_match:
            self._rows = {row.path: row async for row in self._store.known_files()}
            planner = DistrustfulPlanner if self._is_distrustful else ReconcilePlanner
            shape = parsed_by(self._run.options)
            self._planner = planner(self._index, self._findings.classifier, self._rows, shape)
        plan = await in_thread(lambda: self._planner.plan(self._survey))
        await self._learn_sizes(plan)
        renames = await in_thread(lambda: self._find_renames(plan))
        gone = self._gone(plan, renames)
        if memory := self._run.memory:
            self._come_back = memory.losses.come_back(project.index_trailer, plan.new)
        self._check_safety(project, plan, len(gone))

        # By now the database is open: it is the one that belongs to the lock, and not one that has replaced it.
        self._run.check_may_go_on()
        await self._store.open_tie()
        self._apply_absences(plan, gone)
        await self._apply_renames(renames)
        tasks = self._tasks(plan, renames)
        gone_paths = set(gone)
        lost = [file for file in plan.lost if file.path in gone_paths]
        elsewhere = None if self._findings.scope.is_whole else self._is_gone_elsewhere
        self._identities = Identities(self._store, tasks, lost, elsewhere)
        await self._identities.prepare(self._run.notices)
        # Each task goes as its file is done, and so memory does not grow while the new index does.
        self._survey.new.clear()
        plan.new.clear()
        plan.tasks.clear()
        await self._take_in(tasks, frozenset(renames))
        deletions = await self._settle(gone)
        self._report.files_parsed += self._intake.files_parsed
        self._tell("resolving links", self._survey.counters.files_read)
        await self._store.resolve_links()
        await self._store.record_failures(self._failures.recorded)
        await self._store.clear_failures(self._failures.cleared)
        await self._finish(project, deletions)

    @property
    def _is_distrustful(self) -> bool:
        return self._run.request.paranoid and self._findings.scope.is_whole

    async def _learn_sizes(self, plan: Plan) -> None:
        """Ask the rows for the sizes of lost files whose entries were smudged, so that fewer files are candidates."""
        unsized = [file.path for file in plan.lost if file.size is None]
        rows = await self._store.known(unsized) if unsized else {}
        plan.lost = [
            file._replace(size=stored_size(rows[file.path].size_bytes)) if file.path in rows else file
            for file in plan.lost
        ]

    def _find_renames(self, plan: Plan) -> dict[bytes, Rename]:
        finder = RenameFinder(self._run.tree, self._findings.evidence, self._findings.classifier)
        renames = finder.find(plan.lost, plan.new, self._intake.read_ahead)
        self._withheld = self._keepable(finder.withheld, plan)
        return renames

    def _keepable(self, lost: frozenset[bytes], plan: Plan) -> frozenset[bytes]:
        """Return the lost paths that an index can still hold: not those which are folders now, or below a file."""
        if not lost:
            return lost
        vanished = {file.path for file in plan.lost}.union(self._survey.vanished)
        present = {task.path for task in plan.tasks}.union(self._index) - vanished
        folders = {folder for path in present for folder in parents(path)}
        return frozenset(path for path in lost - folders if present.isdisjoint(parents(path)))

    def _gone(self, plan: Plan, renames: Mapping[bytes, Rename]) -> list[bytes]:
        """Return the paths that are known to index or database, and are neither found nor found elsewhere."""
        renamed = {rename.old_path for rename in renames.values()}
        lost = {file.path for file in plan.lost}
        return sorted(lost.union(self._survey.vanished) - renamed - self._withheld)

    def _check_safety(self, project: ProjectState, plan: Plan, deletions: int) -> None:
        if self._run.request.allow_mass_delete:
            return
        check_root(self._run.root, self._survey, plan.known_count)
        entries_at_full_sync = project.entries_at_full_sync
        if not self._findings.is_match:
            entries_at_full_sync = max(plan.known_count, entries_at_full_sync)
        check_deletions(deletions, self._deleted_before(project), entries_at_full_sync)

    def _deleted_before(self, project: ProjectState) -> int:
        """Return how many files were deleted since the last full sync, and have not come back."""
        return max(project.deleted_since_full_sync - len(self._come_back), 0)

    def _apply_absences(self, plan: Plan, gone: Sequence[bytes]) -> None:
        for path, entry in plan.unread.items():
            self._draft.put_unread(path, entry)
        for path in self._withheld:
            self._draft.put_unread(path, self._planner.unread_entry(path))
            self._has_left_any = True
        self._failures.forget_gone(self._is_there)
        for path in gone:
            self._draft.drop(path)
            self._failures.read(path)
        self._report.unchanged += plan.unchanged + len(self._withheld)

    def _is_there(self, path: bytes) -> bool:
        return path in self._index or path in self._survey.new or path not in self._findings.scope

    async def _apply_renames(self, renames: Mapping[bytes, Rename]) -> None:
        moves = []
        for path, rename in renames.items():
            kind = self._findings.classifier.kind(path, rename.stat.st_size)
            known = self._planner.known(rename.old_path)
            # A row that is yet to be parsed, or to lose what was parsed, must not say that it was.
            kind_so_far = kind if known is None or known.is_note is (kind is Kind.NOTE) else _other_kind(kind)
            moves.append(Move(rename.old_path, file_record(path, kind_so_far, rename.stat, rename.blob_id)))
            self._draft.drop(rename.old_path)
            self._put(path, rename.stat, rename.blob_id, kind)
            self._report.changed.add(path)
        if moves:
            await self._store.move(moves)
        self._report.moved += len(moves)

    def _tasks(self, plan: Plan, renames: Mapping[bytes, Rename]) -> Tasks:
        """Return what is still to be read, files that failed too often left out."""
        renamed: list[Task] = []
        for path, rename in renames.items():
            kind = self._findings.classifier.kind(path, rename.stat.st_size)
            task = self._planner.task_after_rename(path, rename.old_path, kind)
            if task is None:
                self._intake.forget(path)
            else:
                renamed.append(task)
                self._unfinished.add(path)
        others = (task for task in plan.tasks if task.path not in renames)
        tasks = merge(others, sorted(renamed, key=_path), key=_path)
        return Tasks(task for task in tasks if not self._is_set_aside(task))

    def _is_set_aside(self, task: Task) -> bool:
        skipped = self._failures.set_aside(task.path)
        if skipped is not None:
            self._leave(skipped)
        return skipped is not None

    async def _take_in(self, tasks: Tasks, renamed: frozenset[bytes]) -> None:
        async with aclosing(self._batches(tasks)) as batches:
            async for batch in batches:
                await self._store_batch(batch, renamed)
                self._run.check_may_go_on()
        self._run.check_may_go_on()  # there may have been no batch, because of it

    def _is_gone_elsewhere(self, path: bytes) -> bool:
        """Return whether a path is outside of what this run looks at, and nothing is there."""
        if path in self._findings.scope:
            return False
        try:
            self._run.tree.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return False

    async def _settle(self, gone: Sequence[bytes]) -> int:
        """Store the notes that have waited, each in the row that it belongs to; return how many files are deleted."""
        assert self._identities is not None
        identities, self._identities = self._identities, None
        settlement = await identities.settle()
        for path in settlement.left:
            self._draft.drop(path)
        for move in settlement.moves:
            file = move.file
            self._draft.put_unread(file.path, unseen_entry(file.path, file.blob_id, file.kind.tracking))
        if settlement.moves:
            await self._store.move(settlement.moves)
        if settlement.gone:
            await self._store.remove([Delete(path) for path in settlement.gone])
        await self._store_batch(Batch(identities.held(), []), settlement.moved)
        await self._take_in(Tasks(identities.unheld()), settlement.moved)
        self._report.moved += len(settlement.moved)
        found_elsewhere = len(settlement.moved) - len(settlement.left)
        for path in (*settlement.gone, *settlement.moved):
            self._report.changed.add(path)
        # Where the database has rows, what only the index knows may be known to it by another path.
        known_gone = len(self._rows.keys() & set(gone)) if self._rows else len(gone)
        self._report.deleted += known_gone - found_elsewhere
        self._deleted = settlement.gone
        return len(gone) - found_elsewhere

    async def _batches(self, tasks: Tasks) -> AsyncGenerator[Batch]:
        """Yield batches, each read in a thread.

        One is not read while another is stored: of two threads that run Python, each keeps the other from it, and after
        every system call of a file that costs more than both have to do.
        """
        batches = self._intake.batches(tasks, lambda files: self._tell("reading", files))
        while (batch := await in_thread(lambda: next(batches, None))) is not None:
            yield batch

    async def _store_batch(self, batch: Batch, renamed: frozenset[bytes]) -> None:
        released = batch.taken if self._identities is None else await self._identities.release(batch.taken)
        changes = [taken.change for taken in released if taken.change is not None]
        if changes:
            self._report.entities_written += await self._store.put(changes)
        for taken in released:
            task = taken.task
            self._put(task.path, taken.stat, taken.blob_id, task.kind)
            self._failures.read(task.path)
            self._unfinished.discard(task.path)
            if isinstance(taken.change, Upsert):
                self._report.warnings += [(task.path, warning) for warning in taken.change.all_warnings]
            if task.path not in renamed:
                self._count(taken)
        for failed in batch.failed:
            self._failures.failed(failed)
            self._leave(failed.skipped)

    def _put(self, path: bytes, st: os.stat_result, blob_id: bytes, kind: Kind) -> None:
        if not self._draft.put(path, stat_data(st), blob_id, kind.tracking):
            self._report.young.add(path)

    def _leave(self, skipped: Skipped) -> None:
        """Keep what is known of a file that was not read, and make sure that it is looked at again."""
        self._has_left_any = True
        self._survey.skipped.append(skipped)
        self._draft.put_unread(skipped.path, self._planner.unread_entry(skipped.path))

    def _count(self, taken: Taken) -> None:
        path, report = taken.task.path, self._report
        entry = self._index.get(path)
        known_id = taken.task.known.blob_id if taken.task.known else entry and entry.blob_id
        if known_id is None:
            report.added += 1
        elif known_id != taken.blob_id or (entry is not None and self._changes_stat(entry, taken)):
            report.modified += 1
        else:
            report.unchanged += 1
            return
        report.changed.add(path)

    def _changes_stat(self, entry: Entry, taken: Taken) -> bool:
        """Return whether a file of the same id has changed all the same, as `status` has it."""
        if taken.task.kind is Kind.STAT_ONLY:
            return entry.blob_id == taken.blob_id and entry.path in self._survey.modified
        return self._findings.evidence.trust.filemode and entry.stat.mode != stat_data(taken.stat).mode

    async def _finish(self, project: ProjectState, deletions: int) -> None:
        """Tie the database to the index to come, and put that into place."""
        encoded = await in_thread(self._draft.encode)
        self._run.lock.check()
        is_full = self._findings.scope.is_whole
        # What the user has confirmed is not counted against the next run.
        is_baseline = is_full or self._run.request.allow_mass_delete
        state = ProjectState(
            tie_closed=True,
            index_trailer=encoded.trailer if encoded else self._index.trailer,
            parsed_by=await self._shape(),
            entries_at_full_sync=self._draft.entry_count if is_baseline else project.entries_at_full_sync,
            deleted_since_full_sync=0 if is_baseline else self._deleted_before(project) + deletions,
        )
        run = SyncRun(self._started_at, datetime.now(UTC), is_full, self._report.counts)
        await self._store.close_tie(state, run)
        if encoded is not None:
            await in_thread(lambda: self._commit(encoded))
        if self._run.memory is not None and is_baseline:
            self._run.memory.losses.forget()
        elif self._run.memory is not None:
            self._run.memory.losses.go_on(state.index_trailer, self._deleted, self._come_back)

    def _commit(self, encoded: Encoded) -> None:
        self._run.lock.commit(encoded)
        if self._run.memory is not None:
            self._run.memory.keep_written(self._run.state.index, decode(bytes(encoded)))

    async def _shape(self) -> str:
        """Return by which parser all entities were made: not by this one while an older note could not be read."""
        shape = parsed_by(self._run.options)
        is_certain = self._findings.is_match and not self._has_left_any
        if self._unfinished:
            return ""
        return shape if is_certain or await self._store.is_parsed_by(shape) else ""

    def _tell(self, activity: str, files: int) -> None:
        self._run.request.on_progress(Progress(activity, files, self._survey.counters.bytes_read))


def _other_kind(kind: Kind) -> Kind:
    return Kind.FILE if kind is Kind.NOTE else Kind.NOTE
