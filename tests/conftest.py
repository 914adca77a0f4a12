from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from support.git import Git
from support.postgresql import NoServerError, PostgreSQL
from support.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

settings.register_profile(
    "default-here",
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("default-here")


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
