from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from bm_gitindex.entities.store import open_store
from bm_gitindex.statefolder import StateFolder
from support.git import Git
from support.postgresql import NoServerError, PostgreSQL, Served
from support.profile import NIGHTLY
from support.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.postgresql import Database

settings.register_profile(
    "default-here",
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("default-here")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask both databases what does not care which it is; a test that is about one system's own says so."""
    if "database_kind" in metafunc.fixturenames:
        is_of_sqlite = metafunc.definition.get_closest_marker("sqlite_file") is not None
        is_for_the_night = metafunc.definition.get_closest_marker("both_by_night") is not None and not NIGHTLY
        kinds = ["sqlite"] if is_of_sqlite or is_for_the_night else ["sqlite", "postgresql"]
        metafunc.parametrize("database_kind", kinds, scope="session")


def pytest_configure() -> None:
    """Let the tests, and what they start, be interrupted: in a shell's background they would ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server. Where there can be none, what needs it is skipped."""
    try:
        server = PostgreSQL()
        server.start()
    except (NoServerError, OSError) as error:
        pytest.skip(f"no PostgreSQL server can run here: {error}")
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def template(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with the present schema and no project."""
    database = postgresql.database()
    state = StateFolder(tmp_path_factory.mktemp("template"))
    state.ensure()

    async def create() -> None:
        async with open_store(Served(database, state)):
            pass

    asyncio.run(create())
    database.empty()
    postgresql.leave(database.name)
    return database.name


@pytest.fixture
def served_database(postgresql: PostgreSQL, template: str) -> Iterator[Database]:
    """A database of this test's own, with the present schema and no project."""
    made = postgresql.database(template)
    yield made
    made.drop()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project that has a state folder and no index."""
    root = tmp_path / "root"
    root.mkdir()
    return Project(root)


@pytest.fixture
def git(project: Project, tmp_path: Path) -> Git:
    """git beside the project's index and files."""
    return Git(tmp_path / "git", project.state.index, project.root)
