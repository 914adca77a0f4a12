"""The first schema.

What is written here stays as it is: a later change of the tables is a revision of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from datetime import datetime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables."""
    _create_project()
    _create_entity()
    _create_observation()
    _create_relation()
    _create_file_failure()
    _create_sync_run()


def downgrade() -> None:
    """Drop all tables, those first that refer to others."""
    for table in ("sync_run", "file_failure", "relation", "observation", "entity", "project"):
        op.drop_table(table)


def _id(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=nullable)


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _name(name: str, *, nullable: bool = False) -> sa.Column[str]:
    compared_by_bytes = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    return sa.Column(name, compared_by_bytes, nullable=nullable)


def _refers_to_project(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=f"fk_{table}_project_id", ondelete="CASCADE")


def _create_project() -> None:
    op.create_table(
        "project",
        _id("id"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tie_closed", sa.Boolean(), nullable=False),
        sa.Column("index_trailer", sa.String(40)),
        sa.Column("parsed_by", sa.Text(), nullable=False),
        sa.Column("entries_at_full_sync", sa.Integer(), nullable=False),
        sa.Column("deleted_since_full_sync", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_project"),
        sa.CheckConstraint("length(index_trailer) = 40", name=op.f("ck_project_index_trailer_length")),
        sa.UniqueConstraint("name", name="uq_project_name"),
    )


def _create_entity() -> None:
    op.create_table(
        "entity",
        _id("id"),
        _id("project_id"),
        _name("file_path"),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("blob_id", sa.String(40), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        _name("title"),
        sa.Column("title_from_path", sa.Boolean(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        _name("permalink", nullable=True),
        _name("alias_key", nullable=True),
        _time("created_at"),
        _time("updated_at"),
        sa.Column("updated_at_from_note", sa.Boolean(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("parsed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_entity"),
        sa.UniqueConstraint("project_id", "file_path", name="uq_entity_project_id_file_path"),
        sa.UniqueConstraint("project_id", "permalink", name="uq_entity_project_id_permalink"),
        sa.CheckConstraint("length(blob_id) = 40", name=op.f("ck_entity_blob_id_length")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_entity_size_bytes_range")),
        _refers_to_project("entity"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_entity_project_id_title", "entity", ["project_id", "title"])
    op.create_index("ix_entity_project_id_alias_key", "entity", ["project_id", "alias_key"])


def _create_observation() -> None:
    op.create_table(
        "observation",
        _id("id"),
        _id("entity_id"),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("context", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_observation"),
        sa.UniqueConstraint("entity_id", "position", name="uq_observation_entity_id_position"),
        sa.ForeignKeyConstraint(["entity_id"], ["entity.id"], name="fk_observation_entity_id", ondelete="CASCADE"),
    )


def _create_relation() -> None:
    op.create_table(
        "relation",
        _id("id"),
        _id("project_id"),
        _id("from_id"),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        _name("target_name"),
        _name("target_key"),
        _name("target_alias"),
        _id("to_id", nullable=True),
        sa.Column("pending", sa.Boolean(), nullable=False),
        sa.Column("context", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_relation"),
        sa.UniqueConstraint("from_id", "position", name="uq_relation_from_id_position"),
        _refers_to_project("relation"),
        sa.ForeignKeyConstraint(["from_id"], ["entity.id"], name="fk_relation_from_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["to_id"], ["entity.id"], name="fk_relation_to_id", ondelete="SET NULL"),
    )
    op.create_index("ix_relation_project_id_target_key", "relation", ["project_id", "target_key"])
    op.create_index("ix_relation_to_id", "relation", ["to_id"])
    op.create_index(
        "ix_relation_pending",
        "relation",
        ["project_id"],
        sqlite_where=sa.text("pending = 1"),
        postgresql_where=sa.text("pending"),
    )


def _create_file_failure() -> None:
    op.create_table(
        "file_failure",
        _id("id"),
        _id("project_id"),
        _name("file_path"),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        _time("window_started_at"),
        _time("last_failed_at"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("ctime_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_file_failure"),
        sa.UniqueConstraint("project_id", "file_path", name="uq_file_failure_project_id_file_path"),
        sa.CheckConstraint("failures > 0", name=op.f("ck_file_failure_failures_range")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_file_failure_size_bytes_range")),
        _refers_to_project("file_failure"),
    )


def _create_sync_run() -> None:
    op.create_table(
        "sync_run",
        _id("id"),
        _id("project_id"),
        _time("started_at"),
        _time("finished_at"),
        sa.Column("full", sa.Boolean(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sync_run"),
        _refers_to_project("sync_run"),
    )
    op.create_index("ix_sync_run_project_id", "sync_run", ["project_id"])
