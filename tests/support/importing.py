"""Importing from a database of basic-memory, and what both sides know afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bm_gitindex import ImportReport, ImportRequest
from support.basicmemory import PROJECT

if TYPE_CHECKING:
    from support.basicmemory import TheirDatabase
    from support.vault import Vault

IDENTITIES = "SELECT file_path, external_id, permalink, created_at FROM entity"
STORED = (
    "SELECT id, file_path, external_id, permalink, alias_key, created_at, updated_at, title FROM entity ORDER BY id"
)


def adopt(vault: Vault, theirs: TheirDatabase, **request: object) -> ImportReport:
    """Import the garden, and check what must hold after any import: that `verify` finds nothing."""
    asked = ImportRequest(theirs.path, PROJECT, **request)  # type: ignore[arg-type]
    report = vault.project.import_basic_memory_blocking(asked)
    assert vault.project.verify().mismatches == ()
    return report


def identities(vault: Vault) -> dict[object, tuple[object, ...]]:
    """External id, permalink and created_at, by path."""
    return {path: (one, permalink, _shown(time)) for path, one, permalink, time in vault.rows(IDENTITIES)}


def permalinks(vault: Vault) -> dict[object, object]:
    return {path: row[1] for path, row in identities(vault).items()}


def _shown(time: object) -> object:
    """Return a time as SQLite has it; the driver of a server gives an aware one."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}" if isinstance(time, datetime) else time
