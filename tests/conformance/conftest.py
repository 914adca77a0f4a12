from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.beside import Beside
from support.git import Git

if TYPE_CHECKING:
    from pathlib import Path

    from support.project import Project


@pytest.fixture
def both(project: Project, tmp_path: Path) -> Beside:
    """A project, and git beside it with a copy of its index; ctime is trusted unless the test says otherwise."""
    return Beside(project, Git(tmp_path / "git", tmp_path / "git-index", project.root))
