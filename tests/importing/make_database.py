"""Makes `garden.sql` anew, with an installed basic-memory.

    cd tests && python -m importing.make_database PYTHON

PYTHON is the interpreter of an environment that has basic-memory. The dump leaves out what is not needed here: the
search index, and tables that hold nothing.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from support.basicmemory import DUMP, ELSEWHERE, GONE, NOTES, PROJECT, PROJECT_PATH, BasicMemory, write_notes

_TABLES = ("alembic_version", "project", "entity", "observation", "relation")


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary).resolve()
        folders = {PROJECT: home / PROJECT, ELSEWHERE: home / ELSEWHERE}
        write_notes(folders[PROJECT], {**NOTES, GONE: b"Not in the garden any more.\n"})
        write_notes(folders[ELSEWHERE], {"Plan.md": b"Another plan.\n"})
        basic_memory = BasicMemory(sys.argv[1], home / "home")
        basic_memory.index(folders)
        with closing(sqlite3.connect(basic_memory.database)) as connection:
            text = "\n".join(_dump(connection))
    for folder, path in ((folders[PROJECT], PROJECT_PATH), (folders[ELSEWHERE], "/home/ann/shed"), (home, "/home/ann")):
        text = text.replace(str(folder), path)
    DUMP.write_text(text + "\n", "utf-8")


def _dump(connection: sqlite3.Connection) -> list[str]:
    lines = ["BEGIN;"]
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
    schema = [row for row in connection.execute(query) if row[2] in _TABLES]
    lines += [f"{sql};" for kind, _, _, sql in schema if kind == "table"]
    for table in _TABLES:
        # Generated columns are not stored, and `hidden` is 2 for them.
        info = connection.execute(f"PRAGMA table_xinfo({table})")
        names = ", ".join(f'"{name}"' for _, name, _, _, _, _, hidden in info if hidden == 0)
        quoted = " || ',' || ".join(f"quote({name})" for name in names.split(", "))
        for (values,) in connection.execute(f"SELECT {quoted} FROM {table} ORDER BY 1"):
            lines.append(f"INSERT INTO {table} ({names}) VALUES ({values});")
    lines += [f"{sql};" for kind, _, _, sql in schema if kind == "index"]
    return [*lines, "COMMIT;"]


if __name__ == "__main__":
    main()
