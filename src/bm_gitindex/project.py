"""The library's front: a project, and what can be asked of it.

Everything here stands on modules that are imported when they are needed, since SQLAlchemy costs half a second and an
event loop a twentieth.
"""

from __future__ import annotations

import errno
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bm_gitindex.config import load_options
from bm_gitindex.errors import IndexDamagedError, UsageError
from bm_gitindex.progress import no_progress
from bm_gitindex.statefolder import StateFolder, checked_root

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable

    from bm_gitindex.changes import Status
    from bm_gitindex.entities.location import Location
    from bm_gitindex.entities.reader import Entities
    from bm_gitindex.indexfile import IndexSnapshot
    from bm_gitindex.memory import Memory
    from bm_gitindex.options import Options, WatchOptions
    from bm_gitindex.progress import Progress
    from bm_gitindex.syncing.importing import ImportReport, ImportRequest
    from bm_gitindex.syncing.report import SyncReport, SyncRequest
    from bm_gitindex.verify import Verification
    from bm_gitindex.watching.report import WatchReport
    from bm_gitindex.watching.watcher import Watcher

    AnyPath = str | bytes | os.PathLike[str]


class Project:
    """A folder of notes, with the state that is kept of it. Making one touches nothing."""

    def __init__(self, root: str | os.PathLike[str], options: Options | None = None) -> None:
        """`options` None takes those of the project's configuration file.

        Raises RootMissingError where the root is not a folder, ConfigError, and StateFolderError.
        """
        self.root = checked_root(root)
        self.options = load_options(self.root) if options is None else options
        self._given_options = options
        self.state = StateFolder(self.root, self.options.state_dir)
        self.state.check()
        self._memory: Memory | None = None
        if self.options.database_url is not None:
            self._location()

    def status(self, paths: Iterable[AnyPath] = (), on_progress: Callable[[Progress], None] = no_progress) -> Status:
        """Return what differs from the index, in all of the project or in `paths`; nothing is written.

        `paths` are relative to the root, or absolute. Raises UsageError for a path outside of the root,
        IndexDamagedError, IndexUnsupportedError and StateFolderError.
        """
        from bm_gitindex.changes import status
        from bm_gitindex.memory import Memory

        self._memory = self._memory or Memory()
        found = status(self.root, self.state, self.options, self._known(paths), on_progress, self._memory)
        if found.is_clean and not any(skipped.reason.is_failure for skipped in found.skipped):
            return found
        # Imported here, since a database is asked only where something differs.
        from bm_gitindex.setaside import with_set_aside

        return with_set_aside(found, self._location())

    async def sync(self, paths: Iterable[AnyPath] = (), request: SyncRequest | None = None) -> SyncReport:
        """Bring index and database up to date, for all of the project or for `paths`, and return what was done.

        Blocking work runs in threads. Raises UsageError for a path outside of the root, LockHeldError,
        SafetyStopError, StateWriteError, StateFolderError, IndexUnsupportedError and SchemaUnsupportedError.
        """
        from bm_gitindex.syncing.session import sync

        return await sync(self.root, self.state, self.options, self._request(paths, request))

    def sync_blocking(self, paths: Iterable[AnyPath] = (), request: SyncRequest | None = None) -> SyncReport:
        """Do as `sync` does, for callers without an event loop of their own."""
        from bm_gitindex.syncing.session import sync_blocking

        return sync_blocking(self.root, self.state, self.options, self._request(paths, request))

    def rehearse_sync(self, paths: Iterable[AnyPath] = (), request: SyncRequest | None = None) -> SyncReport:
        """Return what a sync would report, without a lock and without writing anything.

        Raises UsageError for a path outside of the root, SafetyStopError where a sync would, IndexDamagedError,
        IndexUnsupportedError and StateFolderError.
        """
        from bm_gitindex.syncing.session import rehearse

        return rehearse(self.root, self.state, self.options, self._request(paths, request))

    async def import_basic_memory(self, request: ImportRequest) -> ImportReport:
        """Sync, then take over external ids, permalinks and times of creation from a database of basic-memory.

        Raises ForeignDatabaseError for one that cannot be used, NotFoundError for a rehearsal before the first sync,
        and what `sync` raises; nothing was taken over then.
        """
        from bm_gitindex.syncing.importing import import_identities

        return await import_identities(checked_root(self.root), self.state, self.options, request)

    def import_basic_memory_blocking(self, request: ImportRequest) -> ImportReport:
        """Do as `import_basic_memory` does, for callers without an event loop of their own."""
        from bm_gitindex.syncing.importing import import_identities_blocking

        return import_identities_blocking(checked_root(self.root), self.state, self.options, request)

    def watcher(self, how: WatchOptions | None = None) -> Watcher:
        """Return what watches the project once it is let (`watching.session.watch`)."""
        from bm_gitindex.options import WatchOptions
        from bm_gitindex.watching.watcher import Watcher

        return Watcher(self.root, self._given_options, how or WatchOptions())

    def watch(self, how: WatchOptions | None = None) -> AsyncGenerator[WatchReport]:
        """Sync what changes as it changes, and return a generator of what was done, until the caller breaks off.

        A loop that is left lets its generator be closed a little later; until then a second watch is refused. Within
        `async with contextlib.aclosing(project.watch()) as reports` it has ended when the body has.

        Its first step raises LockHeldError where the project is watched already, StateFolderError, StateWriteError and
        RootMissingError. What goes wrong later is told in reports, and tried again.
        """
        from bm_gitindex.watching.session import watch_made

        return watch_made(lambda: self.watcher(how))

    def verify(self, on_progress: Callable[[Progress], None] = no_progress) -> Verification:
        """Compare files, by their content, with index and database, and return what does not agree.

        Raises RootMissingError, IndexUnsupportedError, SchemaUnsupportedError, StateFolderError, and LockHeldError
        where a foreign program keeps the database locked.
        """
        from bm_gitindex.verify import verify

        checked_root(self.root)
        return verify(self.root, self.state, self.options, on_progress)

    def index(self) -> IndexSnapshot:
        """Return the index. Raises IndexDamagedError, IndexUnsupportedError and StateFolderError."""
        from bm_gitindex.indexfile import read_index

        return read_index(self.state)

    @asynccontextmanager
    async def entities(self) -> AsyncIterator[Entities]:
        """Open the entity database for reading. Raises NotFoundError before the first sync, DatabaseDamagedError."""
        from bm_gitindex.entities.reader import open_reader

        async with open_reader(self._location()) as entities:
            yield entities

    def relative(self, paths: Iterable[AnyPath]) -> tuple[bytes, ...]:
        """Return paths as the index has them; the root itself gives none, which stands for the whole project.

        Raises UsageError for a path outside of the root.
        """
        root = os.fsencode(self.root)
        relative = {os.path.relpath(os.path.join(root, os.fsencode(path)), root) for path in paths}
        for path in relative:
            if b"\0" in path:
                raise UsageError(f"{os.fsdecode(path)!r} is no path")
            if path == b".." or path.startswith(b"../"):
                raise UsageError(f"{os.fsdecode(os.path.join(root, path))} is outside of {self.root}")
        return () if b"." in relative else tuple(sorted(relative))

    def _location(self) -> Location:
        """Return where the entities are. Raises ConfigError for a `database_url` that cannot be used."""
        from bm_gitindex.entities.location import location_of

        return location_of(self.state, self.options)

    def _request(self, paths: Iterable[AnyPath], request: SyncRequest | None) -> SyncRequest:
        from dataclasses import replace

        from bm_gitindex.syncing.report import SyncRequest

        request = request or SyncRequest()
        return replace(request, paths=self._known([*paths, *request.paths]))

    def _known(self, paths: Iterable[AnyPath]) -> tuple[bytes, ...]:
        """Return paths as the index has them.

        Raises UsageError for one that is neither there nor in the index, and RootMissingError where the root has gone.
        """
        checked_root(self.root)
        relative = self.relative(paths)
        for path in relative:
            if not self._is_there(path) and not self._remembers(path):
                raise UsageError(f"{os.fsdecode(path)} is neither in the project nor in its index")
        return relative

    def _is_there(self, path: bytes) -> bool:
        try:
            os.lstat(os.path.join(os.fsencode(self.root), path))
        except OSError as error:
            return error.errno == errno.ENAMETOOLONG and self._is_far_down(path)
        return True

    def _is_far_down(self, path: bytes) -> bool:
        """Return whether a path is there that is longer than a system call takes."""
        # Imported here, since it serves only paths of more than 4096 bytes.
        from bm_gitindex.worktree.tree import Tree

        try:
            with Tree(self.root) as tree:
                tree.lstat(path)
        except OSError:
            return False
        return True

    def _remembers(self, path: bytes) -> bool:
        try:
            index = self.index().index
        except IndexDamagedError:
            return True  # whoever reads it next will say so, or repair it
        return path in index or any(known.startswith(path + b"/") for known in index)


def status(root: str | os.PathLike[str], paths: Iterable[AnyPath] = ()) -> Status:
    """Return what differs from a project's index; see `Project.status`."""
    return Project(root).status(paths)


async def sync(root: str | os.PathLike[str], paths: Iterable[AnyPath] = ()) -> SyncReport:
    """Bring a project's index and database up to date; see `Project.sync`."""
    return await Project(root).sync(paths)


def watch(root: str | os.PathLike[str], how: WatchOptions | None = None) -> AsyncGenerator[WatchReport]:
    """Watch a project, and return a generator of what was done; see `Project.watch`.

    `async with contextlib.aclosing(bmg.watch(root)) as reports` ends it with its body, and not a little later.
    """
    from bm_gitindex.watching.session import watch_made

    return watch_made(lambda: Project(root).watcher(how))


@asynccontextmanager
async def open_entities(root: str | os.PathLike[str]) -> AsyncIterator[Entities]:
    """Open a project's entity database for reading; see `Project.entities`."""
    async with Project(root).entities() as entities:
        yield entities
