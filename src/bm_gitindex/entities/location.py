"""Where a project's entities are: an SQLite file in the state folder, or a PostgreSQL server.

What a sync, a reader and `verify` ask of either stands here. Neither SQLAlchemy nor a driver is imported before it is
needed: the tie of a local database is read through the standard library alone.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bm_gitindex.entities.tie import nothing_stored, read_failures, read_file_count, read_only_uri, read_project_state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from bm_gitindex.entities.database import Database  # layers: types only
    from bm_gitindex.entities.records import FileFailure, ProjectState
    from bm_gitindex.options import Options
    from bm_gitindex.statefolder import StateFolder


class Location(Protocol):
    """Where the entities are; as text, how messages call it."""

    @property
    def file(self) -> Path | None:
        """The file that may be damaged, and set aside; None where that is a server's business."""

    def read_state(self) -> ProjectState | None:
        """Return what the project row says, or None where there is nothing to go by.

        None means that a sync has to compare everything: nothing is stored, or not for the project that this folder
        is, or a writer must first migrate an older schema.

        Raises DatabaseDamagedError, SchemaUnsupportedError, StateFolderError and DatabaseServerError.
        """

    def read_file_count(self) -> int:
        """Return how many files the database knows; 0 where there is nothing to go by. Raises as `read_state`."""

    def read_failures(self) -> list[FileFailure]:
        """Return the files that could not be read: the last 100 at most. Raises as `read_state`.

        A server is not asked, which may be far away; what it holds of them, a sync says.
        """

    def marks(self) -> tuple[object, ...]:
        """Return what is another whenever a sync has written. Raises as `read_state`."""

    def open_for_writing(self) -> AbstractAsyncContextManager[Database]:
        """Open the database, created and migrated if need be, for the holder of the project's lock.

        Raises StateWriteError, DatabaseDamagedError, LockHeldError, SchemaUnsupportedError and DatabaseServerError.
        """

    def open_for_reading(self) -> AbstractAsyncContextManager[Database]:
        """Open the database to look entities up; nothing is written.

        Raises NotFoundError if there is nothing to read before a sync, and as `read_state`.
        """


class LocalDatabase:
    """An SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def file(self) -> Path:
        """The file itself."""
        return self.path

    def read_state(self) -> ProjectState | None:
        """Return what the project row says; see `Location.read_state`."""
        return read_project_state(self.path)

    def read_file_count(self) -> int:
        """Return how many files the database knows."""
        return read_file_count(self.path)

    def read_failures(self) -> list[FileFailure]:
        """Return the files that could not be read."""
        return read_failures(self.path)

    def marks(self) -> tuple[object, ...]:
        """Return inode, size and time of the file, and of the log beside it."""
        return tuple(_mark(path) for path in (self.path, self.path.with_name(self.path.name + "-wal")))

    def open_for_writing(self) -> AbstractAsyncContextManager[Database]:
        """Open the file, created if need be."""
        from bm_gitindex.entities.database import open_for_writing

        return open_for_writing(self.path)

    @asynccontextmanager
    async def open_for_reading(self) -> AsyncIterator[Database]:
        """Open the file, which is not changed; none is left beside it."""
        from bm_gitindex.entities.database import open_for_reading

        uri = None if self.read_state() is None else read_only_uri(self.path)
        if uri is None:
            raise nothing_stored(self)
        async with open_for_reading(self.path, uri) as opened:
            yield opened


def location_of(state: StateFolder, options: Options) -> Location:
    """Return where a project's entities are. Raises ConfigError for a `database_url` that cannot be used."""
    if options.database_url is None:
        return LocalDatabase(state.database)
    # Imported here, since most projects have no server.
    from bm_gitindex.entities.remote import ServerDatabase
    from bm_gitindex.entities.server import server_at

    return ServerDatabase(server_at(options.database_url), state)


def located(database: Location | Path) -> Location:
    """Return a location; a path stands for the file there."""
    return LocalDatabase(database) if isinstance(database, Path) else database


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        st = path.stat()
    except OSError:
        return None
    return st.st_ino, st.st_size, st.st_mtime_ns
