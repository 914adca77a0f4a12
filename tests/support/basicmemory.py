"""A real database of basic-memory without basic-memory: a dump of one, and the notes that it was made of."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DUMP = Path(__file__).parents[1] / "importing" / "garden.sql"
"""Written by `importing/make_database.py`: basic-memory 0.23.2, in UTC."""
PROJECT = "garden"
PROJECT_PATH = "/home/ann/garden"
ELSEWHERE = "shed"
"""Another project in the same database."""

NOTES: dict[str, bytes] = {
    "Plan.md": b"---\ntitle: Plan\ntags: [spring]\n---\n- [goal] Grow #food\n- needs [[Soil]]\n- [[beds/north-bed]]\n",
    "Soil.md": b"No front matter. See [[garden/plan]], and [[plan]].\n",
    "beds/North Bed.md": b"---\ntitle: North\npermalink: north\n---\nIn the [[Plan]].\n",
    "beds/South Bed.md": b"---\ncreated: 2023-04-05T06:07:08+00:00\n---\n- beside [[north]]\n",
    "beds/south-bed.md": b"Another bed, with a name like the other's.\n",
    "\u00dcnder/\u00e9.md": "Caf\u00e9\n".encode(),
    "map.pdf": b"%PDF-1.4\n",
}
GONE = "Gone.md"
"""A note that only basic-memory has seen."""

_SETTINGS = '{"env": "dev", "projects": {}, "auto_update": false, "semantic_search_enabled": false}'


class TheirDatabase:
    """A database of basic-memory in a file, which a test may spoil."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def loaded(cls, path: Path) -> TheirDatabase:
        """Make the file from the dump, in WAL mode as basic-memory has it."""
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(DUMP.read_text("utf-8"))
        return cls(path)

    def execute(self, statement: str, *parameters: object) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement, parameters)

    def rows(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query, parameters).fetchall()

    def update(self, path: str, column: str, value: object) -> None:
        """Set a column of one entity, whatever the schema has against it."""
        self.without_indexes()
        self.execute(f"UPDATE entity SET {column} = ? WHERE file_path = ?", value, path)

    def without_indexes(self) -> None:
        """Drop what keeps values unique."""
        for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"):
            self.execute(f"DROP INDEX {name}")

    def identities(self, project: str = PROJECT) -> dict[object, tuple[object, ...]]:
        """External id, permalink and created_at, by path."""
        query = """SELECT file_path, entity.external_id, entity.permalink, entity.created_at FROM entity
                   JOIN project ON project.id = project_id WHERE project.name = ?"""
        return {path: tuple(rest) for path, *rest in self.rows(query, project)}


class BasicMemory:
    """An installed basic-memory, with a home folder of its own."""

    def __init__(self, python: str, home: Path) -> None:
        self._python = python
        config = home / "config"
        config.mkdir(parents=True)
        (config / "config.json").write_text(_SETTINGS)
        self.database = config / "memory.db"
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "HOME": str(home),
            "BASIC_MEMORY_HOME": str(home / "main"),
            "BASIC_MEMORY_CONFIG_DIR": str(config),
            "TZ": "UTC",
        }

    def index(self, projects: Mapping[str, Path]) -> None:
        """Let it read these folders as projects. It writes to the notes in them."""
        for name, folder in projects.items():
            self._run("project", "add", name, str(folder))
            self._run("reindex", "--search", "--project", name)

    def _run(self, *arguments: str) -> None:
        program = "from basic_memory.cli.main import app; app()"
        command: Sequence[str] = [self._python, "-c", program, *arguments]
        subprocess.run(command, env=self._environment, check=True, capture_output=True, timeout=300)


def write_notes(folder: Path, notes: Mapping[str, bytes]) -> None:
    for path, data in notes.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
