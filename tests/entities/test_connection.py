"""Cursors that take one turn for each statement give what those of the sqlite3 module give."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import aiosqlite
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bm_gitindex.entities.connection import connector

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_NUMBERS = (
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) SELECT n FROM numbers"
)


def in_memory(body: Callable[[aiosqlite.Connection], Awaitable[Any]]) -> Any:
    """Return what the body returns, given a database in memory."""

    async def run() -> Any:
        async with connector(":memory:", isolation_level=None) as opened:
            return await body(opened)

    return asyncio.run(run())


@given(
    count=st.sampled_from([1, 2, 99, 100, 101, 199, 200, 201, 350]),
    fetches=st.lists(st.one_of(st.none(), st.integers(1, 150), st.just("one"), st.just("all")), max_size=6),
)
def test_rows_come_as_they_would(count: int, fetches: list[Any]) -> None:
    """Whatever is asked for, one after the other."""

    async def ours(opened: aiosqlite.Connection) -> list[Any]:
        cursor = await (await opened.cursor()).execute(_NUMBERS, (count,))
        found: list[Any] = []
        for fetch in fetches:
            if fetch == "one":
                found.append(await cursor.fetchone())
            elif fetch == "all":
                found.append(await cursor.fetchall())
            else:
                found.append(await cursor.fetchmany(fetch))
        await cursor.close()
        return found

    with closing(sqlite3.connect(":memory:")) as plain:
        cursor = plain.execute(_NUMBERS, (count,))
        calls: dict[Any, Callable[[], Any]] = {"one": cursor.fetchone, "all": cursor.fetchall, None: cursor.fetchmany}
        wanted = [calls[fetch]() if fetch in calls else cursor.fetchmany(fetch) for fetch in fetches]
    assert in_memory(ours) == wanted


def test_one_turn_for_each_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[object] = []
    real = aiosqlite.Connection._execute

    async def counted(self: aiosqlite.Connection, work: Any, *arguments: Any) -> Any:
        turns.append(work)
        return await real(self, work, *arguments)  # type: ignore[no-untyped-call]

    async def body(opened: aiosqlite.Connection) -> list[Any]:
        monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
        async with opened.cursor() as cursor:
            await cursor.execute(_NUMBERS, (3,))
            return list(await cursor.fetchall())

    assert in_memory(body) == [(1,), (2,), (3,)]
    assert len(turns) == 2  # and the end of the connection


def test_statement_that_is_left_with_rows_holds_no_lock() -> None:
    async def body(opened: aiosqlite.Connection) -> int:
        async with opened.cursor() as cursor:
            await cursor.execute("CREATE TABLE t (n)")
            await cursor.executemany("INSERT INTO t VALUES (?)", ((n,) for n in range(250)))
            assert cursor.rowcount == 250
        async with opened.cursor() as cursor:
            await cursor.execute("SELECT n FROM t")
            assert await cursor.fetchone() == (0,)
        async with opened.cursor() as cursor:
            await cursor.execute("DROP TABLE t")  # locked, while a statement reads from it
            return 1

    assert in_memory(body) == 1


@pytest.mark.parametrize("position", [1, 150])
def test_statement_whose_rows_cannot_be_read_holds_no_lock(position: int) -> None:
    """Text that is not UTF-8, among the rows that come with the statement and among the others."""

    async def all_rows(opened: aiosqlite.Connection) -> None:
        async with opened.cursor() as cursor:
            await cursor.execute("SELECT n FROM t")
            await cursor.fetchall()

    async def body(opened: aiosqlite.Connection) -> None:
        async with opened.cursor() as cursor:
            await cursor.execute("CREATE TABLE t (n)")
            await cursor.executemany("INSERT INTO t VALUES (?)", ((n,) for n in range(250)))
            await cursor.execute("UPDATE t SET n = CAST(x'ff' AS TEXT) WHERE n = ?", (position,))
        with pytest.raises(sqlite3.OperationalError, match="UTF-8") as failure:
            await all_rows(opened)
        async with opened.cursor() as cursor:
            await cursor.execute("DROP TABLE t")
        assert failure.value is not None  # held until now: nothing was given up with it

    in_memory(body)


def test_failed_statement_leaves_a_cursor_that_can_be_closed() -> None:
    async def body(opened: aiosqlite.Connection) -> None:
        async with opened.cursor() as cursor:
            await cursor.execute("SELECT * FROM missing")

    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        in_memory(body)
