"""The tables of a new database, made at once as the newest revision has them.

Alembic, which takes longer to import than a thousand notes to store, is for the databases that have an older one; the
tests hold what both make against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, String, Table, insert

from bm_gitindex.entities.schema import metadata
from bm_gitindex.entities.tie import SCHEMA_HEAD

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_VERSION_CHARACTERS = 32

alembic_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(_VERSION_CHARACTERS), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, as it makes it: one row, with the revision that the schema has."""


def create_schema(connection: Connection) -> None:
    """Make all tables in a database that has none of them, within the transaction that `connection` is in."""
    metadata.create_all(connection, checkfirst=False)
    alembic_version.create(connection, checkfirst=True)
    connection.execute(insert(alembic_version).values(version_num=SCHEMA_HEAD))
