"""The tie between index and database, read through the standard library alone.

Whether a run has anything to store is known before SQLAlchemy is imported. Reading here changes no byte of database or
`-wal`, and leaves no file behind. (Beside a writer, or what one has left, SQLite notes its locks in `-shm`.)
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from bm_gitindex.entities.pathtext import text_to_path
from bm_gitindex.entities.records import FileFailure, ProjectState
from bm_gitindex.entities.sqliteerrors import damaged, translated
from bm_gitindex.errors import LockHeldError, NotFoundError, SchemaUnsupportedError, StateFolderError, StateWriteError
from bm_gitindex.statefolder import check_companions, open_state_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Answer = TypeVar("Answer")

SCHEMA_REVISIONS = ("0001", "0002")
"""Every revision of the schema that this release can read or migrate, oldest first."""
SCHEMA_HEAD = SCHEMA_REVISIONS[-1]
"""The revision that this release writes."""
LOCAL_PROJECT = "local"
"""Name of the one project of a database in a state folder."""

_WAL_FORMAT = b"\x02"
_WRITE_FORMAT_OFFSET = 18  # sqlite.org/fileformat2.html, "File format version numbers"
_READ_FORMAT_OFFSET = 19
_REVISION_FORM = re.compile("[0-9]{4}")
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
PROGRAM = "SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view') OR sql LIKE 'CREATE VIRTUAL%'"
"""What runs by itself in a database; ours has none of it, and one that came with a folder may."""
_REVISION = "SELECT version_num FROM alembic_version"
_STATE = (
    "SELECT tie_closed, index_trailer, parsed_by, entries_at_full_sync, deleted_since_full_sync"
    " FROM project WHERE name = ?"
)

_FAILURES = (
    "SELECT file_path, error, failures, window_started_at, last_failed_at, size_bytes, mtime_ns, ctime_ns"
    " FROM file_failure JOIN project ON project.id = project_id WHERE project.name = ?"
)


def read_project_state(database: Path) -> ProjectState | None:
    """Return what the project row says, or None where there is nothing to go by.

    None means that the file is absent or empty, holds no project, or that a writer must first migrate its older
    schema or recover what a crash has left.

    Raises DatabaseDamagedError for a file that is no readable entity database, SchemaUnsupportedError for one
    that a newer release wrote, and StateFolderError for one that may not be read.
    """
    return _read(database, lambda connection: _project_state(connection, database))


def read_file_count(database: Path) -> int:
    """Return how many files the database knows; 0 where there is nothing to go by. Raises as `read_project_state`."""
    return _read(database, lambda connection: _file_count(connection, database)) or 0


def read_failures(database: Path) -> list[FileFailure]:
    """Return the files that could not be read: the last 100 at most. Raises as `read_project_state`.

    None are told while somebody writes, or of what a killed writer has left: a status asks, which writes nothing, and
    SQLite would note its locks in `-shm`.
    """
    if any(_size_bytes(_beside(database, ending)) is not None for ending in ("-wal", "-shm")):
        return []
    return _read(database, lambda connection: _failures(connection, database)) or []


def _read(database: Path, query: Callable[[sqlite3.Connection], Answer | None]) -> Answer | None:
    try:
        uri = read_only_uri(database)
        if uri is None:
            return None
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            return query(connection)
    except OSError as error:
        raise _unreadable(database, error.strerror) from error
    except ValueError as error:
        raise damaged(database, error) from error
    except sqlite3.Error as error:
        # What the module itself finds, such as text that is not UTF-8, has no code.
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_ROLLBACK:
            return None
        reported = translated(error, database) or damaged(database, error)
        if isinstance(reported, StateWriteError):
            raise _unreadable(database, error) from error
        raise reported from error


def is_whole(database: Path) -> bool:
    """Return whether SQLite can find no damage in all of a database file, in one of two attempts.

    The caller holds the project's lock. Raises StateFolderError where the file cannot be read, and LockHeldError.
    """
    return any(_passes_check(database) for _ in range(2))


def _passes_check(database: Path) -> bool:
    uri = "file://" + quote(os.fsencode(os.path.abspath(database))) + "?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            return bool(connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError as error:
        reported = translated(error, database)
        if isinstance(reported, StateWriteError):
            raise _unreadable(database, error) from error
        if isinstance(reported, LockHeldError):
            raise reported from error
        return False


def check_revision(revision: object, database: Path) -> None:
    """Raise SchemaUnsupportedError unless this release can read or migrate a schema of this revision.

    Raises DatabaseDamagedError for what is no revision of ours at all.
    """
    if not is_revision(revision):
        raise damaged(database, f"its schema is {revision!r}")
    if revision not in SCHEMA_REVISIONS:
        raise SchemaUnsupportedError(
            f"{database}: a newer release of bm-gitindex wrote it (schema {revision}, known up to {SCHEMA_HEAD}); "
            "upgrade bm-gitindex, or delete the file and run `bm-gitindex sync` to rebuild it from the files"
        )


def nothing_stored(database: object) -> NotFoundError:
    """Return the error for a project that was never synced."""
    return NotFoundError(f"{database}: no entities are stored yet; run `bm-gitindex sync` first")


def is_revision(value: object) -> bool:
    """Return whether a value can name a revision of the schema, of this release or of a later one."""
    is_in_form = isinstance(value, str) and _REVISION_FORM.fullmatch(value) is not None
    return is_in_form and str(value) >= SCHEMA_REVISIONS[0]


def read_only_uri(database: Path) -> str | None:
    """Return the SQLite URI under which `database` is read without leaving anything behind.

    An ordinary read-only opening takes part in SQLite's locks and sees what a writer has committed. It would create
    `-wal` and `-shm` files, though, for a database in WAL mode that nobody has open; such a one is declared immutable.

    None means that there is nothing to read (no file, an empty one), or that only a writer can make sense of it: a
    `-wal` file without its `-shm`. Raises OSError if the file cannot be read, and ValueError if its header is damaged.
    """
    try:
        with open_state_file(database) as file:
            header = file.read(_READ_FORMAT_OFFSET + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not header:
        return None
    if len(header) <= _READ_FORMAT_OFFSET:
        raise ValueError("its header is cut short")  # SQLite would take it for an empty one
    if header[_WRITE_FORMAT_OFFSET:_READ_FORMAT_OFFSET] > _WAL_FORMAT:
        # SQLite would read it, and take it for one that may never be written to.
        raise ValueError("its header is damaged")
    check_companions(database)
    uri = "file://" + quote(os.fsencode(os.path.abspath(database))) + "?mode=ro"
    wal_bytes = _size_bytes(_beside(database, "-wal"))
    shm_bytes = _size_bytes(_beside(database, "-shm"))
    creates_nothing = wal_bytes is not None and shm_bytes is not None
    if header[_READ_FORMAT_OFFSET:] != _WAL_FORMAT or creates_nothing:
        return uri
    return None if wal_bytes else uri + "&immutable=1"


def _size_bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _beside(database: Path, ending: str) -> Path:
    return database.with_name(database.name + ending)


def _project_state(connection: sqlite3.Connection, database: Path) -> ProjectState | None:
    program = connection.execute(PROGRAM).fetchone()
    if program is not None:
        raise damaged(database, f"it has a trigger, a view or a virtual table: {program[0]!r}")
    tables = connection.execute(_TABLES).fetchall()
    if ("alembic_version",) not in tables:
        if tables:
            raise ValueError("its tables are another program's")
        return None
    revisions = connection.execute(_REVISION).fetchall()
    if len(revisions) != 1:
        raise ValueError(f"its schema has {len(revisions)} revisions")
    check_revision(revisions[0][0], database)
    if revisions[0][0] != SCHEMA_HEAD:
        return None
    row = connection.execute(_STATE, (LOCAL_PROJECT,)).fetchone()
    if row is None:
        return None
    tie_closed, trailer, parsed_by, entries, deleted = row
    if not isinstance(trailer, str | None) or not all(
        isinstance(value, int) for value in (tie_closed, entries, deleted)
    ):
        raise ValueError("its project row holds a value of a wrong type")
    return ProjectState(
        tie_closed=bool(tie_closed),
        index_trailer=None if trailer is None else bytes.fromhex(trailer),
        parsed_by=parsed_by,
        entries_at_full_sync=entries,
        deleted_since_full_sync=deleted,
    )


def _file_count(connection: sqlite3.Connection, database: Path) -> int | None:
    if _project_state(connection, database) is None:
        return None
    count: int = connection.execute("SELECT count(*) FROM entity").fetchone()[0]
    return count


def _failures(connection: sqlite3.Connection, database: Path) -> list[FileFailure] | None:
    if _project_state(connection, database) is None:
        return None
    rows = connection.execute(_FAILURES, (LOCAL_PROJECT,))
    return [
        FileFailure(
            path=text_to_path(path),
            error=error,
            failures=failures,
            window_started_at=_utc(started),
            last_failed_at=_utc(failed),
            size_bytes=size_bytes,
            mtime_ns=mtime_ns,
            ctime_ns=ctime_ns,
        )
        for path, error, failures, started, failed, size_bytes, mtime_ns, ctime_ns in rows
    ]


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _unreadable(database: Path, detail: object) -> StateFolderError:
    return StateFolderError(f"{database}: cannot be read ({detail}); make the file and its folder readable")
