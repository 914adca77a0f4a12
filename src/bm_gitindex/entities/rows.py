"""From records to rows: what a file and its note put into each column. Nothing here touches a database."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bm_gitindex.entities.records import NoteRows, ProjectState
from bm_gitindex.notes.links import alias_key, link_key, link_target
from bm_gitindex.notes.permalink import generate_permalink, title_from_path
from bm_gitindex.notes.text import cut_to_index, fits_index
from bm_gitindex.rules import Kind

if TYPE_CHECKING:
    from bm_gitindex.entities.records import FileRecord, Upsert
    from bm_gitindex.notes.model import Observation, ParsedNote, Relation

Row = dict[str, Any]

OBSERVATION_COLUMNS = ("entity_id", "position", "category", "content", "tags", "context")
TAG_COLUMNS = ("entity_id", "tag", "project_id")
RELATION_COLUMNS = (
    *("project_id", "from_id", "position", "type", "target"),
    *("target_name", "target_key", "target_alias", "pending", "context"),
)
"""In the order of the tables: what a new row has, which gets its id from the database, and leads nowhere yet."""

UNCATEGORISED = "note"
"""The category of an observation that states none."""

_NOTE_CONTENT_TYPE = "text/markdown"
_UNKNOWN_CONTENT_TYPE = "application/octet-stream"
_FILE_TYPE = "file"
_UNPARSED_NOTE_TYPE = "note"
_REMEMBERED_PATHS = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Names:
    """What an entity answers to when a link is resolved."""

    path: bytes
    title: str
    permalink: str | None


@dataclass(frozen=True, slots=True)
class StoredEntity:
    """The part of a row that decides what becomes of it when its file changes."""

    id: int
    path: bytes
    title: str
    title_from_path: bool
    permalink: str | None
    created_at: datetime
    updated_at: datetime
    updated_at_from_note: bool

    @property
    def names(self) -> Names:
        """What the entity answers to."""
        return Names(self.path, self.title, self.permalink)


NEW_PROJECT = ProjectState(
    tie_closed=False,
    index_trailer=None,
    parsed_by="",
    entries_at_full_sync=0,
    deleted_since_full_sync=0,
)
"""What is known of a project before its first sync."""


def project_columns(state: ProjectState) -> Row:
    """Return the columns of a project that say how far it was synced."""
    return {
        "tie_closed": state.tie_closed,
        "index_trailer": state.index_trailer,
        "parsed_by": state.parsed_by,
        "entries_at_full_sync": state.entries_at_full_sync,
        "deleted_since_full_sync": state.deleted_since_full_sync,
    }


def moment(time_ns: int) -> datetime:
    """Return a time in nanoseconds since the epoch as UTC; beyond the years 1 to 9999, the nearest within."""
    try:
        return _EPOCH + timedelta(microseconds=time_ns // 1000)
    except OverflowError:
        return _LAST_MOMENT if time_ns > 0 else _FIRST_MOMENT


def derived_title(file: FileRecord) -> str:
    """Return the title that a file has by its name alone: a note's stem, any other file's whole name."""
    if file.kind is Kind.NOTE:
        return title_from_path(file.path)
    return file.path.rpartition(b"/")[2].decode("utf-8", "replace")


def path_key(file: FileRecord) -> str | None:
    """Return the permalink that a note would have by its path alone; None for other files."""
    return path_permalink(file.path) if file.kind is Kind.NOTE else None


@lru_cache(_REMEMBERED_PATHS)
def path_permalink(path: bytes) -> str:
    """Return the permalink that a note's path would give it; asked for more than once of each path of a batch."""
    return cut_to_index(generate_permalink(path.decode("utf-8", "replace")))


def content_type(file: FileRecord) -> str:
    """Return the media type that a file has by its name alone."""
    if file.kind is Kind.NOTE:
        return _NOTE_CONTENT_TYPE
    name = file.path.rpartition(b"/")[2].decode("utf-8", "replace")
    # The leading folder keeps a name such as "data:a.png" from being taken for a URL.
    guessed, _encoding = mimetypes.guess_type(f"./{name}")
    return guessed or _UNKNOWN_CONTENT_TYPE


