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
    config = Config()
    config.set_main_option("script_location", SCRIPT_LOCATION)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
