"""Opening a PostgreSQL database through SQLAlchemy: schema, and which of its projects a folder is."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import NullPool, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from bm_gitindex.entities.claims import Claim, settle, write_settled
from bm_gitindex.entities.creation import create_schema
from bm_gitindex.entities.database import Database, json_text
from bm_gitindex.entities.postgresql import REVISION, VERSION_TABLE, check_tables, connect, driver, errors_translated
from bm_gitindex.entities.tie import SCHEMA_HEAD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.engine import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from bm_gitindex.entities.server import Server
    from bm_gitindex.statefolder import StateFolder

_OPENING = 0x626D_6769_7469_6478
"""Key of the advisory lock under which tables are made and projects told apart; any number, but the same one always."""
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(:key)"
_WRITING = 0x626D_6769_0000_0000
"""With a project's row id added, the key of the advisory lock that its writer holds as long as it is connected."""
_ONE_WRITER = "SELECT pg_advisory_lock(:key + id) FROM project WHERE name = :project"


@asynccontextmanager
async def open_for_writing(server: Server, state: StateFolder) -> AsyncIterator[Database]:
    """Open the database with the present schema, for the project that the folder of `state` is.

    The caller holds the project's lock. Raises DatabaseServerError, StateWriteError, LockHeldError,
    SchemaUnsupportedError, and StateFolderError where `project.id` cannot be read.
    """
    claim = await asyncio.to_thread(Claim.of, state)
    async with _open(server, {}) as connection:
        opened = Database(connection, partial(errors_translated, server))
        async with opened.transaction() as transaction:
            await transaction.execute(text(_ONE_AT_A_TIME), {"key": _OPENING})
            await transaction.run_sync(_migrate, server)
            settled = await settle(transaction, claim)
        await asyncio.to_thread(write_settled, claim, settled)
        async with opened.transaction() as transaction:
            # The server may still be at work for a writer that was killed, or be asked by a clone of this machine.
            await transaction.execute(text(_ONE_WRITER), {"key": _WRITING, "project": settled.id})
        yield Database(connection, partial(errors_translated, server), settled.id, settled.notices)


@asynccontextmanager
async def open_for_reading(server: Server, project: str) -> AsyncIterator[Database]:
    """Open the database, which has been looked at before, to read a project's entities."""
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    async with _open(server, options) as connection:
        yield Database(connection, partial(errors_translated, server), project)


@asynccontextmanager
async def _open(server: Server, execution_options: dict[str, object]) -> AsyncIterator[AsyncConnection]:
    driver()  # before SQLAlchemy looks for it, in words of its own
    engine = create_async_engine(
        "postgresql+asyncpg://",
        poolclass=NullPool,
        async_creator=partial(connect, server),
        json_serializer=json_text,
        execution_options=execution_options,
    )
    try:
        with errors_translated(server):
            connection = await engine.connect()
        try:
            yield connection
        finally:
            await connection.close()
    finally:
        await engine.dispose()


def _migrate(connection: Connection, server: Server) -> None:
    tables = inspect(connection).get_table_names()
    revisions: list[object] = []
    if VERSION_TABLE in tables:
        revisions = list(connection.execute(text(REVISION)).scalars())
    revision = check_tables(server, tables, revisions)
    if revision == SCHEMA_HEAD:
        return
    if revision is None:
        create_schema(connection)
        return
    # Alembic takes 0.6 s to import, and is needed once for each revision of the schema.
    from bm_gitindex.entities.migrations import upgrade_to_head

    upgrade_to_head(connection)
