"""Short ways to say what a test puts into the database, and to look at what is in it without the code under test."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha1
from typing import TYPE_CHECKING, Any

from bm_gitindex.entities.records import FileFailure, FileRecord, Move, ProjectState, SyncRun, Upsert
from bm_gitindex.entities.rows import note_rows
from bm_gitindex.notes.model import Observation, ParsedNote, Relation
from bm_gitindex.rules import Kind
from support.postgresql import Served

if TYPE_CHECKING:
    from pathlib import Path

    AnyDatabase = Path | Served

TRAILER = bytes(range(20))
MTIME_NS = 1_700_000_000_123_456_789
MTIME = datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def file_record(path: str, **fields: Any) -> FileRecord:
    content = fields.pop("content", path)
    values: dict[str, Any] = {
        "kind": Kind.NOTE if path.endswith(".md") else Kind.FILE,
        "blob_id": sha1(content.encode(), usedforsecurity=False).digest(),
        "size_bytes": len(content),
        "mtime_ns": MTIME_NS,
        "birth_ns": None,
    }
    return FileRecord(path=path.encode(), **(values | fields))


def parsed(**fields: Any) -> ParsedNote:
    links = tuple(Relation("links_to", target, None) for target in fields.pop("links", ()))
    values: dict[str, Any] = {
        "title": None,
        "type": "note",
        "permalink": None,
        "tags": (),
        "created": None,
        "modified": None,
        "metadata": {},
        "observations": (),
        "relations": links,
        "warnings": (),
    }
    return ParsedNote(**(values | fields))


def note(path: str, **fields: Any) -> Upsert:
    return Upsert(file_record(path), note_rows(parsed(**fields)))


def attachment(path: str, **fields: Any) -> Upsert:
    return Upsert(file_record(path, **fields), None)


def move(old_path: str, new_path: str) -> Move:
    return Move(old_path.encode(), file_record(new_path, content=old_path))


def fact(content: str) -> Observation:
    return Observation("fact", content, (), None)


def state(**fields: Any) -> ProjectState:
    values: dict[str, Any] = {
        "tie_closed": True,
        "index_trailer": TRAILER,
        "parsed_by": "3-abc",
        "entries_at_full_sync": 7,
        "deleted_since_full_sync": 1,
    }
    return ProjectState(**(values | fields))


def sync_run(**counts: int) -> SyncRun:
    return SyncRun(started_at=EPOCH, finished_at=MTIME, full=True, counts=counts)


def failure(path: str, **fields: Any) -> FileFailure:
    values: dict[str, Any] = {
        "error": "permission denied",
        "failures": 1,
        "window_started_at": MTIME,
        "last_failed_at": MTIME,
        "size_bytes": 1,
        "mtime_ns": MTIME_NS,
        "ctime_ns": MTIME_NS,
    }
    return FileFailure(path=path.encode(), **(values | fields))


def rows(database: AnyDatabase, query: str) -> list[tuple[Any, ...]]:
    if isinstance(database, Served):
        return database.rows(query)
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(query).fetchall()


def links(database: AnyDatabase) -> dict[tuple[str, str], str | None]:
    """Where each link leads: (path, target) -> path."""
    query = (
        "SELECT origin.file_path, target, meant.file_path FROM relation JOIN entity AS origin ON from_id = origin.id"
        " LEFT JOIN entity AS meant ON to_id = meant.id"
    )
    return {(path, target): meant for path, target, meant in rows(database, query)}


def permalinks(database: AnyDatabase) -> dict[str, str | None]:
    return dict(rows(database, "SELECT file_path, permalink FROM entity"))


def ids(database: AnyDatabase) -> dict[str, int]:
    return dict(rows(database, "SELECT file_path, id FROM entity"))


def damage(database: Path) -> None:
    """Overwrite everything but the first pages."""
    size_bytes = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(size_bytes // 4)
        file.write(b"\xa5" * (size_bytes - size_bytes // 4))


def modes(folder: Path) -> set[int]:
    """The permission bits that the files of a folder have."""
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, byte by byte."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
