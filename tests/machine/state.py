"""The state folder, and what befalls it: loss, damage, backups that are put back, git."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from bm_gitindex.errors import IndexDamagedError
from bm_gitindex.indexfile import read_index
from bm_gitindex.statefolder import StateFolder

if TYPE_CHECKING:
    from bm_gitindex.index.entry import Entry
    from machine.clock import Clock

_DATABASE = "entities.db"
_HEADER_BYTES = 100


class Row(NamedTuple):
    """What the database says of a path, in short."""

    entity_id: int
    kind: str
    blob_id: str
    permalink: str | None


class State:
    """Index and database of a project, looked at from outside."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._folder = StateFolder(root)
        self._clock = clock
        self._copies: list[dict[str, tuple[bytes, int]]] = []

    def go_to(self, root: Path) -> None:
        """Look at the state of a project that is somewhere else now."""
        self._folder = StateFolder(root)

    # --- what it holds -----------------------------------------------------------------------------------------------

    def image(self) -> dict[str, tuple[bytes, int, int]]:
        """Return every file of the state folder: its bytes, its mtime, its inode."""
        return {path.name: _image(path) for path in sorted(self._folder.path.iterdir())}

    def entries(self) -> dict[bytes, Entry]:
        """Return the index."""
        index = read_index(self._folder).index
        return {path: index[path] for path in index}

    def indexed(self) -> list[bytes]:
        """Return the paths of the index; none of one that is damaged."""
        try:
            return list(read_index(self._folder).index)
        except IndexDamagedError:
            return []

    def rows(self) -> dict[bytes, Row]:
        """Return the database's entities by path; none from a database that is lost or damaged."""
        try:
            found = self._query("SELECT file_path, id, kind, blob_id, permalink FROM entity")
            return {_path(text): Row(*values) for text, *values in found}
        except (sqlite3.Error, OSError):
            return {}

    def index_second(self) -> int:
        """Return T, by the file's mtime or by what `index.own` says of it, if that is earlier; 0 without an index."""
        if not self._folder.index.exists():
            return 0
        second = self._folder.index.stat().st_mtime_ns // 10**9
        owner = self._folder.index_owner.read_text() if self._folder.index_owner.exists() else ""
        said = dict(line.split(": ", 1) for line in owner.splitlines())
        is_of_this = said.get("trailer") == self._folder.index.read_bytes()[-20:].hex()
        return min(second, int(said["mtime"])) if is_of_this else second

    def is_tied(self) -> bool:
        """Return whether index and database belong together, by what both say."""
        try:
            tie = self._query("SELECT tie_closed, index_trailer FROM project")
            return bool(tie) and bool(tie[0][0]) and tie[0][1] == self._folder.index.read_bytes()[-20:].hex()
        except (sqlite3.Error, OSError):
            return False

    def locks(self) -> list[str]:
        """Return what no run should leave behind, not even one that follows a killed one."""
        return [path.name for path in (self._folder.index_lock, self._folder.index_new) if path.exists()]

    def litter(self) -> dict[str, bytes]:
        """Return what a killed run has left, and the next one that has something to write should tidy up."""
        paths = [self._folder.path / name for name in os.listdir(self._folder.path) if name.endswith((".new", "-wal"))]
        return {path.name: path.read_bytes() for path in paths}

    # --- what befalls it ---------------------------------------------------------------------------------------------

    def back_up(self) -> None:
        """Keep a copy of index and database as they are."""
        self._copies = [*self._copies[-2:], {name: (data, mtime_ns) for name, (data, mtime_ns, _) in self._ours()}]

    def restore_index(self, i: int, j: int) -> None:
        """Put an earlier index back, or one of another time, with what says whose it is or without."""
        names = ("index", "index.own") if j % 2 else ("index",)
        self._restore(i, names, keeps_mtime=j % 4 < 2)

    def restore_database(self, i: int) -> None:
        """Put an earlier database back, with all of its files."""
        if self._copies:
            self.delete_database(with_companions=True)
            self._restore(i, [name for name in self._copy(i) if name.startswith(_DATABASE)], keeps_mtime=True)

    def restore_all(self, i: int, j: int) -> None:
        """Put an earlier state back as a whole."""
        if self._copies:
            self.delete_index()
            self.delete_database(with_companions=True)
            self._restore(i, list(self._copy(i)), keeps_mtime=j % 2 == 0)

    def delete_index(self) -> None:
        self._folder.index.unlink(missing_ok=True)

    def delete_database(self, *, with_companions: bool) -> None:
        """Delete the database, and what SQLite keeps beside it or not."""
        for ending in ("", "-wal", "-shm") if with_companions else ("",):
            self._folder.path.joinpath(_DATABASE + ending).unlink(missing_ok=True)

    def damage_index(self, i: int, j: int) -> None:
        """Flip a bit, cut the end off, empty the file, or add to it."""
        if self._folder.index.exists():
            data = self._folder.index.read_bytes()
            self._write("index", _damaged(data, i, j, len(data)))

    def damage_database(self, i: int, j: int) -> None:
        """Spoil the database so that SQLite can see it: in its header, or in its length."""
        if self._folder.database.exists() and not self._folder.path.joinpath(f"{_DATABASE}-wal").exists():
            data = self._folder.database.read_bytes()
            kind = j % 3
            if kind == 0:
                self._write(_DATABASE, data[: i % max(len(data), 1)])
            elif kind == 1:
                self._write(_DATABASE, b"no database\n" * (1 + i % 400))
            else:
                self._write(_DATABASE, bytes(_HEADER_BYTES) + data[_HEADER_BYTES:])

    def stamp_index(self) -> None:
        """Give an index that git has written the time that it is now."""
        if self._folder.index.exists():
            self._stamp("index")

    # --- how it is done ----------------------------------------------------------------------------------------------

    def _query(self, query: str) -> list[tuple[Any, ...]]:
        """Return what the database answers, leaving no trace: of one with a `-wal` beside it, a copy is asked."""
        wal = self._folder.path / f"{_DATABASE}-wal"
        if not wal.exists():
            return _answer(f"{self._folder.database.as_uri()}?mode=ro&immutable=1", query)
        with TemporaryDirectory() as scratch:
            copy = Path(scratch, _DATABASE)
            shutil.copy(self._folder.database, copy)
            shutil.copy(wal, f"{copy}-wal")
            return _answer(copy.as_uri(), query)

    def _ours(self) -> list[tuple[str, tuple[bytes, int, int]]]:
        names = ("index", "index.own", _DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm")
        return [(name, _image(path)) for name in names if (path := self._folder.path / name).exists()]

    def _copy(self, i: int) -> dict[str, tuple[bytes, int]]:
        return self._copies[i % len(self._copies)]

    def _restore(self, i: int, names: list[str] | tuple[str, ...], *, keeps_mtime: bool) -> None:
        for name in names:
            if self._copies and name in self._copy(i):
                data, mtime_ns = self._copy(i)[name]
                self._write(name, data)
                if keeps_mtime:
                    os.utime(self._folder.path / name, ns=(mtime_ns, mtime_ns))

    def _write(self, name: str, data: bytes) -> None:
        path = self._folder.path / name
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        self._stamp(name)

    def _stamp(self, name: str) -> None:
        stamp_ns = self._clock.stamp_ns()
        os.utime(self._folder.path / name, ns=(stamp_ns, stamp_ns))


def _image(path: Path) -> tuple[bytes, int, int]:
    st = path.stat()
    return path.read_bytes(), st.st_mtime_ns, st.st_ino


def _answer(uri: str, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        return connection.execute(query).fetchall()


def _damaged(data: bytes, i: int, j: int, size: int) -> bytes:
    position = i % max(size, 1)
    if j % 4 == 0 and data:
        return data[:position] + bytes([data[position] ^ 1 << (i % 8)]) + data[position + 1 :]
    return (data[:position], b"", data + b"more")[j % 4 - 1] if data else b"x"


def _path(text: object) -> bytes:
    """Undo the database's spelling of bytes that are not UTF-8, of which machines use one."""
    return str(text).replace("//ff", "\udcff").encode("utf-8", "surrogateescape")
