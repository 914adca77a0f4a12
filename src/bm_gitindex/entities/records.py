"""What goes into the entity database and comes out of it, as plain values; no SQLAlchemy here.

Paths are relative to the project's root, in bytes, separated by `/`. Blob ids are 20 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from bm_gitindex.notes.model import JsonValue
    from bm_gitindex.rules import Kind


MOST_TAGS = 50
"""Tags to look for at once. Each is a part of the query, and a database takes only so many."""


class FileRecord(NamedTuple):
    """What is known of one file's outside: its path, its content's id, its size and times."""

    path: bytes
    kind: Kind
    blob_id: bytes
    size_bytes: int
    mtime_ns: int
    birth_ns: int | None
    """None where the file system keeps no birth time."""


class NoteRows(NamedTuple):
    """What a note puts into the database, as far as its content alone decides it; `rows.note_rows` makes it."""

    title: str | None
    type: str
    permalink: str | None
    created: datetime | None
    modified: datetime | None
    tags: Sequence[str]
    metadata: Mapping[str, JsonValue]
    warnings: Sequence[str]
    observations: Sequence[Sequence[Any]]
    """The rows without the entity's id, which comes first."""
    relations: Sequence[Sequence[Any]]
    """The rows without the ids of project and entity, which come first."""
    lookup_tags: Sequence[str]
    """The tags by which the note can be looked up, each once."""


class Parsed(NamedTuple):
    """What is stored of a note."""

    rows: NoteRows
    sketch: bytes


class Upsert(NamedTuple):
    """A file whose content is new to the database, at a path that may have a row already."""

    file: FileRecord
    note: NoteRows | None
    """None for files that are not parsed: everything but notes, and notes beyond their bounds."""
    warnings: tuple[str, ...] = ()
    """Problems found outside the parser, such as a note too large to be parsed."""
    parsed_by: str = ""
    """Which parser, under which options, made this of the file (`notes.shape`)."""
    sketch: bytes | None = None
    """By which the note is recognised when it is found elsewhere and has changed (`notes.sketch`)."""

    @property
    def all_warnings(self) -> tuple[str, ...]:
        """Problems of content, the parser's included."""
        return (*(self.note.warnings if self.note else ()), *self.warnings)


class Refresh(NamedTuple):
    """A file whose row has the right content id; its size and times are brought up to date."""

    file: FileRecord


class Move(NamedTuple):
    """A file of known content that is now found at another path. Its row keeps id and permalink."""

    old_path: bytes
    file: FileRecord


