"""The tables of the entity database, without anything that belongs to one database system only.

`migrations` creates them; the tests hold the two against each other. Every change here needs a revision there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator

from bm_gitindex.entities.pathtext import path_to_text, text_to_path
from bm_gitindex.rules import Kind

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

_INT64_MAX = 2**63 - 1
_SHA1_HEX_DIGITS = 40
_UUID_CHARACTERS = 36
NIL_UUID = "00000000-0000-0000-0000-000000000000"
"""What no entity has. SQLite adds a column that must not be null only with a default, to tables that have rows."""


NameText = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that names an entity. It compares and sorts by its bytes, in PostgreSQL as it does in SQLite."""


class PathText(TypeDecorator[bytes]):
    """A relative path in readable text; see `pathtext`. It sorts by the bytes of that text."""

    impl = NameText
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the text for `value`."""
        return None if value is None else path_to_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """Return the path that the stored text stands for."""
        return None if value is None else text_to_path(value)


class HexId(TypeDecorator[bytes]):
    """A SHA-1, 20 bytes, in 40 hexadecimal digits, so that it can be compared with git's output by eye."""

    impl = String(_SHA1_HEX_DIGITS)
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the digits for `value`."""
        return None if value is None else value.hex()

    def process_result_value(self, value: str | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """Return the bytes that the stored digits stand for."""
        return None if value is None else bytes.fromhex(value)


class KindText(TypeDecorator[Kind]):
    """A `Kind`, by its value."""

    impl = String(16)
    cache_ok = True

    def process_bind_param(self, value: Kind | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the value of the kind."""
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Dialect) -> Kind | None:  # noqa: ARG002
        """Return the kind with the stored value."""
        return None if value is None else Kind(value)


class Nanoseconds(TypeDecorator[int]):
    """Nanoseconds since the epoch. Times outside 1677 to 2262, which 64 bits cannot hold, become the nearest."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return `value` as far as it fits in 64 bits."""
        return None if value is None else max(-_INT64_MAX, min(value, _INT64_MAX))


class UtcTime(TypeDecorator[datetime]):
    """An aware time, stored and given back in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return `value` in UTC; a naive time is refused, since it names no moment."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be stored: {value.isoformat()}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the stored time as an aware one; SQLite keeps no zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


RowId = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits everywhere: SQLite counts a key by itself only where it is called INTEGER."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _project_id() -> Column[int]:
    return Column("project_id", RowId, ForeignKey("project.id", ondelete="CASCADE"), nullable=False)


project = Table(
    "project",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("tie_closed", Boolean, nullable=False),
    Column("index_trailer", HexId),
    Column("parsed_by", Text, nullable=False),
    Column("entries_at_full_sync", Integer, nullable=False),
    Column("deleted_since_full_sync", Integer, nullable=False),
    Column("root", PathText),
    Column("machine", Text),
    CheckConstraint("length(index_trailer) = 40", name="index_trailer_length"),
)
"""One row a project; it ties these entities to the index of whose files they tell. `root` and `machine` say where that
is, in a database that several projects share."""

entity = Table(
    "entity",
    metadata,
    Column("id", RowId, primary_key=True),
    _project_id(),
    Column("file_path", PathText, nullable=False),
    Column("kind", KindText, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("blob_id", HexId, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", Nanoseconds, nullable=False),
    Column("title", NameText, nullable=False),
    Column("title_from_path", Boolean, nullable=False),
    Column("type", Text, nullable=False),
    Column("permalink", NameText),
    Column("alias_key", NameText),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("updated_at_from_note", Boolean, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("parsed_by", Text, nullable=False),
    Column(
        "external_id",
        String(_UUID_CHARACTERS),
        CheckConstraint("length(external_id) = 36", name="external_id_length"),
        nullable=False,
        server_default=NIL_UUID,
    ),
    Column("sketch", LargeBinary),
    Column("path_key", NameText),
    UniqueConstraint("project_id", "file_path"),
    UniqueConstraint("project_id", "permalink"),
    Index(None, "project_id", "title"),
    Index(None, "project_id", "alias_key"),
    Index(None, "project_id", "path_key"),
    Index(None, "project_id", "type"),
    Index(None, "project_id", "updated_at"),
    Index(None, "project_id", "external_id", unique=True),
    CheckConstraint("length(blob_id) = 40", name="blob_id_length"),
    CheckConstraint("size_bytes >= 0", name="size_bytes_range"),
    sqlite_autoincrement=True,
)
"""One row a file. An id is never given twice, so that an id kept elsewhere cannot come to mean another file.
`external_id` is a UUID, the same in every database that the entity is taken over into; `sketch` tells how much of a
note's text another note shares; `path_key` is the permalink that a note's path would give it."""

entity_tag = Table(
    "entity_tag",
    metadata,
    Column("entity_id", RowId, ForeignKey("entity.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", NameText, primary_key=True),
    _project_id(),
    Index(None, "project_id", "tag"),
    sqlite_with_rowid=False,
)
"""One row for each tag that an entity has, in its front matter or on one of its observations."""

observation = Table(
    "observation",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("entity_id", RowId, ForeignKey("entity.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("category", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("context", Text),
    UniqueConstraint("entity_id", "position"),
)

relation = Table(
    "relation",
    metadata,
    Column("id", RowId, primary_key=True),
    _project_id(),
    Column("from_id", RowId, ForeignKey("entity.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("target_name", NameText, nullable=False),
    Column("target_key", NameText, nullable=False),
    Column("target_alias", NameText, nullable=False),
    Column("to_id", RowId, ForeignKey("entity.id", ondelete="SET NULL"), index=True),
    Column("pending", Boolean, nullable=False),
    Column("context", Text),
    UniqueConstraint("from_id", "position"),
    Index(None, "project_id", "target_key"),
)
"""One row a link. `target` is the link as written, `target_name` what of it names an entity, `target_key` its
coarse key, `target_alias` what is compared with an entity's `alias_key`; `pending` says that the entities it may mean
have changed since `to_id` was decided."""

Index(
    "ix_relation_pending",
    relation.c.project_id,
    sqlite_where=text("pending = 1"),  # as SQLAlchemy writes the condition for SQLite, which compares its text
    postgresql_where=relation.c.pending,
)

file_failure = Table(
    "file_failure",
    metadata,
    Column("id", RowId, primary_key=True),
    _project_id(),
    Column("file_path", PathText, nullable=False),
    Column("error", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("window_started_at", UtcTime, nullable=False),
    Column("last_failed_at", UtcTime, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", Nanoseconds, nullable=False),
    Column("ctime_ns", Nanoseconds, nullable=False),
    UniqueConstraint("project_id", "file_path"),
    CheckConstraint("failures > 0", name="failures_range"),
    CheckConstraint("size_bytes >= 0", name="size_bytes_range"),
)

sync_run = Table(
    "sync_run",
    metadata,
    Column("id", RowId, primary_key=True),
    _project_id(),
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime, nullable=False),
    Column("full", Boolean, nullable=False),
    Column("counts", JSON, nullable=False),
    Index(None, "project_id"),
)
