"""The index on disk: reading it whole, locking it, and replacing it in one durable step.

`flock` on the permanent `lock` file decides who writes, and dies with its holder. `index.lock` is git's own convention
(api-lockfile): created exclusively, written, and renamed over the index, so that git and we respect each other.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bm_gitindex.errors import IndexDamagedError, LockHeldError, StateFolderError, StateWriteError
from bm_gitindex.index.codec import decode
from bm_gitindex.index.compare import Baseline, LockClock
from bm_gitindex.index.entry import Index
from bm_gitindex.machine import machine_id
from bm_gitindex.statefolder import sync_folder, write_all, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bm_gitindex.statefolder import StateFolder

_FILE_MODE = 0o600
_MASK = 0xFFFF_FFFF
_NS_PER_S = 1_000_000_000
_RETRY_S = 0.05
_LOCK_TEXT_BYTES = 512
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


@dataclass(frozen=True, slots=True)
class IndexSnapshot:
    """An index as it was read, and what it is worth."""

    index: Index
    baseline: Baseline
    exists: bool


def read_index(state: StateFolder) -> IndexSnapshot:
    """Return the index of a project; one that does not exist is empty.

    Raises IndexDamagedError or IndexUnsupportedError, naming the file, and StateFolderError where it cannot be read.
    """
    try:
        fd = os.open(state.index, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return IndexSnapshot(Index.empty(), Baseline(0, is_trusted=False), exists=False)
    except OSError as error:
        raise StateFolderError(f"cannot read {state.index}: {error.strerror}") from error
    with os.fdopen(fd, "rb") as file:
        timestamp_s = os.fstat(fd).st_mtime_ns // _NS_PER_S & _MASK
        data = file.read()
    try:
        index = decode(data)
    except IndexDamagedError as error:
        raise IndexDamagedError(f"{state.index}: {error}") from error
    is_ours = index.is_checked and _read_owner(state) == _owner(index.trailer)
    return IndexSnapshot(index, Baseline(timestamp_s, is_trusted=is_ours), exists=True)


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `<name>.corrupt-<n>`, where it is out of the way and not lost; return that path.

    Raises StateWriteError.
    """
    number = 1
    while (target := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    with _errors_named(path):
        path.rename(target)
    return target


class IndexLock:
    """The right to write: held from before the first file is looked at until the new index is in place."""

    def __init__(self, state: StateFolder, clock: LockClock) -> None:
        """Made by `lock_index` alone."""
        self.clock = clock
        """t0: the file system's time when the lock was taken."""
        self._state = state

    def commit(self, data: bytes) -> None:
        """Replace the index by these bytes, durably. Raises StateWriteError; the old index then stays."""
        state = self._state
        with _errors_named(state.index):
            write_file(state.index_owner, _owner(data[-20:]))
            fd = os.open(state.index_lock, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                write_all(fd, data)
                os.fsync(fd)
            finally:
                os.close(fd)
            state.index_lock.rename(state.index)
            sync_folder(state.path)


@contextmanager
def lock_index(state: StateFolder, wait_s: float, command: str) -> Iterator[IndexLock]:
    """Hold the lock of a project, waiting up to `wait_s` seconds for it.

    Raises LockHeldError, naming the holder, and StateWriteError where the lock cannot be written.
    """
    deadline = time.monotonic() + wait_s
    with _errors_named(state.lock):
        fd = os.open(state.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE)
    try:
        _take_flock(fd, state, deadline)
        with _holding_index_lock(fd, state, deadline, command) as clock:
            yield IndexLock(state, clock)
    finally:
        os.close(fd)


@contextmanager
def _holding_index_lock(fd: int, state: StateFolder, deadline: float, command: str) -> Iterator[LockClock]:
    _remove_left_over(fd, state)
    try:
        with _errors_named(state.index_lock):
            st = _create_unlinked(state)
            # Written before index.lock exists: whatever happens from here on, the next run knows whose it is.
            _write_lock_text(fd, "writing", command, st.st_ino)
        _publish_index_lock(state, deadline)
        try:
            yield LockClock(st.st_mtime_ns // _NS_PER_S & _MASK, st.st_mtime_ns % _NS_PER_S, st.st_dev & _MASK)
        finally:
            state.index_lock.unlink(missing_ok=True)
    finally:
        # Only a note for the next reader of the lock's text, who can do without it: no reason to fail a finished run.
        with suppress(OSError):
            _unpublished(state).unlink(missing_ok=True)
            _write_lock_text(fd, "clean", command, 0)


def _remove_left_over(fd: int, state: StateFolder) -> None:
    """Remove the `index.lock` of a run that ended uncleanly: one that held the flock that is now ours, and is gone."""
    text = _read_lock_text(fd)
    if text.get("state") != "writing":
        return
    with suppress(FileNotFoundError), _errors_named(state.index_lock):
        if os.lstat(state.index_lock).st_ino == text.get("inode"):
            state.index_lock.unlink()


def _unpublished(state: StateFolder) -> Path:
    return state.path / "index.new"


def _create_unlinked(state: StateFolder) -> os.stat_result:
    path = _unpublished(state)
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _take_flock(fd: int, state: StateFolder, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise StateWriteError(f"cannot lock {state.lock}: {error.strerror}") from error
            if time.monotonic() >= deadline:
                raise LockHeldError(f"{state.path} is in use by {_holder(_read_lock_text(fd))}") from error
            time.sleep(_RETRY_S)
        else:
            return


def _publish_index_lock(state: StateFolder, deadline: float) -> None:
    while True:
        try:
            _link_or_rename(_unpublished(state), state.index_lock)
        except FileExistsError as error:
            if time.monotonic() >= deadline:
                raise LockHeldError(
                    f"{state.index_lock} exists: git, or another program, is writing the index; "
                    "remove the file if none is"
                ) from error
            time.sleep(_RETRY_S)
        except OSError as error:
            raise StateWriteError(f"cannot create {state.index_lock}: {error.strerror}") from error
        else:
            return


def _link_or_rename(source: Path, target: Path) -> None:
    """Give `source` the name `target`. Raises FileExistsError where something has that name already."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # Reserved as git reserves it, then replaced by the file whose inode the lock's text names.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE))
        source.rename(target)
    else:
        source.unlink()


def _read_lock_text(fd: int) -> dict[str, object]:
    try:
        text = json.loads(os.pread(fd, _LOCK_TEXT_BYTES, 0))
    except (OSError, ValueError):
        return {}
    return text if isinstance(text, dict) else {}


def _write_lock_text(fd: int, lock_state: str, command: str, inode: int) -> None:
    text = json.dumps(
        {
            "state": lock_state,
            "pid": os.getpid(),
            "host": os.uname().nodename,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command[:200],
            "inode": inode,
        }
    )
    # Of one length always, so that a full disk cannot leave half of it.
    os.pwrite(fd, text.encode().ljust(_LOCK_TEXT_BYTES), 0)


def _holder(text: dict[str, object]) -> str:
    if "pid" not in text:
        return "another process"
    return f"process {text['pid']} on {text.get('host')} ({text.get('command')}, since {text.get('started')})"


def _owner(trailer: bytes) -> bytes:
    return json.dumps({"trailer": trailer.hex(), "machine": machine_id()}).encode()


def _read_owner(state: StateFolder) -> bytes:
    try:
        fd = os.open(state.index_owner, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(fd, "rb") as file:
        return file.read(4096)


@contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateWriteError(f"cannot write {path}: {reason}; what was stored before is unchanged") from error