def entity_columns(upsert: Upsert, permalink: str | None, stored: StoredEntity | None) -> Row:
    """Return every column of an entity but its id and project."""
    file, note = upsert.file, upsert.note
    stated_title = note.title if note else None
    created = note.created if note else None
    modified = note.modified if note else None
    if created is None:
        created = stored.created_at if stored else _first_seen_at(file)
    return {
        **_file_columns(file),
        "title": derived_title(file) if stated_title is None else stated_title,
        "title_from_path": stated_title is None,
        "type": _entity_type(upsert),
        "permalink": permalink,
        "alias_key": permalink and alias_key(permalink),
        "created_at": created,
        "updated_at": modified or moment(file.mtime_ns),
        "updated_at_from_note": modified is not None,
        "tags": note.tags if note else [],
        "metadata": note.metadata if note else {},
        "warnings": upsert.all_warnings,
        "parsed_by": upsert.parsed_by,
        "sketch": upsert.sketch,
        "path_key": path_key(file),
    }


def moved_columns(stored: StoredEntity, file: FileRecord) -> Row:
    """Return the columns of an entity that change when its file is found at another path."""
    title = derived_title(file) if stored.title_from_path else stored.title
    return {
        **_file_columns(file),
        "title": title,
        "updated_at": _kept_update(stored, file),
        "path_key": path_key(file),
    }


def refreshed_columns(stored: StoredEntity, file: FileRecord) -> Row:
    """Return the columns of an entity that change when its file was touched."""
    return {
        "size_bytes": file.size_bytes,
        "mtime_ns": file.mtime_ns,
        "updated_at": _kept_update(stored, file),
    }


def note_rows(note: ParsedNote) -> NoteRows:
    """Return what a note puts into the database. All of it is JSON, but for the two times."""
    return NoteRows(
        title=note.title,
        type=note.type,
        permalink=note.permalink,
        created=note.created,
        modified=note.modified,
        tags=list(note.tags),
        metadata=dict(note.metadata),
        warnings=list(note.warnings),
        observations=[_observation_row(position, stated) for position, stated in enumerate(note.observations)],
        relations=[_relation_row(position, stated) for position, stated in enumerate(note.relations)],
        lookup_tags=_lookup_tags(note),
    )


def _observation_row(position: int, stated: Observation) -> list[Any]:
    category = UNCATEGORISED if stated.category is None else stated.category
    return [position, category, stated.content, list(stated.tags), stated.context]


def _relation_row(position: int, stated: Relation) -> list[Any]:
    """Return the row of a relation; what it resolves to is not decided yet."""
    name = link_target(stated.target)
    return [position, stated.type, stated.target, name, link_key(name), alias_key(name), True, stated.context]


def _lookup_tags(note: ParsedNote) -> list[str]:
    """Return the tags of a note and of its observations: the empty one, of a lone `#`, is none, nor is one too long."""
    tags = {*note.tags, *(tag for stated in note.observations for tag in stated.tags)}
    return sorted(filter(fits_index, tags - {""}))


def _entity_type(upsert: Upsert) -> str:
    if upsert.note is not None:
        return upsert.note.type
    return _UNPARSED_NOTE_TYPE if upsert.file.kind is Kind.NOTE else _FILE_TYPE


def _file_columns(file: FileRecord) -> Row:
    return {
        "file_path": file.path,
        "kind": file.kind,
        "content_type": content_type(file),
        "blob_id": file.blob_id,
        "size_bytes": file.size_bytes,
        "mtime_ns": file.mtime_ns,
    }


def _first_seen_at(file: FileRecord) -> datetime:
    return moment(file.mtime_ns if file.birth_ns is None else file.birth_ns)


def _kept_update(stored: StoredEntity, file: FileRecord) -> datetime:
    """Return the time of the last update: a note's own statement outlives a new mtime."""
    return stored.updated_at if stored.updated_at_from_note else moment(file.mtime_ns)
