"""Taking over identities from a database of basic-memory: an ordinary sync, and then one transaction.

A note's own front matter decides before any database, here as there. So of a note whose permalink or time of creation
differs the header is read once more, and only that: whether a row was made of it, or of path and file times, the row
does not tell.
"""

from __future__ import annotations

import time
import unicodedata
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.basicmemory import BasicMemory, Rejected, open_basic_memory
from bm_gitindex.entities.chunks import QUERY_CHUNK, chunks
from bm_gitindex.entities.location import Location, location_of
from bm_gitindex.entities.records import Adoption, HeldIdentity, Identity
from bm_gitindex.entities.tie import nothing_stored
from bm_gitindex.errors import LockHeldError
from bm_gitindex.indexfile import read_index
from bm_gitindex.indexlock import IndexLock, lock_index
from bm_gitindex.progress import Progress, no_progress
from bm_gitindex.rules import Kind
from bm_gitindex.syncing.cancellation import in_thread, run_in_loop, to_end
from bm_gitindex.syncing.findings import is_tied
from bm_gitindex.syncing.report import SyncReport, SyncRequest
from bm_gitindex.syncing.session import sync
from bm_gitindex.worktree.reading import ReadError, read_note
from bm_gitindex.worktree.tree import Tree
from bm_gitindex.writerlock import RETRY_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from bm_gitindex.entities.adopting import Adopting
    from bm_gitindex.entities.records import Contested
    from bm_gitindex.options import NoteBounds, Options
    from bm_gitindex.statefolder import StateFolder


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """From where identities are to be taken over, and how."""

    database: Path
    """The SQLite file of basic-memory; it is only read."""
    project: str
    """Name, permalink or path of the project in it."""
    is_rehearsal: bool = False
    """Say what would be done, against what the last sync has stored; nothing is synced or changed."""
    wait_s: float = 10.0
    """How long to wait for another process that holds the lock."""
    command: str = "bm-gitindex import-basic-memory"
    """Told to others that wait for the lock."""
    on_progress: Callable[[Progress], None] = no_progress


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something of an entity that was not taken over."""

    path: bytes
    field: str
    """`external_id`, `permalink` or `created_at`."""
    theirs: str
    ours: str | None
    """What the entity keeps."""
    reason: str


@dataclass(slots=True)
class ImportReport:
    """What an import did. `adopted` and `unchanged` together are the entities that both databases have."""

    root: Path
    project: str
    """Its name in basic-memory."""
    project_path: str
    """Where basic-memory has it."""
    sync: SyncReport | None = None
    """Of the sync that came first; None in a rehearsal."""
    adopted: int = 0
    unchanged: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    not_found: list[bytes] = field(default_factory=list)
    """Paths that only basic-memory has."""
    skipped: list[Rejected] = field(default_factory=list)
    """What could not be used, and why."""
    links_before: int = 0
    """Links that led to an entity before: by a permalink that has changed they do no more."""
    links_after: int = 0
    seconds: float = 0.0


class _RehearsedError(Exception):
    """Ends the transaction of a rehearsal, which is rolled back."""


def _end(*, is_rehearsal: bool) -> None:
    if is_rehearsal:
        raise _RehearsedError


async def import_identities(root: Path, state: StateFolder, options: Options, request: ImportRequest) -> ImportReport:
    """Sync, take over what basic-memory knows the files by, and return what was done.

    Raises ForeignDatabaseError for a database that cannot be used, NotFoundError for a rehearsal before the first sync,
    and what `sync` raises. Cancelled, or ended by any error, it has taken over nothing.
    """
    started_s = time.perf_counter()
    stop = Event()
    location = location_of(state, options)
    with ExitStack() as stack:
        try:
            opening = open_basic_memory(request.database, request.project)
            theirs = await in_thread(lambda: stack.enter_context(opening))
            report = ImportReport(root, theirs.project.name, theirs.project.path)
            if request.is_rehearsal:
                await in_thread(lambda: _require_stored(location))
            else:
                report.sync = await sync(root, state, options, _sync_request(request))
            lock = await _locked(stack, state, request)
            tree = stack.enter_context(Tree(root))
            await in_thread(lambda: _check_tie(state, location))
            work = _Import(theirs, lock, _Decider(tree, options.bounds), request.on_progress, stop)
            await to_end(work.run(location, report, is_rehearsal=request.is_rehearsal), stop.set)
        finally:
            await in_thread(stack.close)
    report.seconds = time.perf_counter() - started_s
    return report


def import_identities_blocking(
    root: Path, state: StateFolder, options: Options, request: ImportRequest
) -> ImportReport:
    """Do as `import_identities` does, for callers without an event loop."""
    return run_in_loop(lambda: import_identities(root, state, options, request))


def _sync_request(request: ImportRequest) -> SyncRequest:
    return SyncRequest(wait_s=request.wait_s, command=request.command, on_progress=request.on_progress)


async def _locked(stack: ExitStack, state: StateFolder, request: ImportRequest) -> IndexLock:
    """Take the lock, waiting here and not in one of the few threads of an event loop."""
    # Imported here: `sync_blocking` shares modules with this one, and often needs no event loop.
    import asyncio

    deadline = time.monotonic() + request.wait_s
    while True:
        try:
            return await in_thread(lambda: stack.enter_context(lock_index(state, 0, request.command)))
        except LockHeldError:
            if time.monotonic() >= deadline:
                raise
        await asyncio.sleep(RETRY_S)


def _require_stored(location: Location) -> None:
    """Raise NotFoundError before the first sync."""
    if location.read_state() is None:
        raise nothing_stored(location)


def _check_tie(state: StateFolder, location: Location) -> None:
    """Raise LockHeldError unless index and database belong together."""
    if not is_tied(location.read_state(), read_index(state)):
        raise LockHeldError(f"{state.path} was changed by a sync that did not finish; run the command again")


class _Decision(NamedTuple):
    """What becomes of one entity: what is taken over, if anything, and what is not."""

    adoption: Adoption | None
    conflicts: tuple[Conflict, ...] = ()
    skipped: Rejected | None = None


class _Import:
    """One import, from the first of their rows to the last transaction."""

    def __init__(
        self,
        theirs: BasicMemory,
        lock: IndexLock,
        decider: _Decider,
        on_progress: Callable[[Progress], None],
        stop: Event,
    ) -> None:
        self._theirs = theirs
        self._lock = lock
        self._decider = decider
        self._on_progress = on_progress
        self._stop = stop
        self._matched = 0

    async def run(self, location: Location, report: ImportReport, *, is_rehearsal: bool) -> None:
        """Take over all that can be, in one transaction, which is rolled back in a rehearsal."""
        # Imported here: SQLAlchemy costs half a second, which an error before this does not pay.
        from bm_gitindex.entities.soundness import damage_told
        from bm_gitindex.entities.store import open_store

        with damage_told(location):
            async with open_store(location) as store:
                try:
                    async with store.adopting() as adopting:
                        await self._adopt(adopting, report)
                        _end(is_rehearsal=is_rehearsal)
                except _RehearsedError:
                    return

    async def _adopt(self, adopting: Adopting, report: ImportReport) -> None:
        unmatched = await self._stage_all(adopting, report)
        report.not_found = await self._stage_other_spellings(adopting, report, unmatched)
        external_ids, permalinks = await adopting.settle()
        report.conflicts += [_contest("external_id", one) for one in external_ids]
        report.conflicts += [_contest("permalink", one) for one in permalinks]
        report.conflicts.sort(key=lambda conflict: (conflict.path, conflict.field))
        report.adopted, report.links_before, report.links_after = await adopting.finish()
        report.unchanged = self._matched - report.adopted
        self._check_may_go_on()
        self._theirs.check_unchanged()

    async def _stage_all(self, adopting: Adopting, report: ImportReport) -> list[Identity]:
        """Collect what is taken over, and return what has no entity of its path here."""
        rows = self._theirs.identities()
        unmatched: list[Identity] = []
        seen = 0
        while page := await in_thread(lambda: list(islice(rows, QUERY_CHUNK))):
            self._check_may_go_on()
            report.skipped += [row for row in page if isinstance(row, Rejected)]
            identities = [row for row in page if isinstance(row, Identity)]
            held = await adopting.held(identity.path for identity in identities)
            unmatched += [identity for identity in identities if identity.path not in held]
            pairs = [(identity, held[identity.path]) for identity in identities if identity.path in held]
            await self._stage(adopting, report, pairs)
            seen += len(page)
            self._on_progress(Progress("importing", seen, 0))
        return unmatched

    async def _stage_other_spellings(
        self, adopting: Adopting, report: ImportReport, unmatched: Sequence[Identity]
    ) -> list[bytes]:
        """Match paths that only differ in how Unicode writes their letters; return those that are not found at all.

        A folder that came from another system may have changed in this. What basic-memory has at the other spelling
        itself comes first.
        """
        not_found: list[bytes] = []
        taken: set[int] = set()
        for page in chunks(unmatched, QUERY_CHUNK):
            spellings = {identity.path: _other_spellings(identity.path) for identity in page}
            held = await adopting.held({spelling for some in spellings.values() for spelling in some})
            pairs = []
            for identity in page:
                found = [held[one] for one in spellings[identity.path] if one in held and not self._theirs.has(one)]
                if len(found) == 1 and found[0].id not in taken:
                    taken.add(found[0].id)
                    pairs.append((identity, found[0]))
                else:
                    not_found.append(identity.path)
            await self._stage(adopting, report, pairs)
        return not_found

    async def _stage(
        self, adopting: Adopting, report: ImportReport, pairs: Sequence[tuple[Identity, HeldIdentity]]
    ) -> None:
        decisions = await in_thread(lambda: [self._decider.decide(*pair) for pair in pairs])
        await adopting.stage([one.adoption for one in decisions if one.adoption is not None])
        report.conflicts += [conflict for one in decisions for conflict in one.conflicts]
        report.skipped += [one.skipped for one in decisions if one.skipped is not None]
        self._matched += sum(one.skipped is None for one in decisions)

    def _check_may_go_on(self) -> None:
        if self._stop.is_set():
            # Imported here: nothing sets it but an event loop, which is then there.
            from asyncio import CancelledError

            raise CancelledError
        self._lock.check()


class _Decider:
    """What one entity takes over, as far as it can be told without looking at the others."""

    def __init__(self, tree: Tree, bounds: NoteBounds) -> None:
        self._tree = tree
        self._bounds = bounds

    def decide(self, theirs: Identity, ours: HeldIdentity) -> _Decision:
        """Return what differs, without what the note itself states otherwise. Reads the note where that matters."""
        conflicts: list[Conflict] = []
        external_id = None if theirs.external_id == ours.external_id else theirs.external_id
        permalink = None if theirs.permalink == ours.permalink else theirs.permalink
        created_at = None if theirs.created_at == ours.created_at else theirs.created_at
        is_parsed = ours.kind is Kind.NOTE and ours.permalink is not None
        if permalink is not None and not is_parsed:
            conflicts.append(Conflict(ours.path, "permalink", permalink, None, "it is not read as a note here"))
            permalink = None
        if is_parsed and (permalink is not None or created_at is not None):
            try:
                stated_permalink, stated_created = self._stated(ours)
            except ReadError as error:
                return _Decision(None, skipped=Rejected(ours.path, error.skipped.why))
            except LookupError:
                return _Decision(None, skipped=Rejected(ours.path, "changed just now; run the command again"))
            if permalink is not None and stated_permalink not in {None, permalink}:
                reason = f"its front matter states {stated_permalink!r}"
                conflicts.append(Conflict(ours.path, "permalink", permalink, ours.permalink, reason))
                permalink = None
            if created_at is not None and stated_created is not None:
                reason = f"its front matter states {stated_created.isoformat()}"
                shown = (created_at.isoformat(), ours.created_at.isoformat())
                conflicts.append(Conflict(ours.path, "created_at", *shown, reason))
                created_at = None
        if external_id is None and permalink is None and created_at is None:
            return _Decision(None, tuple(conflicts))
        return _Decision(Adoption(ours.id, external_id, permalink, created_at), tuple(conflicts))

    def _stated(self, ours: HeldIdentity) -> tuple[str | None, datetime | None]:
        """Return what the note states. Raises ReadError, and LookupError where it is not what was stored any more."""
        # Imported here: YAML costs 20 ms that an import which changes nothing does not pay.
        from bm_gitindex.notes.parser import parse_identity

        reading = read_note(self._tree, ours.path, self._bounds.note_max_bytes)
        if reading.blob_id != ours.blob_id or reading.data is None:
            raise LookupError(ours.path)
        return parse_identity(reading.data, self._bounds)


def _contest(name: str, one: Contested) -> Conflict:
    if one.holder is None:
        reason = "basic-memory gives it to several entities"
    else:
        reason = f"{one.holder.decode('utf-8', 'replace')} has it here, and keeps it"
    return Conflict(one.path, name, one.wanted, one.held, reason)


def _other_spellings(path: bytes) -> set[bytes]:
    """Return the path composed and decomposed, as far as that differs."""
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return set()
    return {unicodedata.normalize(form, text).encode() for form in ("NFC", "NFD")} - {path}
