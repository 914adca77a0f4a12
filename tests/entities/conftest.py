"""What the store's tests ask of a database, they ask of both: `database` is an SQLite file, then a PostgreSQL server's.

A module, or a test, that is about SQLite's own file is marked `sqlite_file`.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.entities.store import EntityStore, open_store
from bm_gitindex.statefolder import StateFolder
from support.postgresql import Served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from entities.builders import AnyDatabase
    from support.postgresql import Database, PostgreSQL


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the present schema and nothing in it, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "entities.db"
    _create(path)
    return path


@pytest.fixture(scope="session")
def served_databases(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> list[Database]:
    """Two databases with the present schema, to be emptied before each use."""
    databases = [postgresql.database(), postgresql.database()]
    for database in databases:
        _create(Served(database, _state(tmp_path_factory.mktemp("empty"))))
    return databases


@pytest.fixture
def new_database(
    database_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], AnyDatabase]:
    """A function that returns an empty database; of PostgreSQL's, no more than two are in use at a time."""
    made = 0
    if database_kind == "sqlite":
        empty: Path = request.getfixturevalue("empty_database")
    else:
        served: list[Database] = request.getfixturevalue("served_databases")

    def make() -> AnyDatabase:
        nonlocal made
        made += 1
        folder = tmp_path_factory.mktemp("database")
        if database_kind == "sqlite":
            path = folder / "state" / "entities.db"
            path.parent.mkdir()
            shutil.copy(empty, path)
            return path
        database = served[made % 2]
        database.empty()
        return Served(database, _state(folder))

    return make


@pytest.fixture
def database(new_database: Callable[[], AnyDatabase]) -> AnyDatabase:
    return new_database()


@pytest.fixture
async def store(database: AnyDatabase) -> AsyncIterator[EntityStore]:
    async with open_store(database) as store:
        yield store


def _create(database: AnyDatabase) -> None:
    async def create() -> None:
        async with open_store(database):
            pass

    asyncio.run(create())


def _state(root: Path) -> StateFolder:
    state = StateFolder(root)
    state.ensure()
    return state
