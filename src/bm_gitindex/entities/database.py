"""The entity database, opened; and how that is done with SQLite: settings, schema, and errors in our words.

Every connection is used by one task at a time. Transactions are begun by SQLAlchemy's `begin` event and not by the
sqlite3 module, whose own way leaves DDL outside of them (SQLAlchemy's documentation of its SQLite dialect,
"Transactions with SQLite and the sqlite3 driver").
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import stat
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import URL, NullPool, event, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from bm_gitindex.entities.connection import connector
from bm_gitindex.entities.creation import create_schema
from bm_gitindex.entities.schema import metadata
from bm_gitindex.entities.sqliteerrors import damaged, translated
from bm_gitindex.entities.tie import LOCAL_PROJECT, SCHEMA_HEAD, check_revision
from bm_gitindex.errors import StateWriteError
from bm_gitindex.statefolder import check_companions, restrict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy.engine import AdaptedConnection, Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_BUSY_TIMEOUT_MS = 10_000
_ROOM_BYTES = 64 * 1024
"""What SQLite needs to begin. With less it may be ended by SIGBUS, as it writes to `-shm` through a memory map."""
_KEPT_ENGINES = 4
"""To read and to write two projects: others are made anew, so that a process that syncs many keeps little of each."""
_DRIVER = "sqlite+aiosqlite"
_HAS_REVISION = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version')"
_REVISION = "SELECT version_num FROM alembic_version"
_JSON = json.JSONEncoder(ensure_ascii=False)


class Database:
    """One open connection, and which project's entities are looked for there."""

    def __init__(
        self,
        connection: AsyncConnection,
        errors_translated: Callable[[], AbstractContextManager[None]],
        project: str = LOCAL_PROJECT,
        notices: tuple[str, ...] = (),
    ) -> None:
        self.project = project
        """The name in its row."""
        self.notices = notices
        """What a user should know of how the project was found."""
        self._connection = connection
        self._errors_translated = errors_translated

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Run the body in one transaction: committed at its end, rolled back if it raises.

        Raises DatabaseDamagedError, DatabaseServerError, StateWriteError or LockHeldError where the database system
        reports such a thing.
        """
        with self._errors_translated():
            async with self._connection.begin():
                yield self._connection


@asynccontextmanager
async def open_for_writing(path: Path) -> AsyncIterator[Database]:
    """Open the database at `path`, created if need be (readable by its owner alone), with the present schema.

    The caller holds the project's lock. The database is in WAL mode, where the file system allows it, so that readers
    and the writer do not wait for each other; closed, and with no reader left, it is a single file again.

    Raises StateWriteError, DatabaseDamagedError, LockHeldError, and SchemaUnsupportedError for a newer schema.
    """
    _create_private(path)
    async with _open(path, os.fspath(path), (), "BEGIN IMMEDIATE") as connection:
        with _errors_translated(path):
            await _enter_wal(connection)
        try:
            database = Database(connection, partial(_errors_translated, path))
            async with database.transaction() as transaction:
                await transaction.run_sync(_migrate, path)
            yield database
        except BaseException:
            # What went wrong before must not be hidden by its consequences; the next writer tidies up.
            with suppress(sqlite3.Error):
                await _empty_wal(connection)
            raise
        # All is committed; what cannot be brought into the file now will be by the next writer.
        with suppress(sqlite3.Error):
            await _empty_wal(connection)


@asynccontextmanager
async def open_for_reading(path: Path, read_only_uri: str) -> AsyncIterator[Database]:
    """Open the database at `path`, whose schema has been looked at before, to read from it.

    A reader of a database in WAL mode takes part in it: it opens the file for writing, though it may not write, so
    that `-wal` and `-shm` are there while it reads and gone afterwards. Where that is not allowed it uses the URI of
    `tie.read_only_uri`.
    """
    uri = read_only_uri
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        uri = uri.partition("?")[0] + "?mode=rw"
    location, _, parameters = uri.partition("?")
    async with _open(path, location, ("uri=true", *parameters.split("&")), "BEGIN") as connection:
        with _errors_translated(path):
            await _pragma(connection, "query_only = ON")
        try:
            yield Database(connection, partial(_errors_translated, path))
        finally:
            # Otherwise the last reader to leave would not take `-wal` and `-shm` away.
            await _pragma(connection, "query_only = OFF")


@asynccontextmanager
async def _open(path: Path, database: str, query: tuple[str, ...], begin: str) -> AsyncIterator[AsyncConnection]:
    with _errors_translated(path):
        connection = await _engine(database, query, begin).connect()
    try:
        # What came with the file runs no functions.
        await (await _driver_connection(connection)).executescript(
            f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
        )
        yield connection
    finally:
        await connection.close()


@lru_cache(_KEPT_ENGINES)
def _engine(database: str, query: tuple[str, ...], begin: str) -> AsyncEngine:
    """Return an engine that begins transactions with `begin`. It holds no connection, but the text of statements.

    For who syncs again and again, they take as long to compile as to run.
    """
    url = URL.create(_DRIVER, database=database, query=dict(parameter.split("=") for parameter in query))
    arguments = {"isolation_level": None, "async_creator_fn": connector}
    engine = create_async_engine(url, poolclass=NullPool, connect_args=arguments, json_serializer=json_text)

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        adapted = cast("AdaptedConnection", connection.connection.dbapi_connection)
        adapted.run_async(lambda driver: driver.execute_fetchall(begin))

    return engine


async def _enter_wal(connection: AsyncConnection) -> None:
    """Turn WAL on, or stay with the rollback journal where it cannot be had (network file systems, a busy reader).

    In WAL mode `synchronous = NORMAL` can lose the last transactions with the power, never the order of them; the tie
    then tells that they are missing. A rollback journal needs FULL to be as safe.
    """
    mode = None
    with suppress(sqlite3.OperationalError):
        mode = await _pragma(connection, "journal_mode = WAL")
    await _pragma(connection, f"synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")


async def _empty_wal(connection: AsyncConnection) -> None:
    """Bring everything into the database file, or what a reader does not hold back; `-wal` is left empty."""
    await _pragma(connection, "busy_timeout = 0")
    await _pragma(connection, "wal_checkpoint(TRUNCATE)")


async def _pragma(connection: AsyncConnection, pragma: str) -> Any:
    """Run a pragma outside of any transaction, where alone most of them take effect; return its first value."""
    rows = await (await _driver_connection(connection)).execute_fetchall(f"PRAGMA {pragma}")
    return next((value for value, *_ in rows), None)


async def _driver_connection(connection: AsyncConnection) -> Any:
    driver_connection = (await connection.get_raw_connection()).driver_connection
    assert driver_connection is not None
    return driver_connection


def _migrate(connection: Connection, path: Path) -> None:
    revision = _revision(connection)
    if revision == SCHEMA_HEAD:
        return
    if revision is None:
        tables = inspect(connection).get_table_names()
        if not metadata.tables.keys().isdisjoint(tables):
            detail = ValueError("there are tables, but no revision of their schema")
            raise damaged(path, detail) from detail
        create_schema(connection)
        return
    check_revision(revision, path)
    # Alembic takes 0.6 s to import, and is needed once for each revision of the schema.
    from bm_gitindex.entities.migrations import upgrade_to_head

    upgrade_to_head(connection)


def _revision(connection: Connection) -> str | None:
    """Return which schema the database has; None where it does not say."""
    if not connection.exec_driver_sql(_HAS_REVISION).scalar():
        return None
    revision: str | None = connection.exec_driver_sql(_REVISION).scalar()
    return revision


def _create_private(path: Path) -> None:
    try:
        check_companions(path)
        _touch(path)
    except OSError as error:
        raise StateWriteError(
            f"{path}: cannot be written ({error.strerror}); "
            "make the file and its folder writable, or choose another state_dir"
        ) from error


def _touch(path: Path) -> None:
    """Create the file if there is none. Raises OSError for a link or a pipe in its place, and on a full disk."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a file")
        restrict(fd)  # SQLite gives `-wal` and `-shm` the same permissions
        disk = os.fstatvfs(fd)
        if disk.f_bavail * disk.f_frsize < _ROOM_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(fd)


def json_text(value: object) -> str:
    """Return JSON that people can read; half a surrogate pair, which UTF-8 has not, becomes an escape of JSON's own."""
    if not value and isinstance(value, list | dict):  # as most of them are
        return "[]" if isinstance(value, list) else "{}"
    text = _JSON.encode(value)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


@contextmanager
def _errors_translated(path: Path) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        reported = translated(error.orig, path) if isinstance(error.orig, sqlite3.Error) else None
        if reported is None:
            raise
        raise reported from error
    except sqlite3.Error as error:
        reported = translated(error, path)
        if reported is None:
            raise
        raise reported from error
