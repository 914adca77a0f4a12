"""A project that is synced for real: files, index and database in a temporary folder."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from bm_gitindex import Options, Project, SyncRequest
from bm_gitindex.index import compare
from bm_gitindex.indexfile import read_index
from support.dating import date_index

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest

    from bm_gitindex import Status, SyncReport
    from bm_gitindex.index.entry import Index
    from support.postgresql import Database

LONG_AGO_S = 1_700_000_000


def never_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file count as old at once: ctime cannot be set, and nobody wants to wait for it.

    `Vault.age_index` sets T a little ahead of the clock, which must not be taken for a clock that was set back.
    """
    monkeypatch.setattr(compare, "YOUNG_MARGIN_S", -1_000_000)
    monkeypatch.setattr(
        compare.LockClock, "is_before", lambda clock, baseline: clock.second + 60 < baseline.timestamp_s
    )


def young_for_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what a test has just written count as young, however long a busy machine takes to sync it."""
    monkeypatch.setattr(compare, "YOUNG_MARGIN_S", 3_600)


class Vault:
    """A folder of notes and what is known of it, in an SQLite file unless a server's database is given."""

    def __init__(self, root: Path, options: Options | None = None, database: Database | None = None) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.database = database
        self.options = options or Options()
        self.report: SyncReport
        """Of the sync by which a fixture made it."""

    @property
    def options(self) -> Options:
        return self._options

    @options.setter
    def options(self, options: Options) -> None:
        self._options = options if self.database is None else options._replace(database_url=self.database.url)

    @property
    def project(self) -> Project:
        return Project(self.root, self.options)

    def write(self, path: str, content: str | bytes = "text\n") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def sync(self, *paths: str, **request: object) -> SyncReport:
        return self.project.sync_blocking(paths, SyncRequest(**request))  # type: ignore[arg-type]

    def settled_sync(self) -> SyncReport:
        """Sync, and let the index look newer than every file, as it does when some time has passed."""
        report = self.sync()
        self.age_index()
        return report

    def age_index(self) -> None:
        date_index(self.index_path, os.stat(self.index_path).st_mtime_ns + 5_000_000_000)

    def status(self, *paths: str) -> Status:
        return self.project.status(paths)

    @property
    def state_path(self) -> Path:
        return self.project.state.path

    @property
    def index_path(self) -> Path:
        return self.project.state.index

    @property
    def database_path(self) -> Path:
        return self.project.state.database

    @property
    def index(self) -> Index:
        return read_index(self.project.state).index

    def rows(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        if self.database is not None:
            return self.database.rows(_numbered(query), *parameters)
        with closing(sqlite3.connect(self.database_path)) as connection:
            return connection.execute(query, parameters).fetchall()

    def execute(self, statement: str, *parameters: object) -> None:
        if self.database is not None:
            self.database.rows(_numbered(statement), *parameters)
            return
        with closing(sqlite3.connect(self.database_path)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(statement, parameters)

    def lose_database(self) -> None:
        """Let the database know nothing any more of this folder."""
        if self.database is None:
            self.database_path.unlink()
        else:
            self.database.execute("DELETE FROM project")

    def spoil_database(self) -> None:
        """Let there be nothing of ours where the database is."""
        if self.database is None:
            self.database_path.write_bytes(b"no database " * 1000)
        else:
            self.database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def ids(self) -> dict[object, object]:
        """Entity id by path."""
        return dict(self.rows("SELECT file_path, id FROM entity"))  # type: ignore[arg-type]

    def state_bytes(self) -> dict[str, bytes]:
        """Index and database, byte for byte."""
        return {path.name: path.read_bytes() for path in self.state_path.iterdir() if path.name != "lock"}

    def meaning(self) -> dict[str, object]:
        """What the stores say, without what depends on when it was said: row ids and times."""
        query = """SELECT file_path, title, type, kind, blob_id, size_bytes, mtime_ns, metadata, tags, warnings
                   FROM entity ORDER BY file_path"""
        observations = """SELECT file_path, position, category, content, context FROM observation
                          JOIN entity ON entity.id = entity_id ORDER BY file_path, position"""
        relations = """SELECT source.file_path, relation.position, relation.type, target, relation.context,
                              aim.file_path
                       FROM relation JOIN entity AS source ON source.id = from_id
                       LEFT JOIN entity AS aim ON aim.id = to_id ORDER BY source.file_path, relation.position"""
        tags = "SELECT file_path, tag FROM entity_tag JOIN entity ON entity.id = entity_id ORDER BY file_path, tag"
        index = self.index
        return {
            "entities": self.rows(query),
            "tags": self.rows(tags),
            "observations": self.rows(observations),
            "relations": self.rows(relations),
            "index": [(path, index[path].blob_id, index[path].tracking) for path in index],
        }


def _numbered(query: str) -> str:
    """Return a query with PostgreSQL's parameters in place of SQLite's."""
    first, *rest = query.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, start=1))


def paths_of(changes: Iterable[object]) -> list[bytes]:
    return [change.path for change in changes]  # type: ignore[attr-defined]
