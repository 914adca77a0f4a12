"""Where a project is, external ids, sketches, and tags that can be looked up.

What is written here stays as it is: a later change of the tables is a revision of its own. Columns are added and
dropped in place: SQLite would otherwise copy the table of entities, forget the ids that were given before, and delete
what hangs on the old one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Iterator

revision = "0002"
down_revision = "0001"

_ROWS_AT_ONCE = 500
_NIL_UUID = "00000000-0000-0000-0000-000000000000"
_ENTITY_INDEXES = {
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
    for table, column in (("entity", "sketch"), ("entity", "external_id"), ("project", "machine"), ("project", "root")):
        op.drop_column(table, column)


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
    update = sa.text("UPDATE entity SET external_id = :external_id WHERE id = :id")
    for rows in _pages("SELECT id, project_id, tags FROM entity WHERE id > :last ORDER BY id LIMIT :most"):
        op.get_bind().execute(update, [{"id": row.id, "external_id": str(uuid4())} for row in rows])


def _fill_entity_tag() -> None:
    """Store the tags of entities, and those of their observations, each once; an empty one is none."""
    of_entities = "SELECT id, id AS entity_id, tags FROM entity WHERE id > :last ORDER BY id LIMIT :most"
    of_observations = "SELECT id, entity_id, tags FROM observation WHERE id > :last ORDER BY id LIMIT :most"
    insert = sa.text("""
        INSERT INTO entity_tag (project_id, entity_id, tag) SELECT e.project_id, e.id, CAST(:tag AS TEXT)
        FROM entity AS e WHERE e.id = :entity_id
        AND NOT EXISTS (SELECT 1 FROM entity_tag AS t WHERE t.entity_id = e.id AND t.tag = :tag)
    """)
    for query in (of_entities, of_observations):
        for rows in _pages(query):
            tags = {(row.entity_id, tag) for row in rows for tag in _tags(row.tags) if tag}
            if tags:
                values = [{"entity_id": entity_id, "tag": tag} for entity_id, tag in sorted(tags)]
                op.get_bind().execute(insert, values)


def _pages(query: str) -> Iterator[list[sa.Row[tuple[object, ...]]]]:
    last = 0
    while rows := list(op.get_bind().execute(sa.text(query), {"last": last, "most": _ROWS_AT_ONCE})):
        yield rows
        last = rows[-1].id


def _tags(stored: object) -> list[str]:
    """Return the tags in a column of JSON, which a driver gives as text or has read already."""
    tags: list[str] = json.loads(stored) if isinstance(stored, str) else stored  # type: ignore[assignment]
    return tags
