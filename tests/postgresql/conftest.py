from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bm_gitindex.entities import identity
from support.vault import Vault, never_young

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.postgresql import Database, PostgreSQL


@pytest.fixture
def database(served_database: Database) -> Database:
    """A database with the present schema and no project."""
    return served_database


@pytest.fixture
def blank(postgresql: PostgreSQL) -> Iterator[Database]:
    """A database without any table."""
    made = postgresql.database()
    yield made
    made.drop()


@pytest.fixture
def vault(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A folder with some notes, never synced."""
    never_young(monkeypatch)
    vault = Vault(tmp_path / "vault", database=database)
    vault.write("a.md", "# A\n- [fact] one #tag\n- links to [[b]]\n")
    vault.write("b.md", "# B\n")
    vault.write("sub/c.md", "---\ntitle: C\n---\n[[a]]\n")
    return vault


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function by which this becomes another machine."""
    return lambda name: monkeypatch.setattr(identity, "machine_id", lambda: name)
