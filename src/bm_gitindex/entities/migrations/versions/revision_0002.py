"""Where a project is, external ids, sketches, and tags that can be looked up.

What is written here stays as it is: a later change of the tables is a revision of its own. Columns are added and
dropped in place: SQLite would otherwise copy the table of entities, forget the ids that were given before, and delete
what hangs on the old one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa
from alembic import op
from sqlalchemy import bindparam, insert, select, update

if TYPE_CHECKING:
    from collections.abc import Iterator

revision = "0002"
down_revision = "0001"

_ROWS_AT_ONCE = 500
_NIL_UUID = "00000000-0000-0000-0000-000000000000"
_ENTITY = sa.table(
    "entity", sa.column("id"), sa.column("project_id"), sa.column("external_id"), sa.column("tags", sa.JSON())
)
_OBSERVATION = sa.table("observation", sa.column("entity_id"), sa.column("tags", sa.JSON()))
_ENTITY_TAG = sa.table("entity_tag", sa.column("project_id"), sa.column("entity_id"), sa.column("tag", sa.Text()))
_ENTITY_INDEXES = {
    "ix_entity_project_id_path_key": ["project_id", "path_key"],
    "ix_entity_project_id_type": ["project_id", "type"],
    "ix_entity_project_id_updated_at": ["project_id", "updated_at"],
}


def upgrade() -> None:
    """Add what is new, and fill it for the entities that there are."""
    op.add_column("project", _name("root"))
    op.add_column("project", sa.Column("machine", sa.Text()))
    op.add_column(
        "entity",
        sa.Column(
            "external_id",
            sa.String(36),
            sa.CheckConstraint("length(external_id) = 36", name=op.f("ck_entity_external_id_length")),
            nullable=False,
            server_default=_NIL_UUID,
        ),
    )
    op.add_column("entity", sa.Column("sketch", sa.LargeBinary()))
    op.add_column("entity", _name("path_key"))
    _give_external_ids()
    op.create_index("ix_entity_project_id_external_id", "entity", ["project_id", "external_id"], unique=True)
    for name, columns in _ENTITY_INDEXES.items():
        op.create_index(name, "entity", columns)
    _create_entity_tag()
    _fill_entity_tag()


def downgrade() -> None:
    """Take away what `upgrade` added."""
    op.drop_table("entity_tag")
    for name in ("ix_entity_project_id_external_id", *_ENTITY_INDEXES):
        op.drop_index(name, "entity")
    for column in ("path_key", "sketch", "external_id"):
        op.drop_column("entity", column)
    for column in ("machine", "root"):
        op.drop_column("project", column)


def _id(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False)


def _name(name: str, *, nullable: bool = True) -> sa.Column[str]:
    compared_by_bytes = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    return sa.Column(name, compared_by_bytes, nullable=nullable)


def _create_entity_tag() -> None:
    op.create_table(
        "entity_tag",
        _id("entity_id"),
        _name("tag", nullable=False),
        _id("project_id"),
        sa.PrimaryKeyConstraint("entity_id", "tag", name="pk_entity_tag"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_entity_tag_project_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["entity_id"], ["entity.id"], name="fk_entity_tag_entity_id", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_entity_tag_project_id_tag", "entity_tag", ["project_id", "tag"])


def _give_external_ids() -> None:
    for rows in _pages(_ENTITY):
        values = [{"row_id": row.id, "external_id": str(uuid4())} for row in rows]
        op.get_bind().execute(update(_ENTITY).where(_ENTITY.c.id == bindparam("row_id")), values)


def _fill_entity_tag() -> None:
    """Store the tags of entities, and those of their observations, each once; an empty one is none."""
    for entities in _pages(_ENTITY):
        owners = {row.id: row.project_id for row in entities}
        tags = {(row.id, tag) for row in entities for tag in row.tags}
        mine = select(_OBSERVATION.c.entity_id, _OBSERVATION.c.tags).where(_OBSERVATION.c.entity_id.in_(owners))
        tags |= {(row.entity_id, tag) for row in op.get_bind().execute(mine) for tag in row.tags}
        values = [{"project_id": owners[owner], "entity_id": owner, "tag": tag} for owner, tag in sorted(tags) if tag]
        if values:
            op.get_bind().execute(insert(_ENTITY_TAG), values)


def _pages(table: sa.TableClause) -> Iterator[list[sa.Row[*tuple[Any, ...]]]]:
    last = 0
    while True:
        page = select(table).where(table.c.id > last).order_by(table.c.id).limit(_ROWS_AT_ONCE)
        rows = list(op.get_bind().execute(page))
        if not rows:
            return
        yield rows
        last = rows[-1].id
