"""The first half of a sync: under the lock, but before anything is stored, find out whether anything has to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from bm_gitindex.entities.sqliteerrors import may_be_the_disk
from bm_gitindex.entities.tie import is_whole
from bm_gitindex.errors import DatabaseDamagedError, IndexDamagedError
from bm_gitindex.filesystem import trust_for
from bm_gitindex.index.compare import Baseline, Evidence
from bm_gitindex.index.entry import Index
from bm_gitindex.indexfile import IndexSnapshot, read_index
from bm_gitindex.indexlock import set_aside
from bm_gitindex.notes.shape import parsed_by
from bm_gitindex.progress import Progress
from bm_gitindex.statefolder import read_through
from bm_gitindex.survey import Survey, Surveyor
from bm_gitindex.worktree.walk import Scope

if TYPE_CHECKING:
    from pathlib import Path

    from bm_gitindex.entities.location import Location
    from bm_gitindex.entities.records import ProjectState
    from bm_gitindex.errors import BmGitIndexError
    from bm_gitindex.indexlock import IndexLock
    from bm_gitindex.memory import Memory
    from bm_gitindex.options import Options
    from bm_gitindex.rules import Classifier
    from bm_gitindex.statefolder import StateFolder
    from bm_gitindex.syncing.report import SyncRequest
    from bm_gitindex.worktree.tree import Tree


@dataclass(frozen=True, slots=True)
class Run:
    """What one sync works with. Its notices grow."""

    root: Path
    state: StateFolder
    options: Options
    location: Location
    request: SyncRequest
    lock: IndexLock
    tree: Tree
    memory: Memory | None = None
    """What this process knows of the index that it has written."""
    notices: list[str] = field(default_factory=list)
    stop: Event = field(default_factory=Event)
    """Set by whoever wants the run to end at the next place where that is safe."""

    def check_may_go_on(self) -> None:
        """Raise CancelledError where the run is to end, and StateWriteError where its lock was taken away."""
        if self.stop.is_set():
            # Imported here: nothing sets it but an event loop, which is then there.
            from asyncio import CancelledError

            raise CancelledError
        self.lock.check()


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run knows before it stores anything."""

    evidence: Evidence
    baseline: Baseline
    """What the index is worth, whatever the user asked for: for the new one that is made of it."""
    classifier: Classifier
    survey: Survey
    scope: Scope
    is_match: bool
    """Index and database belong together, and every note was parsed as it would be now."""

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to store: all is clean, and a new index would be worth no more than this one."""
        return self.is_match and self.survey.is_clean and self.baseline.is_trusted


def look(run: Run) -> Findings:
    """Return what index, database and tree say, opening none of the user's notes and attachments.

    A damaged index or database is set aside first, and counts as lost. Raises IndexUnsupportedError,
    SchemaUnsupportedError, StateFolderError and StateWriteError.
    """
    snapshot = _read_index(run)
    project = _read_project_state(run)
    has_tie = is_tied(project, snapshot)
    is_alike = has_tie and project is not None and project.parsed_by == parsed_by(run.options)
    # A paranoid run over the whole project trusts the tie no more than the stat data: every row is looked at.
    is_match = is_alike and (not run.request.paranoid or bool(run.request.paths))
    if has_tie and not is_alike:
        run.notices.append("notes are parsed anew where the parser or the options have changed")
    elif not has_tie and snapshot.exists and not run.notices:
        run.notices.append("index and database do not belong together: both are compared with the files")
    baseline = snapshot.baseline.seen_at(run.lock.clock)
    proven_by_stat = baseline.distrusted() if run.request.paranoid else baseline
    evidence = Evidence(snapshot.index, proven_by_stat, trust_for(run.root, run.options))
    scope = Scope(run.request.paths if is_match else ())
    surveyor = Surveyor(run.tree, run.options, evidence)
    survey = surveyor.survey(scope, lambda files: run.request.on_progress(Progress("looking", files, 0)))
    return Findings(evidence, baseline, surveyor.classifier, survey, scope, is_match)


def is_tied(project: ProjectState | None, snapshot: IndexSnapshot) -> bool:
    """Return whether index and database belong together."""
    return project is not None and snapshot.exists and project.is_tied_to(snapshot.index.trailer)


def set_database_aside(run: Run, error: DatabaseDamagedError) -> bool:
    """Put a damaged file where it is not lost and not in the way; return whether it was damaged.

    SQLite calls a database damaged where the disk could not deliver it, which may be over in a moment: it is looked at
    once more, as a whole. Raises StateWriteError, and StateFolderError where it cannot be read.
    """
    database = run.state.database
    companions = [database.with_name(database.name + ending) for ending in ("-wal", "-shm", "-journal")]
    present = [path for path in (database, *companions) if path.exists()]
    for path in present:
        read_through(path)
    if may_be_the_disk(error.__cause__) and is_whole(database):
        return False
    for path in present:
        if path.exists():  # SQLite may have removed it, having looked
            target = set_aside(path)
            if path == database:
                kept_as = f"kept as {target.name}, and built anew from the files"
                run.notices.append(f"the entity database was damaged ({_reason(error)}): {kept_as}")
    return True


def _reason(error: BmGitIndexError) -> object:
    """Return what was found: without the statement that SQLAlchemy repeats, which quotes the user's notes."""
    cause = error.__cause__ or error
    return getattr(cause, "orig", cause)


def _read_index(run: Run) -> IndexSnapshot:
    try:
        return read_index(run.state, run.memory)
    except IndexDamagedError as error:
        target = set_aside(run.state.index)
        run.notices.append(
            f"the index was damaged ({_reason(error)}): kept as {target.name}, and built anew from the files"
        )
        return IndexSnapshot(Index.empty(), Baseline(0, is_trusted=False), exists=False)


def _read_project_state(run: Run) -> ProjectState | None:
    try:
        return run.location.read_state()
    except DatabaseDamagedError as error:
        return None if set_database_aside(run, error) else run.location.read_state()
