"""Talking to a PostgreSQL server: one connection, opened in one way, and its errors in our words.

The driver, asyncpg, is an extra. It takes user, password and certificates from where libpq takes them: PGUSER,
PGPASSWORD, PGPASSFILE and so on.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from bm_gitindex.entities.tie import SCHEMA_HEAD, SCHEMA_REVISIONS, is_revision
from bm_gitindex.errors import (
    BmGitIndexError,
    DatabaseServerError,
    LockHeldError,
    SchemaUnsupportedError,
    StateWriteError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from asyncpg import Connection

    from bm_gitindex.entities.server import Server

T = TypeVar("T")

VERSION_TABLE = "alembic_version"
_OURS = frozenset({"project", "entity"})
_CONNECT_TIMEOUT_S = 10
_COMMAND_TIMEOUT_S = 600
_SETTINGS = {"application_name": "bm-gitindex", "lock_timeout": "10s", "timezone": "UTC"}
# No table of another schema answers to a name of ours, whatever the role's search path is.
_ONE_SCHEMA = """
    SELECT set_config('search_path', quote_ident(current_schema()), false) WHERE current_schema() IS NOT NULL"""
REVISION = "SELECT version_num FROM alembic_version"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"

# postgresql.org/docs/current/errcodes-appendix.html: by the whole code, else by its class
_BUSY = frozenset({"55P03", "40001", "40P01"})
_REMEDIES_OF_WRITES = {
    "53100": "free some space on the server and run the command again",
    "53200": "the server is out of memory; run the command again",
    "54000": "shorten the path or the name; an index of PostgreSQL holds no more than some 2,700 bytes of it",
    "25006": "connect to a server that may be written to",
    "42501": "grant the user what it may not do, CREATE on the schema among it",
}
_REMEDIES = {
    "28": "check the user in database_url, and PGPASSWORD or PGPASSFILE",
    "3D": "create the database (`createdb`), or name another one in database_url",
    "53": "run the command again once the server has room for another connection",
    "57": "run the command again once the server is up",
    "08": "check that the server is up and can be reached, and run the command again",
    "58": "look into the server's log",
    "XX": "look into the server's log",
    "42P01": "let bm-gitindex have a database, or a schema, of its own",
}


def driver() -> Any:
    """Return the module asyncpg. Raises DatabaseServerError where it is not installed."""
    try:
        # Imported here: who has no server needs no driver.
        import asyncpg
    except ImportError as error:
        raise DatabaseServerError(
            "database_url names a PostgreSQL server, and its driver is not installed: "
            "pip install 'bm-gitindex[postgresql]'"
        ) from error
    return asyncpg


async def connect(server: Server, *_: object, **__: object) -> Connection:
    """Return a new connection. Raises what the driver raises, to be translated, and DatabaseServerError.

    Other arguments, which SQLAlchemy has for it, are of no interest.
    """
    connection: Connection = await driver().connect(
        server.url, timeout=_CONNECT_TIMEOUT_S, command_timeout=_COMMAND_TIMEOUT_S, server_settings=_SETTINGS
    )
    try:
        await _prepare(connection, server)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _prepare(connection: Connection, server: Server) -> None:
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise DatabaseServerError(f"{server} stores text as {encoding}; create one with ENCODING 'UTF8'")
    if await connection.fetchval(_ONE_SCHEMA) is None:
        raise StateWriteError(f"{server} has no schema that this user may use; create one, or grant USAGE on it")


async def has_our_tables(connection: Connection, server: Server) -> bool:
    """Return whether the database has our tables, at the newest revision of their schema.

    Raises as `check_tables`.
    """
    tables = [str(row[0]) for row in await connection.fetch(_TABLES)]
    revisions: list[object] = []
    if VERSION_TABLE in tables:
        revisions = [row[0] for row in await connection.fetch(REVISION)]
    return check_tables(server, tables, revisions) == SCHEMA_HEAD


def check_tables(server: Server, tables: Sequence[str], revisions: Sequence[object]) -> str | None:
    """Return the revision that our tables have, None where there are no tables at all.

    Raises DatabaseServerError for tables of another program, and SchemaUnsupportedError for a newer schema.
    """
    if not tables or (list(tables) == [VERSION_TABLE] and not revisions):
        return None
    if len(revisions) != 1 or not is_revision(revisions[0]) or not _OURS.issubset(tables):
        raise DatabaseServerError(
            f"{server} holds the tables of another program ({min(tables)!r}), and is left alone; "
            "let bm-gitindex have a database, or a schema, of its own"
        )
    revision = str(revisions[0])
    if revision not in SCHEMA_REVISIONS:
        raise SchemaUnsupportedError(
            f"{server}: a newer release of bm-gitindex wrote it (schema {revision}, known up to {SCHEMA_HEAD}); "
            "upgrade bm-gitindex, or name another database in database_url"
        )
    return revision


def asked(server: Server, question: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
    """Return what `question` makes of a connection, for callers that have no event loop, or that block one.

    Raises as `errors_translated`.
    """

    async def answer() -> T:
        with errors_translated(server):
            connection = await connect(server)
            try:
                return await question(connection)
            finally:
                await connection.close(timeout=_CONNECT_TIMEOUT_S)

    if not _has_loop():
        return asyncio.run(answer())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(answer())).result()


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextmanager
def errors_translated(server: Server) -> Iterator[None]:
    """Raise what the driver reports of the server in our words.

    Raises DatabaseServerError, StateWriteError and LockHeldError; what is a fault of this program stays what it is.
    """
    try:
        yield
    except BmGitIndexError:
        raise
    except Exception as error:
        reported = translated(error, server)
        if reported is None:
            raise
        raise reported from error


def translated(error: BaseException, server: Server) -> BmGitIndexError | None:
    """Return the error to raise for what was said of a server; None if it is a fault of this program."""
    said = getattr(error, "orig", None) or error  # SQLAlchemy's own error has the driver's
    code = getattr(said, "sqlstate", None) or getattr(said.__cause__, "sqlstate", None)
    detail = _detail(said)
    if code in _BUSY:
        return LockHeldError(f"{server}: another program is using it ({detail}); try again once it is done")
    if code in _REMEDIES_OF_WRITES:
        return StateWriteError(f"{server} cannot be written to ({detail}); {_REMEDIES_OF_WRITES[code]}")
    if code is None:
        if not _is_of_the_connection(said) and not _is_of_the_connection(said.__cause__):
            return None
        code = "08"
    remedy = _REMEDIES.get(code) or _REMEDIES.get(code[:2])
    return None if remedy is None else DatabaseServerError(f"{server} cannot be used ({detail}); {remedy}")


def _is_of_the_connection(error: BaseException | None) -> bool:
    """Return whether there is no connection any more.

    The driver is at odds with itself where it has read the server's farewell, and not seen the end of the connection
    yet: that is an InternalClientError.
    """
    return isinstance(error, OSError | driver().InterfaceError | driver().InternalClientError)


def _detail(error: BaseException) -> str:
    """Return the first line of what was said: the others may quote rows, and so the user's notes."""
    said = error.__cause__ if error.__cause__ is not None and hasattr(error.__cause__, "sqlstate") else error
    if isinstance(said, TimeoutError):
        return "no answer within the time allowed"
    return next(iter(str(said).splitlines()), "") or type(said).__name__
