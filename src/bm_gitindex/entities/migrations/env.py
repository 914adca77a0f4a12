"""Run by Alembic for every command: tells it which connection to use. Not to be imported."""

from __future__ import annotations

from alembic import context

from bm_gitindex.entities.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
