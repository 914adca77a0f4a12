"""Bringing index and entity database up to date. The only writer.

The run holds the lock from before the first file is looked at. In the database, the first transaction opens the tie
and the last one closes it with the trailer of the index to come, which is then renamed into place: wherever the run
ends, the next one can tell whether the two stores belong together.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bm_gitindex.changes import ChangeStatus, examine
from bm_gitindex.config import config_path
from bm_gitindex.entities.location import location_of
from bm_gitindex.errors import (
    BmGitIndexError,
    DatabaseDamagedError,
    DatabaseServerError,
    EntityMissingError,
    LockHeldError,
    SchemaUnsupportedError,
    StateFolderError,
)
from bm_gitindex.indexlock import lock_index
from bm_gitindex.statefolder import remove_leftover, stamp
from bm_gitindex.syncing.cancellation import in_thread, run_in_loop, to_end
from bm_gitindex.syncing.findings import Findings, Run, is_tied, look, set_database_aside
from bm_gitindex.syncing.report import SyncReport, SyncRequest
from bm_gitindex.syncing.safety import check_rehearsal
from bm_gitindex.worktree.tree import Tree
from bm_gitindex.writerlock import RETRY_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bm_gitindex.entities.location import Location
    from bm_gitindex.entities.records import ProjectState
    from bm_gitindex.memory import Memory
    from bm_gitindex.options import Options
    from bm_gitindex.statefolder import StateFolder

_MOST_ATTEMPTS = 3


async def sync(
    root: Path, state: StateFolder, options: Options, request: SyncRequest, memory: Memory | None = None
) -> SyncReport:
    """Bring index and database up to date and return what was done; blocking work runs in threads.

    With the same `memory` each time, an index that this process wrote itself is not read again.

    Raises LockHeldError, SafetyStopError, StateWriteError, StateFolderError, IndexUnsupportedError and
    SchemaUnsupportedError. Cancelled, it keeps what was committed, and leaves no lock.
    """
    started_s = time.perf_counter()
    with ExitStack() as stack:
        try:
            run = await _start(
                stack, lambda: _started(root, state, options, replace(request, wait_s=0), memory), request.wait_s
            )
            findings = await in_thread(lambda: look(run))
            report = SyncReport(root)
            if findings.is_settled:
                report.unchanged = findings.survey.unchanged
            else:
                findings = await to_end(_store(run, findings, report), run.stop.set)
            report.index_stamp = stamp(run.state.index)
        finally:
            await in_thread(stack.close)
    return _completed(report, run, findings, started_s)


def sync_blocking(root: Path, state: StateFolder, options: Options, request: SyncRequest) -> SyncReport:
    """Do as `sync` does, without an event loop where nothing has to be stored, which saves its start-up."""
    started_s = time.perf_counter()
    with _started(root, state, options, request) as run:
        findings = look(run)
        report = SyncReport(root)
        if findings.is_settled:
            report.unchanged = findings.survey.unchanged
        else:
            findings = run_in_loop(lambda: to_end(_store(run, findings, report), run.stop.set))
        report.index_stamp = stamp(run.state.index)
    return _completed(report, run, findings, started_s)


def rehearse(root: Path, state: StateFolder, options: Options, request: SyncRequest) -> SyncReport:
    """Return what a sync would report of files, without a lock and without writing anything.

    Raises SafetyStopError where a sync would be stopped, as far as that can be told without reading every row, and
    SchemaUnsupportedError.
    """
    location = location_of(state, options)
    project = _project_state(location)
    examination = examine(root, state, options, request.paths)
    if request.paths and not is_tied(project, examination.snapshot):
        examination = examine(root, state, options, ())  # as a sync would: some paths alone do not bring it in order
    found = examination.status
    report = SyncReport(root, skipped=list(found.skipped), counters=found.counters, seconds=found.seconds)
    by_status = [change.status for change in found.changes]
    report.added = by_status.count(ChangeStatus.ADDED)
    report.modified = by_status.count(ChangeStatus.MODIFIED)
    report.deleted = by_status.count(ChangeStatus.DELETED)
    report.moved = by_status.count(ChangeStatus.MOVED)
    report.unchanged = found.counters.files_seen - report.added - report.modified - report.moved
    report.failed = [skipped for skipped in found.skipped if skipped.reason.is_failure]
    report.peak_rss_bytes = _peak_rss_bytes()
    if not request.allow_mass_delete:
        check_rehearsal(examination, report.deleted, project, _stored_count(location))
    if examination.snapshot.exists and not is_tied(project, examination.snapshot):
        report.notices.append("index and database do not belong together: a sync compares both with the files")
    return report


@contextmanager
def _started(
    root: Path, state: StateFolder, options: Options, request: SyncRequest, memory: Memory | None = None
) -> Iterator[Run]:
    state.ensure()
    with lock_index(state, request.wait_s, request.command) as lock, Tree(root) as tree:
        # It does no harm where it is: no reason to fail.
        with suppress(OSError):
            remove_leftover(config_path(root))
        yield Run(root, state, options, location_of(state, options), request, lock, tree, memory)


async def _start(stack: ExitStack, started: Callable[[], AbstractContextManager[Run]], wait_s: float) -> Run:
    """Enter a run as soon as the lock is free.

    The waiting is done here and not in a thread, since an event loop has few of them: syncs that wait would keep all
    of them from the one that works. And a waiting sync can be cancelled at once.
    """
    # Imported here: `sync_blocking` shares this module, and often needs no event loop.
    import asyncio

    deadline = time.monotonic() + wait_s
    while True:
        try:
            return await in_thread(lambda: stack.enter_context(started()))
        except LockHeldError:
            if time.monotonic() >= deadline:
                raise
        await asyncio.sleep(RETRY_S)


async def _store(run: Run, findings: Findings, report: SyncReport) -> Findings:
    """Store what was found, and return what was found in the end.

    A database that turns out to be damaged, or to lack a row, means to look again, and to compare everything.
    """
    for _ in range(_MOST_ATTEMPTS):
        run.lock.check()
        try:
            await _store_findings(run, findings, report)
        except (DatabaseDamagedError, EntityMissingError) as error:
            failure = error
            if isinstance(error, DatabaseDamagedError):
                await in_thread(partial(set_database_aside, run, error))
            report.reset()
            findings = await in_thread(lambda: look(run))
        else:
            return findings
    raise StateFolderError(f"{run.location} fails again and again; check the disk") from failure


async def _store_findings(run: Run, findings: Findings, report: SyncReport) -> None:
    # Imported here: SQLAlchemy costs half a second, which a run with nothing to store does not pay.
    from bm_gitindex.syncing.parsing import Parser

    parser = Parser(run.options.bounds)
    try:
        survey = findings.survey
        await in_thread(lambda: parser.expect(len(survey.new) + len(survey.modified)))  # workers start meanwhile
        from bm_gitindex.entities.soundness import damage_told
        from bm_gitindex.entities.store import open_store
        from bm_gitindex.syncing.storing import Storing

        with damage_told(run.location):
            async with open_store(run.location) as store:
                await Storing(run, findings, store, report, parser).store()
    finally:
        await in_thread(parser.close)


def _completed(report: SyncReport, run: Run, findings: Findings, started_s: float) -> SyncReport:
    survey = findings.survey
    report.skipped = sorted(set(survey.skipped), key=lambda skipped: skipped.path)
    report.failed = [skipped for skipped in report.skipped if skipped.reason.is_failure]
    report.notices = run.notices
    report.folders = survey.folders
    report.counters = survey.counters
    report.seconds = time.perf_counter() - started_s
    report.peak_rss_bytes = _peak_rss_bytes()
    return report


def _project_state(location: Location) -> ProjectState | None:
    """Return what the database says of the project; None where it cannot say anything.

    Raises SchemaUnsupportedError and DatabaseServerError.
    """
    try:
        return location.read_state()
    except (SchemaUnsupportedError, DatabaseServerError):
        raise
    except BmGitIndexError:
        return None


def _stored_count(location: Location) -> int:
    """Return how many files the database knows; 0 where it cannot say."""
    try:
        return location.read_file_count()
    except BmGitIndexError:
        return 0


def _peak_rss_bytes() -> int:
    try:
        with open("/proc/self/status", "rb") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith(b"VmHWM:"))
    except (OSError, StopIteration):
        pass  # not Linux
    # Imported here: only a report needs it. On Linux it would tell the size of whoever started this process, if larger.
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): bytes on macOS, kilobytes elsewhere
