"""A connection of aiosqlite's that takes one turn for each statement.

aiosqlite hands every call to the connection's thread: for a cursor that is made, executed, fetched from and closed, it
is woken four times, and wakes the event loop as often. That takes longer than a short statement itself.
"""

from __future__ import annotations

import contextlib
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import aiosqlite
from aiosqlite.context import contextmanager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

_AHEAD = 100
"""Rows that are fetched with the statement. Where there are more, they are fetched as they are asked for."""
_ITER_CHUNK_SIZE = 64


class Cursor(aiosqlite.Cursor):
    """A cursor that is made when it is executed, has its first rows then, and needs no closing once it has all."""

    _cursor: sqlite3.Cursor | None  # type: ignore[assignment]

    def __init__(self, connection: Connection, make: Callable[[], sqlite3.Cursor]) -> None:
        """`make` is called in the connection's thread."""
        super().__init__(connection, None)  # type: ignore[arg-type]
        self._make = make
        self._ahead: list[Any] = []
        self._has_more = False

    async def execute(self, sql: str, parameters: Any = ()) -> Cursor:
        """Run a statement."""
        self._ahead = []
        self._ahead = await self._in_thread(lambda: self._executed(sql, parameters))
        self._has_more = len(self._ahead) == _AHEAD
        return self

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> Cursor:
        """Run a statement once for each set of parameters."""
        self._ahead, self._has_more = [], False
        await self._in_thread(lambda: self._executed_often(sql, parameters))
        return self

    async def fetchone(self) -> Any:
        """Return the next row, None after the last one."""
        return next(iter(await self.fetchmany(1)), None)

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return the next `size` rows, or `arraysize`."""
        wanted = self.arraysize if size is None else size
        rows, self._ahead = self._ahead[:wanted], self._ahead[wanted:]
        if self._has_more and len(rows) < wanted:
            more = list(await super().fetchmany(wanted - len(rows)))
            self._has_more = bool(more)
            rows += more
        return rows

    async def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        rows, self._ahead = self._ahead, []
        if self._has_more:
            rows += await super().fetchall()
            self._has_more = False
        return rows

    async def close(self) -> None:
        """Let go of the rows that are left."""
        self._ahead = []
        if self._has_more:
            self._has_more = False
            await super().close()

    def _executed(self, sql: str, parameters: Any) -> list[Any]:
        with _ended_if_it_fails(self._made()) as cursor:
            return cursor.execute(sql, parameters).fetchmany(_AHEAD)

    def _executed_often(self, sql: str, parameters: Iterable[Any]) -> None:
        with _ended_if_it_fails(self._made()) as cursor:
            cursor.executemany(sql, parameters)

    def _made(self) -> sqlite3.Cursor:
        if self._cursor is None:
            self._cursor = self._make()
        return self._cursor

    async def _in_thread(self, work: Callable[[], T]) -> T:
        result: T = await self._execute(work)  # type: ignore[no-untyped-call]
        return result


@contextlib.contextmanager
def _ended_if_it_fails(cursor: sqlite3.Cursor) -> Iterator[sqlite3.Cursor]:
    """End a statement that fails: left as it is, it keeps its tables, and the files of a connection that is closed."""
    try:
        yield cursor
    except BaseException:
        cursor.close()
        raise


class Connection(aiosqlite.Connection):
    """A connection whose cursors are of that kind. Its thread does not keep the process from ending."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        """`connector` is called in the connection's thread, when the connection is awaited."""
        super().__init__(connector, _ITER_CHUNK_SIZE)
        thread: Any = getattr(self, "_thread", self)  # before aiosqlite 0.22 a connection is a thread
        thread.daemon = True

    @contextmanager
    async def cursor(self) -> aiosqlite.Cursor:
        """Return a cursor; nothing is done yet."""
        return Cursor(self, self._conn.cursor)


def connector(database: str, **arguments: Any) -> Connection:
    """Return a connection that is opened when it is awaited, with the arguments of `sqlite3.connect`."""
    return Connection(partial(sqlite3.connect, database, **arguments))
