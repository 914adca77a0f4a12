"""The revisions of the schema, for Alembic. Imported only when a database is not at the newest one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

SCRIPT_LOCATION = "bm_gitindex.entities:migrations"
"""Where Alembic finds this folder, in an installed package too."""


def upgrade_to_head(connection: Connection) -> None:
    """Bring the schema to its newest revision, within the transaction that `connection` is in."""
    upgrade_to(connection, "head")


def upgrade_to(connection: Connection, revision: str) -> None:
    """Bring the schema to a revision newer than its own, within the transaction that `connection` is in."""
    command.upgrade(_config(connection), revision)


def downgrade_to(connection: Connection, revision: str) -> None:
    """Take the schema back to an older revision, within the transaction that `connection` is in.

    What only the newer one holds is lost. Revision `base` has no tables.
    """
    command.downgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", SCRIPT_LOCATION)
    config.attributes["connection"] = connection
    return config
