"""Whether files, index and database agree, found out by a path of its own.

Nothing of what a sync uses to list, compare or query is used here, or both could be blind to the same thing: `oracle`
lists and reads the files, has the index read by dulwich, asks the database in plain SQL, and resolves links in memory.
The rules of what is left out, and the parser of notes, are shared: they say what is meant to be stored. `status` is
asked what it knows to differ; what differs without its knowledge is a mismatch.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.changes import status
from bm_gitindex.entities.location import location_of
from bm_gitindex.errors import IndexDamagedError, StateFolderError
from bm_gitindex.filesystem import trust_for
from bm_gitindex.index.entry import Tracking
from bm_gitindex.indexfile import read_index
from bm_gitindex.notes.shape import parsed_by
from bm_gitindex.oracle.content import differences, shown_difference
from bm_gitindex.oracle.database import DamagedError, NeedsWriterError, open_database
from bm_gitindex.oracle.entries import ReadersDifferError, indexed_files
from bm_gitindex.oracle.links import LinkTable
from bm_gitindex.oracle.tree import TreeReader
from bm_gitindex.progress import Progress, no_progress
from bm_gitindex.statefolder import open_state_file

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from bm_gitindex.changes import Status
    from bm_gitindex.entities.location import Location
    from bm_gitindex.options import Options
    from bm_gitindex.oracle.database import Database, EntityRow, ProjectRow
    from bm_gitindex.oracle.entries import IndexedFile
    from bm_gitindex.oracle.tree import FoundFile
    from bm_gitindex.statefolder import StateFolder

PROJECT = b""
"""The path of a mismatch that is no single file's: that of the root."""

