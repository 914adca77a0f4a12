from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.entities.store import EntityStore, open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the present schema and nothing in it, to be copied."""
    import asyncio

    path = tmp_path_factory.mktemp("empty") / "entities.db"

    async def create() -> None:
        async with open_store(path):
            pass

    asyncio.run(create())
    return path


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Path:
    path = tmp_path / "state" / "entities.db"
    path.parent.mkdir()
    shutil.copy(empty_database, path)
    return path


@pytest.fixture
async def store(database: Path) -> AsyncIterator[EntityStore]:
    async with open_store(database) as store:
        yield store
