"""The entity database as plain SQL shows it, for `verify` alone. It is opened so that nothing is written or left."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from bm_gitindex.entities.tie import PROGRAM, SCHEMA_HEAD, check_revision, is_revision
from bm_gitindex.errors import LockHeldError, StateFolderError
from bm_gitindex.statefolder import check_companions, open_state_file, restrict

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY_TIMEOUT_S = 10.0

_WAL_FORMAT = b"\x02"
_READ_FORMAT_OFFSET = 19  # sqlite.org/fileformat2.html, "File format version numbers"
_ESCAPED_BYTE = re.compile(rb"//([89a-f][0-9a-f])")
_PRIMARY_CODE = 0xFF  # sqlite.org/rescode.html: the higher bits say more of the same
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNREADABLE = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_NEEDS_WRITER = frozenset({sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_READONLY_RECOVERY})

# Each counts rows that must not be; SQLite's own checks rely on constraints that may be missing.
_FORBIDDEN = {
    "projects but the one": "SELECT count(*) - 1 FROM project",
    "entities of another project": "SELECT count(*) FROM entity WHERE project_id NOT IN (SELECT id FROM project)",
    "entities that share their path": "SELECT count(*) - count(DISTINCT file_path) FROM entity",
    "entities that share their permalink": "SELECT count(permalink) - count(DISTINCT permalink) FROM entity",
    "observations without an entity": "SELECT count(*) FROM observation WHERE entity_id NOT IN (SELECT id FROM entity)",
    "relations without an entity": "SELECT count(*) FROM relation WHERE from_id NOT IN (SELECT id FROM entity)",
    "relations to an entity that does not exist": """
        SELECT count(*) FROM relation WHERE to_id IS NOT NULL AND to_id NOT IN (SELECT id FROM entity)""",
    "relations of another project than their entity": """
        SELECT count(*) FROM relation JOIN entity ON entity.id = from_id
        WHERE relation.project_id IS NOT entity.project_id""",
    "relations into another project": """
        SELECT count(*) FROM relation JOIN entity ON entity.id = to_id
        WHERE relation.project_id IS NOT entity.project_id""",
    "tags without an entity": "SELECT count(*) FROM entity_tag WHERE entity_id NOT IN (SELECT id FROM entity)",
    "tags of another project than their entity": """
        SELECT count(*) FROM entity_tag JOIN entity ON entity.id = entity_id
        WHERE entity_tag.project_id IS NOT entity.project_id""",
    "entities that share their external id": "SELECT count(*) - count(DISTINCT external_id) FROM entity",
    "entities whose external id is no UUID": """
        SELECT count(*) FROM entity WHERE typeof(external_id) <> 'text' OR length(external_id) <> 36
        OR external_id = '00000000-0000-0000-0000-000000000000'""",
    "projects with a value of a wrong type": """
        SELECT count(*) FROM project WHERE typeof(tie_closed) <> 'integer'
        OR typeof(entries_at_full_sync) <> 'integer' OR typeof(deleted_since_full_sync) <> 'integer'""",
    "entities without a date": """
        SELECT count(*) FROM entity WHERE datetime(created_at) IS NULL OR typeof(created_at) <> 'text'
        OR datetime(updated_at) IS NULL OR typeof(updated_at) <> 'text'""",
    "entities that do not say where their date is from": """
        SELECT count(*) FROM entity WHERE updated_at_from_note IS NOT 0 AND updated_at_from_note IS NOT 1""",
    "syncs without a date": """
        SELECT count(*) FROM sync_run WHERE datetime(started_at) IS NULL OR typeof(started_at) <> 'text'
        OR datetime(finished_at) IS NULL OR typeof(finished_at) <> 'text'""",
    "failures without a date": """
        SELECT count(*) FROM file_failure WHERE datetime(window_started_at) IS NULL OR datetime(last_failed_at) IS NULL
        OR typeof(window_started_at) <> 'text' OR typeof(last_failed_at) <> 'text'""",
}


class NeedsWriterError(Exception):
    """What a crash, or an older release, has left can only be put right by a writer."""


class DamagedError(Exception):
    """The file cannot be read as an entity database."""


class ProjectRow(NamedTuple):
    """The tie between database and index, and what shaped the entities."""

    tie_closed: int
    index_trailer: str | None
    parsed_by: str


class EntityRow(NamedTuple):
    """The part of an entity that is held of all of them at once."""

    id: int
    path_text: str
    kind: str
    blob_id: str
    size_bytes: int
    mtime_ns: int
    title: str
    permalink: str | None
    alias_key: str | None

    @property
    def path(self) -> bytes:
        """The path that the stored text stands for: bytes that are not UTF-8 are written as `//` and two digits."""
        return _ESCAPED_BYTE.sub(lambda found: bytes([int(found[1], 16)]), self.path_text.encode())


class ContentRow(NamedTuple):
    """The rest of an entity, as far as the file's name and content decide it."""

    type: str
    content_type: str
    title_from_path: int
    tags: object
    all_tags: set[object]
    """Those that entities are found by: its own, and those of its observations."""
    metadata: object
    warnings: object
    sketch: object
    path_key: object
    observations: list[tuple[object, ...]]
    """Position, category, content, tags, context."""
    relations: list[tuple[object, ...]]
    """Position, type, target, name, key and alias of the target, context."""


