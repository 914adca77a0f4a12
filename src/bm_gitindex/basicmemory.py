"""The database of basic-memory (0.23), read for the identities in it; nothing is written to it or left beside it.

Whatever it holds is taken for what a stranger wrote: values are fetched with their types and cut to size, and only from
tables, so that nothing of theirs runs.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote
from uuid import UUID

from bm_gitindex.entities.records import Identity
from bm_gitindex.entities.tie import read_only_uri
from bm_gitindex.errors import ForeignDatabaseError, LockHeldError
from bm_gitindex.notes.text import fits_index
from bm_gitindex.statefolder import check_companions, open_state_file

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLUMNS = {
    "project": ("id", "name", "permalink", "path"),
    "entity": ("project_id", "file_path", "external_id", "permalink", "created_at"),
}
_TABLE = "SELECT type, sql FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type <> 'index'"
# Of generated columns, which would be computed as they are read, `hidden` is 2 or 3.
_STORED_COLUMNS = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0"
# Comparing a value or joining it with another could convert it; `typeof` and a cast to bytes do not.
_PROJECTS = """
    SELECT id,
           typeof(name), substr(CAST(name AS BLOB), 1, :most),
           typeof(permalink), substr(CAST(permalink AS BLOB), 1, :most),
           typeof(path), substr(CAST(path AS BLOB), 1, :most)
    FROM project WHERE typeof(id) = 'integer' ORDER BY id LIMIT 1000"""
_IDENTITIES = """
    SELECT typeof(file_path), substr(CAST(file_path AS BLOB), 1, :most),
           typeof(external_id), substr(CAST(external_id AS BLOB), 1, :most),
           typeof(permalink), substr(CAST(permalink AS BLOB), 1, :most),
           typeof(created_at), substr(CAST(created_at AS BLOB), 1, :most)
    FROM entity WHERE project_id = :project ORDER BY file_path COLLATE BINARY"""
_IS_THERE = "SELECT 1 FROM entity WHERE project_id = ? AND file_path = CAST(? AS TEXT) LIMIT 1"
_BUSY_TIMEOUT_S = 10.0
_PRIMARY_CODE = 0xFF  # sqlite.org/rescode.html: the higher bits say more of the same
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_ROLLBACK_NEEDED = frozenset({sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_READONLY_RECOVERY})
_MOST_BYTES = 4096
"""Of a value: what is longer is no path, no permalink, no date."""
_SHOWN_PROJECTS = 20


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row of theirs that cannot be used, and why."""

    path: bytes
    reason: str


class TheirProject(NamedTuple):
    """A project of basic-memory."""

    id: int
    name: str
    permalink: str
    path: str


class _Value(NamedTuple):
    """A value as SQLite has it, cut to a length."""

    type: str
    data: bytes


class BasicMemory:
    """One project in a database of basic-memory, as it was at one moment."""

    def __init__(self, connection: sqlite3.Connection, project: TheirProject, watch: _Watch) -> None:
        """Made by `open_basic_memory` alone."""
        self.project = project
        self._connection = connection
        self._watch = watch

    def identities(self) -> Iterator[Identity | Rejected]:
        """Yield what each entity of the project is known by, in the order of the paths, a page of SQLite's at a time.

        Raises ForeignDatabaseError where the rows cannot be read.
        """
        parameters = {"project": self.project.id, "most": _MOST_BYTES + 1}
        with _errors_translated(self._watch.database):
            rows = (
                [_Value(*pair) for pair in _pairs(row)] for row in self._connection.execute(_IDENTITIES, parameters)
            )
            for path, rows_of_path in groupby(rows, key=lambda values: values[0]):
                first, *more = islice(rows_of_path, 2)
                if more:
                    yield Rejected(path.data, "basic-memory has this path more than once")
                else:
                    yield _identity(*first)

    def has(self, path: bytes) -> bool:
        """Return whether an entity of the project has this path."""
        with _errors_translated(self._watch.database):
            return self._connection.execute(_IS_THERE, (self.project.id, path)).fetchone() is not None

    def check_unchanged(self) -> None:
        """Raise LockHeldError where the database was written to while it was read without SQLite's locks."""
        self._watch.check()