@dataclass(frozen=True, slots=True)
class Delete:
    """A path that is gone."""

    path: bytes


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the database says of one path."""

    path: bytes
    kind: Kind
    blob_id: bytes
    size_bytes: int
    mtime_ns: int
    parsed_by: str


@dataclass(frozen=True, slots=True)
class ProjectState:
    """The project row: the tie between index and database, and what shaped the entities."""

    tie_closed: bool
    """False while a sync is under way, or after one that did not finish."""
    index_trailer: bytes | None
    """SHA-1 trailer of the index that these entities belong to; None before the first sync."""
    parsed_by: str
    """Which parser, under which options, made all entities (`notes.shape`); empty if not all were made by one."""
    entries_at_full_sync: int
    deleted_since_full_sync: int

    def is_tied_to(self, trailer: bytes) -> bool:
        """Return whether these entities are what the index of this trailer says, to the last commit."""
        return self.tie_closed and self.index_trailer == trailer


@dataclass(frozen=True, slots=True)
class Identity:
    """What an entity is known by in another database, for the file at `path`."""

    path: bytes
    external_id: str
    permalink: str | None
    """None where it has none there."""
    created_at: datetime | None
    """None where that is not known there."""


@dataclass(frozen=True, slots=True)
class HeldIdentity:
    """What an entity is known by here."""

    id: int
    path: bytes
    kind: Kind
    blob_id: bytes
    external_id: str
    permalink: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Adoption:
    """What an entity is to be known by from now on; None stands for what stays."""

    entity_id: int
    external_id: str | None
    permalink: str | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Contested:
    """A name that an entity cannot have."""

    path: bytes
    wanted: str
    held: str | None
    """What it has instead, and keeps."""
    holder: bytes | None
    """The path of the entity that has the name, and keeps it; None where the name was to be given to several."""


@dataclass(frozen=True, slots=True)
class SyncRun:
    """One finished sync, for the record."""

    started_at: datetime
    finished_at: datetime
    full: bool
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FileFailure:
    """A file that could not be read, and how often."""

    path: bytes
    error: str
    failures: int
    """Within the hour that began at `window_started_at`."""
    window_started_at: datetime
    last_failed_at: datetime
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entities are looked for; each condition that is given must hold."""

    type: str | None = None
    tags: tuple[str, ...] = ()
    """All of them, in the front matter or on an observation; at most `MOST_TAGS`."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Values by key, as the front matter has them; a key leads into a mapping by dots, and one of a list is enough."""
    changed_since: datetime | None = None
    """An aware time; compared with `updated_at`."""
    has_warnings: bool = False
    """Only those with a problem in their content."""

    def __post_init__(self) -> None:
        """Refuse, by ValueError, a time without a zone, which names no moment, and more than `MOST_TAGS`."""
        if len(self.tags) > MOST_TAGS:
            raise ValueError(f"more than {MOST_TAGS} tags are asked for")
        if self.changed_since is not None and self.changed_since.utcoffset() is None:
            raise ValueError(f"changed_since has no time zone: {self.changed_since.isoformat()}")


@dataclass(frozen=True, slots=True)
class EntitySummary:
    """An entity in short."""

    id: int
    external_id: str
    title: str
    type: str
    permalink: str | None
    file_path: bytes
    kind: Kind
    updated_at: datetime
    tags: tuple[str, ...]
    """Those of the front matter."""
    metadata: Mapping[str, JsonValue]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entity that relations lead to from another one."""

    entity: EntitySummary
    distance: int
    """How many relations lie between, at least 1."""
    type: str
    """Of the last relation on the way."""
    is_incoming: bool
    """Whether that relation is stated by this entity, about the one before."""
    via_id: int
    """Id of the entity before it on the way."""


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """What is found around an entity."""

    neighbours: tuple[Neighbour, ...]
    """Nearest first; those of one distance in order of their paths."""
    is_cut: bool
    """Whether there is more within that distance than was asked for."""


@dataclass(frozen=True, slots=True)
class UnresolvedLink:
    """A link that leads to no entity."""

    from_path: bytes
    from_permalink: str | None
    type: str
    target: str
    """The link text as written."""


@dataclass(frozen=True, slots=True)
class EntityObservation:
    """One observation of an entity."""

    category: str
    content: str
    tags: tuple[str, ...]
    context: str | None


@dataclass(frozen=True, slots=True)
class EntityRelation:
    """One relation, seen from the entity that states it."""

    type: str
    target: str
    """The link text as written."""
    to_permalink: str | None
    """Permalink of the entity it resolves to, or None while it is unresolved or that entity has no permalink."""
    to_path: bytes | None
    """Path of the entity it resolves to, or None while it is unresolved."""
    context: str | None


@dataclass(frozen=True, slots=True)
class IncomingRelation:
    """One relation, seen from the entity that it points at."""

    type: str
    from_permalink: str | None
    from_path: bytes
    context: str | None


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity with its observations and relations, in and out."""

    id: int
    external_id: str
    """A UUID: the same in every database that the entity was taken over into."""
    title: str
    type: str
    permalink: str | None
    file_path: bytes
    kind: Kind
    content_type: str
    blob_id: bytes
    size_bytes: int
    mtime_ns: int
    created_at: datetime
    updated_at: datetime
    tags: tuple[str, ...]
    metadata: Mapping[str, JsonValue]
    warnings: tuple[str, ...]
    observations: tuple[EntityObservation, ...]
    relations: tuple[EntityRelation, ...]
    incoming: tuple[IncomingRelation, ...]
