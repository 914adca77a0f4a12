"""What SQLite reports, in the words of `errors`: which file, what happened, what to do."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from bm_gitindex.errors import BmGitIndexError, DatabaseDamagedError, LockHeldError, StateWriteError

if TYPE_CHECKING:
    from pathlib import Path

_PRIMARY_CODE = 0xFF  # the higher bits say more of the same (sqlite.org/rescode.html)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_REMEDIES = {
    sqlite3.SQLITE_FULL: "free some space and run the command again",
    sqlite3.SQLITE_IOERR: "check the disk, then run the command again",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable, or choose another state_dir",
    sqlite3.SQLITE_PERM: "make the file and its folder writable, or choose another state_dir",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder writable, or choose another state_dir",
}


def damaged(database: object, detail: object) -> DatabaseDamagedError:
    """Return the error for a file whose content is not that of an entity database."""
    return DatabaseDamagedError(
        f"{database}: damaged, or not an entity database ({detail}); "
        "`bm-gitindex sync --paranoid` keeps it aside and builds a new one from the files"
    )


def may_be_the_disk(error: BaseException | None) -> bool:
    """Return whether what SQLite calls damage may be a page that the disk failed to deliver: it calls both so."""
    error = getattr(error, "orig", error)
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE == sqlite3.SQLITE_CORRUPT


def translated(error: sqlite3.Error, database: Path) -> BmGitIndexError | None:
    """Return the error to raise for what SQLite said of `database`; None if it is a fault of this program."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
    if code in _DAMAGED or str(error).startswith(("no such table", "no such column")):
        return damaged(database, error)
    if code in _BUSY:
        return LockHeldError(f"{database}: another program is using it ({error}); try again once it is done")
    if code == sqlite3.SQLITE_IOERR and _is_disk_full(database):
        code = sqlite3.SQLITE_FULL  # what some file systems say in this way
    if code in _REMEDIES:
        return StateWriteError(f"{database}: cannot be written ({error}); {_REMEDIES[code]}")
    return None


def _is_disk_full(database: Path) -> bool:
    try:
        return os.statvfs(database.parent).f_bavail == 0
    except OSError:
        return False