class LinkRow(NamedTuple):
    """Where a relation leads."""

    from_id: int
    target: str
    to_id: int | None
    pending: int


class Database:
    """One reading transaction. Raises DamagedError wherever a row cannot be made sense of."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def damage(self) -> list[str]:
        """Return what SQLite finds wrong with the file itself."""
        found = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def problems(self) -> list[str]:
        """Return which rows must not be, whatever index and files say."""
        problems = []
        violations = self._connection.execute("PRAGMA foreign_key_check").fetchall()
        if violations:
            problems.append(
                f"{len(violations)} rows point to rows that do not exist, such as one of {violations[0][0]}"
            )
        for what, query in _FORBIDDEN.items():
            (count,) = self._connection.execute(query).fetchone()
            if count > 0:
                problems.append(f"{count} {what}")
        return problems

    def project(self) -> ProjectRow | None:
        """Return the project, or None before anything was stored."""
        query = "SELECT tie_closed, index_trailer, parsed_by FROM project ORDER BY id"
        row = self._connection.execute(query).fetchone()
        return None if row is None else ProjectRow(*row)

    def entities(self) -> Iterator[EntityRow]:
        """Yield every entity."""
        query = """SELECT id, file_path, kind, blob_id, size_bytes, mtime_ns, title, permalink, alias_key, parsed_by
                   FROM entity"""
        for *values, parsed_by in self._connection.execute(query):
            row = EntityRow(*values)
            numbers = (row.id, row.size_bytes, row.mtime_ns)
            texts = (
                row.path_text,
                row.kind,
                row.blob_id,
                row.title,
                row.permalink or "",
                row.alias_key or "",
                parsed_by,
            )
            if not all(isinstance(n, int) for n in numbers) or not all(isinstance(text, str) for text in texts):
                raise DamagedError(f"entity {row.id} holds a value of a wrong type")
            yield row

    def content(self, entity_id: int) -> ContentRow:
        """Return the rest of an entity that exists."""
        query = """SELECT type, content_type, title_from_path, tags, metadata, warnings, sketch, path_key
                   FROM entity WHERE id = ?"""
        row = self._connection.execute(query, (entity_id,)).fetchone()
        own_type, content_type, title_from_path, tags, metadata, warnings, sketch, path_key = row
        query = (
            "SELECT position, category, content, tags, context FROM observation WHERE entity_id = ? ORDER BY position"
        )
        observations: list[tuple[object, ...]] = [
            (position, category, content, _parsed(own_tags), context)
            for position, category, content, own_tags, context in self._connection.execute(query, (entity_id,))
        ]
        query = """SELECT position, type, target, target_name, target_key, target_alias, context
                   FROM relation WHERE from_id = ? ORDER BY position"""
        relations = self._connection.execute(query, (entity_id,)).fetchall()
        query = "SELECT tag FROM entity_tag WHERE entity_id = ?"
        all_tags = {tag for (tag,) in self._connection.execute(query, (entity_id,))}
        values = (_parsed(tags), all_tags, _parsed(metadata), _parsed(warnings), sketch, path_key)
        return ContentRow(own_type, content_type, title_from_path, *values, observations, relations)

    def links(self) -> Iterator[LinkRow]:
        """Yield every relation."""
        for values in self._connection.execute("SELECT from_id, target, to_id, pending FROM relation ORDER BY id"):
            row = LinkRow(*values)
            if not isinstance(row.target, str):
                raise DamagedError(f"a relation of entity {row.from_id} holds a value of a wrong type")
            yield row


@contextmanager
def open_database(path: Path) -> Iterator[Database | None]:
    """Open the database for reading; None where there is none yet.

    Within the body too, raises DamagedError and NeedsWriterError, SchemaUnsupportedError for a newer schema, and
    LockHeldError or StateFolderError where it cannot be read at present.
    """
    try:
        with ExitStack() as stack:
            uri = _readable_uri(path, stack)
            if uri is None:
                yield None
                return
            connect = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
            connection = stack.enter_context(closing(connect))
            connection.execute("BEGIN")
            yield Database(connection) if _has_schema(connection, path) else None
    except OSError as error:
        raise StateFolderError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DamagedError(str(error)) from error
    except sqlite3.Error as error:
        raise _translated(error, path) from error


def _readable_uri(path: Path, stack: ExitStack) -> str | None:
    """Return the URI under which the database can be read without a trace; None where there is nothing to read.

    In WAL mode even a reader writes to `-shm`, and makes it where it is missing. So a database with an empty `-wal` is
    declared immutable, and of any other, as a crash or a running sync leaves it, a temporary copy is read.
    """
    try:
        with open_state_file(path) as file:
            header = file.read(_READ_FORMAT_OFFSET + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not header:
        return None
    check_companions(path)
    wal = path.with_name(f"{path.name}-wal")
    if os.path.lexists(wal) and wal.lstat().st_size:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bm-gitindex-")))
        folder.chmod(0o700)  # whatever the umask
        _copy(path, folder / "copy.db")
        with suppress(FileNotFoundError):
            _copy(wal, folder / "copy.db-wal")
        return f"{(folder / 'copy.db').as_uri()}?mode=rw"
    is_wal = header[_READ_FORMAT_OFFSET:] == _WAL_FORMAT
    return f"file://{quote(os.fsencode(path))}?mode=ro{'&immutable=1' if is_wal else ''}"


def _copy(source: Path, target: Path) -> None:
    """Copy a state file, for this user alone. Raises OSError; a link in its place is one."""
    with open_state_file(source) as file, target.open("xb") as copy:
        restrict(copy.fileno())
        copyfileobj(file, copy)


def _has_schema(connection: sqlite3.Connection, path: Path) -> bool:
    program = connection.execute(PROGRAM).fetchone()
    if program is not None:
        raise DamagedError(f"it has a trigger, a view or a virtual table: {program[0]!r}")
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    if ("alembic_version",) not in tables:
        return False
    revisions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    for (revision,) in revisions:
        if not is_revision(revision):
            raise DamagedError(f"its schema is {revision!r}")
        check_revision(revision, path)
        if revision != SCHEMA_HEAD:
            raise NeedsWriterError("an older release wrote it")
    return bool(revisions)


def _translated(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code in _NEEDS_WRITER:
        return NeedsWriterError("a crash has left a change half done")
    if code & _PRIMARY_CODE in _BUSY:
        return LockHeldError(f"{path}: another program is using it ({error}); try again once it is done")
    if code & _PRIMARY_CODE in _UNREADABLE and code != sqlite3.SQLITE_IOERR_SHORT_READ:
        return StateFolderError(f"{path}: cannot be read ({error})")
    return DamagedError(str(error))


def _parsed(text: Any) -> object:
    """Return the value that JSON text stands for; other text stands for itself, and so equals nothing expected."""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return f"no JSON: {text!r}"