@contextmanager
def open_basic_memory(database: Path, project: str) -> Iterator[BasicMemory]:
    """Open a database of basic-memory, and find the project of this name (or permalink, or path) in it.

    What a running basic-memory has committed is seen. Raises ForeignDatabaseError for what is no such database, or has
    no such project, and LockHeldError for one that another program keeps locked.
    """
    path = Path(os.path.realpath(os.path.expanduser(database)))
    watch = _Watch(path)
    with ExitStack() as stack:
        with _errors_translated(path):
            connection = _connected(path, watch, stack)
            _check_tables(connection, path)
            connection.set_authorizer(_authorize)
            found = _find(_projects(connection), project, path)
        yield BasicMemory(connection, found, watch)


def _connected(path: Path, watch: _Watch, stack: ExitStack) -> sqlite3.Connection:
    """Return a connection in a transaction, which sees the database as it is at its first query."""
    uri = _readable_uri(path, watch, stack)
    # The rows are fetched in threads, one at a time.
    connect = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)
    connection = stack.enter_context(closing(connect))
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("BEGIN")
    connection.text_factory = _lenient
    return connection


def _lenient(data: bytes) -> str:
    """Return text of a damaged schema; the values of rows are fetched as bytes."""
    return data.decode("utf-8", "replace")


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, inner: str | None) -> int:
    """Let a statement read the columns that are needed, and call what is needed for that.

    Without `trusted_schema`, which would do as much, SQLite opens no database whose indexes call `json_extract`, as
    basic-memory's do.
    """
    is_wanted = inner is None and (
        action == sqlite3.SQLITE_SELECT
        or (action == sqlite3.SQLITE_READ and second in _COLUMNS.get(first or "", ()))
        or (action == sqlite3.SQLITE_FUNCTION and second in {"typeof", "substr"})
    )
    return sqlite3.SQLITE_OK if is_wanted else sqlite3.SQLITE_DENY


class _Watch:
    """Whether a file that is read without SQLite's locks stays what it was."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._seen: list[tuple[int, ...] | None] | None = None

    def begin(self) -> None:
        """Remember what the file is now."""
        self._seen = self._marks()

    def check(self) -> None:
        """Raise LockHeldError where it is something else by now."""
        if self._seen is not None and self._seen != self._marks():
            raise LockHeldError(f"{self.database} was written to while it was read; run the command again")

    def _marks(self) -> list[tuple[int, ...] | None]:
        return [_mark(self.database), _mark(self.database.with_name(f"{self.database.name}-wal"))]


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        st = path.stat()
    except OSError:
        return None
    return (st.st_ino, st.st_size, st.st_mtime_ns) if st.st_size else None


def _readable_uri(path: Path, watch: _Watch, stack: ExitStack) -> str:
    """Return the URI under which the database can be read without leaving anything beside it.

    What a crash has left, a `-wal` without its `-shm`, is read from a copy.
    """
    try:
        with open_state_file(path) as file:
            if not file.read(1):
                raise _no_database(path, "it is empty")
        uri = read_only_uri(path)
        if uri is not None:
            if "immutable" in uri:
                watch.begin()
            return uri
        watch.begin()
        check_companions(path)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bm-gitindex-")))  # for this user alone
        for ending in ("", "-wal"):
            copied = path.with_name(path.name + ending)
            with open_state_file(copied) as source, (folder / f"copy.db{ending}").open("xb") as copy:
                copyfileobj(source, copy)
        watch.check()
    except OSError as error:
        raise ForeignDatabaseError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise _no_database(path, error) from error
    return f"file://{quote(os.fsencode(folder))}/copy.db?mode=rw"


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Raise ForeignDatabaseError unless the tables are tables, and have the columns that are needed."""
    for table, columns in _COLUMNS.items():
        found = connection.execute(_TABLE, (table,)).fetchall()
        if not found:
            raise _no_database(path, f"it has no table {table}")
        if len(found) > 1 or found[0][0] != "table" or str(found[0][1]).lstrip().upper().startswith("CREATE VIRTUAL"):
            raise _no_database(path, f"{table} is not a plain table in it")
        stored = {str(name) for (name,) in connection.execute(_STORED_COLUMNS, (table,))}
        missing = sorted(set(columns) - stored)
        if missing:
            raise _no_database(path, f"its table {table} has no column {', '.join(missing)}")