_REMEDY = "run `bm-gitindex sync --paranoid`, which keeps the file aside if it is damaged, and reads everything anew"
_ATTEMPTS = 3
_MASK = 0xFFFF_FFFF
_FOUR_GIB_STORED = 0x8000_0000
_NS_PER_S = 1_000_000_000
_INT64_MAX = 2**63 - 1
_TRACKING = {
    "note": Tracking.CONTENT,
    "file": Tracking.CONTENT,
    "stat-only": Tracking.STAT,
    "sample": Tracking.SAMPLE,
}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something that is not as it should be, and that no sync but a paranoid one is known to put right."""

    path: bytes
    """`PROJECT` where it is no single file's."""
    kind: str
    """What it is about: `missed-edit`, `not-in-database`, `link`, `tie` and so on."""
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What does not agree."""

    ok: bool
    """Whether there is no mismatch; there may be edits for the next sync."""
    mismatches: tuple[Mismatch, ...]
    pending: tuple[bytes, ...]
    """Paths that the next sync is known to bring up to date: what `status` reports, and files that were touched."""
    unreadable: tuple[bytes, ...]
    """Files and folders that could not be looked at: nothing is said of them."""
    files_checked: int
    """Files that were read and compared with the index."""
    seconds: float


def verify(
    root: Path, state: StateFolder, options: Options, on_progress: Callable[[Progress], None] = no_progress
) -> Verification:
    """Compare files, by their content, with index and database, and return what does not agree. Nothing is written.

    Files and folders that cannot be looked at are passed over, as a sync does. Raises IndexUnsupportedError,
    SchemaUnsupportedError, StateFolderError, and LockHeldError where a foreign program keeps the database locked.
    """
    started_s = time.perf_counter()
    found: frozenset[Mismatch] = frozenset()
    location = location_of(state, options)
    for _ in range(_ATTEMPTS):
        before, found_before = _marks(state, location), found
        check = _Check(root, state, options, on_progress)
        check.run()
        found = frozenset(check.mismatches)
        # A sync that came in between explains whatever was found, and a file that came and went while it was looked
        # for explains what was found of it: that has to be found twice.
        explained = found if _marks(state, location) != before else found & check.doubted
        lasting = (found - explained) | (found & found_before)
        if lasting == found:
            break
    mismatches = tuple(sorted(lasting, key=lambda mismatch: (mismatch.path, mismatch.kind)))
    return Verification(
        ok=not mismatches,
        mismatches=mismatches,
        pending=tuple(sorted(check.pending)),
        unreadable=tuple(sorted(check.unreadable)),
        files_checked=check.files_checked,
        seconds=time.perf_counter() - started_s,
    )


class _Stores(NamedTuple):
    """Index and database, as far as they are held in memory."""

    entries: Mapping[bytes, IndexedFile]
    rows: Mapping[bytes, EntityRow]
    table: LinkTable
    database: Database
    is_stale: bool
    """The entities were made by another parser, or under other options."""


class _Check:
    """One comparison of everything with everything."""

    def __init__(
        self, root: Path, state: StateFolder, options: Options, on_progress: Callable[[Progress], None]
    ) -> None:
        self.mismatches: list[Mismatch] = []
        self.doubted: set[Mismatch] = set()
        """Those that are with the files."""
        self.pending: set[bytes] = set()
        self.unreadable: frozenset[bytes] | set[bytes] = frozenset()
        self.files_checked = 0
        self._root = root
        self._state = state
        self._options = options
        self._location = location_of(state, options)
        self._on_progress = on_progress
        self._tree = TreeReader(root, options)
        self._compares_ns = trust_for(root, options).check_stat == "default"
        self._doubts: list[Mismatch] = []
        """What differs from the file; only a mismatch where `status` does not know of it."""

    def run(self) -> None:
        """Fill the public attributes."""
        try:
            entries, trailer = self._read_index()
        except (IndexDamagedError, ReadersDifferError) as error:
            self._add(PROJECT, "index", str(error))
            entries, trailer = None, ""
        is_index_damaged = bool(self.mismatches)
        try:
            with ExitStack() as stack:
                file = _database_file(self._location, stack)
                database = None if file is None else stack.enter_context(open_database(file))
                project = self._read_project(database)
                if entries is not None and database is not None and project is not None:
                    self._compare_stores(entries, trailer, database, project)
                elif (entries is None) != (project is None) and not self.mismatches:
                    missing = "index" if entries is None else "database"
                    self._add(PROJECT, "tie", f"the {missing} is missing; run `bm-gitindex sync`, which builds it anew")
        except DamagedError as error:
            self._add(PROJECT, "database", f"{self._location}: {error}; {_REMEDY}")
        except NeedsWriterError as error:
            self._add(PROJECT, "tie", f"{self._location}: {error}; run `bm-gitindex sync`, which sees to it")
        # Last, so that an edit made while the files were read is known as one.
        if not is_index_damaged:
            self._settle_doubts(status(self._root, self._state, self._options))

    def _read_index(self) -> tuple[dict[bytes, IndexedFile] | None, str]:
        """Return entries by path, and the trailer; None and nothing without an index."""
        for _ in range(_ATTEMPTS):
            snapshot = read_index(self._state)
            if not snapshot.exists:
                return None, ""
            try:
                with open_state_file(self._state.index) as file:
                    data = file.read()
            except OSError as error:
                raise StateFolderError(f"cannot read {self._state.index}: {error.strerror}") from error
            # Otherwise a sync has put another one in its place, and each reader has read its own.
            if data[-20:] == snapshot.index.trailer:
                break
        try:
            return indexed_files(data, snapshot.index), data[-20:].hex()
        except ReadersDifferError as error:
            raise ReadersDifferError(f"{self._state.index}: {error}") from error

    def _read_project(self, database: Database | None) -> ProjectRow | None:
        """Return the project row; None without one, and where the database is too damaged to be compared."""
        if database is None:
            return None
        damage = database.damage()
        for problem in damage or database.problems():
            self._add(PROJECT, "database", f"{problem}; {_REMEDY}")
        return None if damage else database.project()

    def _compare_stores(
        self, entries: dict[bytes, IndexedFile], trailer: str, database: Database, project: ProjectRow
    ) -> None:
        self._compare_tie(trailer, project)
        is_stale = project.parsed_by != parsed_by(self._options)
        if is_stale:
            detail = "notes were parsed by another parser, or under other options; run `bm-gitindex sync`"
            self._add(PROJECT, "stale-parse", detail)
        rows = {row.path: row for row in database.entities()}
        stores = _Stores(entries, rows, LinkTable(rows.values()), database, is_stale)
        self._compare_paths(stores)
        self._compare_links(stores, is_tie_closed=bool(project.tie_closed))
        self._compare_files(stores)

    # --- index and database ------------------------------------------------------------------------------------------

    def _compare_tie(self, trailer: str, project: ProjectRow) -> None:
        remedy = "run `bm-gitindex sync`, which compares everything"
        if not project.tie_closed:
            self._add(PROJECT, "tie", f"a sync was interrupted, or is under way; {remedy}")
        elif project.index_trailer != trailer:
            theirs = f"the database belongs to {project.index_trailer}, not to {trailer}"
            self._add(PROJECT, "tie", f"index and database do not belong together: {theirs}; {remedy}")

    def _compare_paths(self, stores: _Stores) -> None:
        for path in stores.entries.keys() - stores.rows.keys():
            self._add(path, "not-in-database", "the index has it")
        for path in stores.rows.keys() - stores.entries.keys():
            self._add(path, "not-in-index", "the database has it")
        for path in stores.entries.keys() & stores.rows.keys():
            self._compare_row(stores.entries[path], stores.rows[path])

    def _compare_row(self, entry: IndexedFile, row: EntityRow) -> None:
        """Compare what both stores say of a file; all of it is true of the same moment, whatever the file is now."""
        if row.blob_id != entry.blob_id:
            self._add(row.path, "id-differs", f"{entry.blob_id} in the index, {row.blob_id} in the database")
            return
        if _TRACKING.get(row.kind) is not entry.tracking:
            self._add(row.path, "kind", f"{entry.tracking.value} in the index, {row.kind} in the database")
        if entry.states_size and entry.size != _stored_size(row.size_bytes):
            self._add(row.path, "size", f"{entry.size} in the index, {row.size_bytes} in the database")
        is_beyond = abs(row.mtime_ns) >= _INT64_MAX
        if entry.states_mtime and not is_beyond and entry.mtime != _stored_mtime(row.mtime_ns):
            self._add(row.path, "mtime", f"{entry.mtime} in the index, {row.mtime_ns} in the database")

    def _compare_links(self, stores: _Stores, *, is_tie_closed: bool) -> None:
        path_by_id = {row.id: path for path, row in stores.rows.items()}
        for link in stores.database.links():
            path = path_by_id.get(link.from_id)
            if path is None or (link.to_id is not None and link.to_id not in path_by_id):
                continue  # an orphan, which the database's own check has found
            if link.pending:
                if is_tie_closed:
                    self._add(path, "link", f"[[{link.target}]] is still to be resolved")
                continue
            expected = stores.table.resolve(link.target)
            if link.to_id != expected:
                aims = [None if aim is None else path_by_id[aim] for aim in (link.to_id, expected)]
                self._add(path, "link", f"[[{link.target}]]: {shown_difference(*aims)}")

    # --- files against both ------------------------------------------------------------------------------------------

    def _compare_files(self, stores: _Stores) -> None:
        for found in self._tree.files():
            entry = stores.entries.get(found.path)
            if entry is None:
                self._doubt(found.path, "missed-file", "neither in the index nor reported as new")
                continue
            self.files_checked += 1
            self._on_progress(Progress("checking", self.files_checked, 0))
            if entry.blob_id != found.content_id:
                ids = f"{entry.blob_id} in the index, {found.content_id} by the file"
                self._doubt(found.path, "missed-edit", ids)
                continue
            row = stores.rows.get(found.path)
            if row is not None and row.blob_id == entry.blob_id:
                self._compare_times(found, entry, row)
                if not stores.is_stale:
                    self._compare_content(found, row, stores)
        for path in stores.entries.keys() - self._tree.read_paths:
            self._doubt(
                path, "missed-deletion", "in the index, but there is no such file, nor is it reported as deleted"
            )

    def _compare_times(self, found: FoundFile, entry: IndexedFile, row: EntityRow) -> None:
        if row.size_bytes != found.size_bytes:
            self._doubt(row.path, "size", shown_difference(row.size_bytes, found.size_bytes))
        second, nanosecond = _stored_mtime(found.mtime_ns)
        if entry.mtime[0] != second or (self._compares_ns and entry.mtime[1] != nanosecond):
            self.pending.add(found.path)  # touched: the next sync takes over the time
        elif entry.mtime[1] == nanosecond and row.mtime_ns != max(-_INT64_MAX, min(found.mtime_ns, _INT64_MAX)):
            self._doubt(row.path, "mtime", shown_difference(row.mtime_ns, found.mtime_ns))

    def _compare_content(self, found: FoundFile, row: EntityRow, stores: _Stores) -> None:
        if row.kind != found.kind.value:
            self._doubt(found.path, "kind", shown_difference(row.kind, found.kind.value))
            return
        content = stores.database.content(row.id)
        for kind, detail in differences(found, row, content, self._options.bounds):
            self._doubt(found.path, kind, detail)

    def _settle_doubts(self, known: Status) -> None:
        """Let go of what `status` knows of, and of what nobody can look at."""
        changed = {change.path for change in known.changes}
        changed.update(change.old_path for change in known.changes if change.old_path is not None)
        self.pending |= changed
        unread = self._tree.unread.union(skip.path for skip in known.skipped if skip.reason.keeps_known)
        self.unreadable = self._tree.unread.union(skip.path for skip in known.skipped if skip.reason.is_failure)
        found = {(mismatch.path, mismatch.kind) for mismatch in self.mismatches}
        for doubt in self._doubts:
            is_explained = doubt.path in changed or _is_within(doubt.path, unread)
            if not is_explained and (doubt.path, doubt.kind) not in found:
                self.mismatches.append(doubt)
                self.doubted.add(doubt)

    def _add(self, path: bytes, kind: str, detail: str) -> None:
        self.mismatches.append(Mismatch(path, kind, detail))

    def _doubt(self, path: bytes, kind: str, detail: str) -> None:
        self._doubts.append(Mismatch(path, kind, detail))


def _is_within(path: bytes, places: Collection[bytes]) -> bool:
    """Return whether a path is one of these places, or below one; the empty place is the root."""
    while path:
        if path in places:
            return True
        path = path.rpartition(b"/")[0]
    return b"" in places


def _stored_size(size_bytes: int) -> int:
    """Return a size as git's index has it: 32 bits, of which 0 is kept for files of no size."""
    return size_bytes & _MASK or (_FOUR_GIB_STORED if size_bytes else 0)


def _stored_mtime(mtime_ns: int) -> tuple[int, int]:
    second, nanosecond = divmod(mtime_ns, _NS_PER_S)
    return second & _MASK, nanosecond


def _marks(state: StateFolder, location: Location) -> tuple[object, ...]:
    """Return what changes whenever a sync writes."""
    try:
        st = state.index.stat()
    except OSError:
        return location.marks()
    return st.st_ino, st.st_size, st.st_mtime_ns, *location.marks()


def _database_file(location: Location, stack: ExitStack) -> Path | None:
    """Return the SQLite file to look into; of a server's rows, a temporary copy. None where there are none."""
    if location.file is not None:
        return location.file
    # Imported here, since most projects have no server.
    from bm_gitindex.entities.remote import ServerDatabase
    from bm_gitindex.oracle.servercopy import copy_project

    assert isinstance(location, ServerDatabase)
    project = location.project_to_read()
    if project is None:
        return None
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="bm-gitindex-")))
    folder.chmod(0o700)  # whatever the umask
    copy_project(location.server, project, folder / "copy.db")
    return folder / "copy.db"
