from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from support.basicmemory import NOTES, TheirDatabase, write_notes
from support.vault import LONG_AGO_S, Vault, never_young

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The dump's times were written by a clock that showed UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def garden(
    tmp_path: Path, database_kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Vault:
    """The notes of the dump, as they were before basic-memory wrote to them; not synced yet."""
    never_young(monkeypatch)
    database = request.getfixturevalue("served_database") if database_kind == "postgresql" else None
    vault = Vault(tmp_path / "garden", database=database)
    write_notes(vault.root, NOTES)
    for path in NOTES:
        os.utime(vault.root / path, (LONG_AGO_S, LONG_AGO_S))
    return vault


@pytest.fixture
def theirs(tmp_path: Path) -> TheirDatabase:
    folder = tmp_path / "their config"
    folder.mkdir()
    return TheirDatabase.loaded(folder / "memory.db")