def _projects(connection: sqlite3.Connection) -> list[TheirProject]:
    """Return the projects that there are; one with a value of a wrong type is none."""
    projects = []
    for number, *rest in connection.execute(_PROJECTS, {"most": _MOST_BYTES + 1}):
        texts = [_text(_Value(*pair)) for pair in _pairs(rest)]
        name, permalink, path = texts
        if name is not None:
            projects.append(TheirProject(number, name, permalink or "", path or ""))
    return projects


def _find(projects: list[TheirProject], wanted: str, database: Path) -> TheirProject:
    """Return the project that is meant: by its name, else its permalink, else its path."""
    path = os.path.realpath(os.path.expanduser(wanted)) if wanted and "\0" not in wanted else None
    for found in (
        [one for one in projects if one.name == wanted],
        [one for one in projects if one.permalink == wanted],
        [one for one in projects if "\0" not in one.path and path == os.path.realpath(os.path.expanduser(one.path))],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise ForeignDatabaseError(f"{database} has {len(found)} projects that {wanted!r} may mean; name one")
    names = [repr(one.name) for one in projects[:_SHOWN_PROJECTS]]
    more = [f"and {len(projects) - len(names)} more"] if len(projects) > len(names) else []
    known = ", ".join([*names, *more]) or "none at all"
    raise ForeignDatabaseError(f"{database} has no project {wanted!r}; its projects: {known}")


def _pairs(row: list[str | bytes] | tuple[str | bytes, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield the type and the bytes of each value; NULL has none."""
    for kind, data in zip(row[::2], row[1::2], strict=True):
        yield str(kind), data if isinstance(data, bytes) else b""


def _identity(path: _Value, external_id: _Value, permalink: _Value, created_at: _Value) -> Identity | Rejected:
    reason = _path_problem(path)
    if reason is not None:
        return Rejected(path.data[:_MOST_BYTES], reason)
    uuid = _text(external_id)
    if uuid is None or not _is_uuid(uuid):
        return Rejected(path.data, "its external id is no UUID")
    link = _text(permalink)
    if permalink.type != "null" and (not link or not fits_index(link)):
        return Rejected(path.data, "its permalink is no text, or too long")
    created = None
    if created_at.type != "null":
        created = _moment(_text(created_at))
        if created is None:
            return Rejected(path.data, "its created_at is no date")
    return Identity(path.data, uuid, link, created)


def _path_problem(path: _Value) -> str | None:
    """Return why a path cannot be one of a file in the project; None if it can."""
    if path.type != "text":
        return "its path is no text"
    if len(path.data) > _MOST_BYTES:
        return "its path is too long"
    if b"\0" in path.data or not {b"", b".", b".."}.isdisjoint(path.data.split(b"/")):
        return "its path leads nowhere in the project"
    return None


def _text(value: _Value) -> str | None:
    """Return a text that can be stored: UTF-8 of a limited length without NUL."""
    if value.type != "text" or len(value.data) > _MOST_BYTES or b"\0" in value.data:
        return None
    try:
        return value.data.decode()
    except UnicodeDecodeError:
        return None


def _is_uuid(text: str) -> bool:
    try:
        uuid = UUID(text)
    except ValueError:
        return False
    return str(uuid) == text and uuid.int != 0


def _moment(text: str | None) -> datetime | None:
    """Return a time in UTC. basic-memory writes the hour that its own clock showed, without the zone."""
    try:
        return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


@contextmanager
def _errors_translated(database: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:  # of what SQLite says of a damaged schema, quoting it
        raise _no_database(database, error) from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code & _PRIMARY_CODE in _BUSY:
            raise LockHeldError(
                f"{database}: another program is using it ({error}); try again once it is done"
            ) from error
        if code in _ROLLBACK_NEEDED:
            remedy = "start basic-memory once, which puts it right"
            raise ForeignDatabaseError(f"{database}: a crash has left a change half done; {remedy}") from error
        raise _no_database(database, error) from error


def _no_database(database: Path, detail: object) -> ForeignDatabaseError:
    return ForeignDatabaseError(f"{database}: not a database of basic-memory 0.23, or a damaged one ({detail})")
