"""The right to write: who has it, since when, and how a new index takes the old one's place.

`flock` on the permanent `lock` file decides who writes, and dies with its holder. `index.lock` is git's own convention
(api-lockfile): created exclusively, written, and renamed over the index, so that git and we respect each other. Ours is
a second name of `index.new`: a left-over `index.lock` that is the same file is ours, and any other is git's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bm_gitindex.errors import LockHeldError, StateWriteError
from bm_gitindex.filesystem import devices_of_one_clock
from bm_gitindex.index.compare import LockClock
from bm_gitindex.index.entry import ID_LENGTH
from bm_gitindex.index.stat import stored_time
from bm_gitindex.indexfile import owner_text
from bm_gitindex.statefolder import sync_folder, write_all, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bm_gitindex.statefolder import StateFolder

_FILE_MODE = 0o600
_RETRY_S = 0.05
_HOLDER_BYTES = 512
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class IndexLock:
    """Held from before the first file is looked at until the new index is in place."""

    def __init__(self, state: StateFolder, clock: LockClock) -> None:
        """Made by `lock_index` alone."""
        self.clock = clock
        """t0: the file system's time when the lock was taken."""
        self._state = state

    def commit(self, data: bytes) -> None:
        """Replace the index by these bytes, durably. Raises StateWriteError."""
        state = self._state
        with _write_errors_named(state.index):
            write_file(state.index_owner, owner_text(data[-ID_LENGTH:]))
            fd = os.open(state.index_lock, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                write_all(fd, data)
                os.fsync(fd)
            finally:
                os.close(fd)
            state.index_lock.rename(state.index)
        try:
            sync_folder(state.path)
        except OSError as error:
            raise StateWriteError(f"cannot make {state.index} durable: {error.strerror}; sync once more") from error


@contextmanager
def lock_index(state: StateFolder, wait_s: float, command: str) -> Iterator[IndexLock]:
    """Hold the lock of a project, waiting up to `wait_s` seconds for it.

    Raises LockHeldError, naming the holder, and StateWriteError where the lock cannot be written.
    """
    deadline = time.monotonic() + wait_s
    with _write_errors_named(state.lock):
        fd = os.open(state.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE)
    try:
        _take_flock(fd, state, deadline)
        with _write_errors_named(state.index_lock):
            _remove_ours(fd, state)
            _write_holder(fd, command)
            st = _create(state.index_new)
        try:
            _publish(fd, state, deadline)
            yield IndexLock(state, _clock(st, state))
        finally:
            # What is left over is known to be ours by the next run: no reason to fail one that is done.
            with suppress(OSError):
                _remove_ours(fd, state)
                _write_holder(fd, command)
    finally:
        os.close(fd)


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `<name>.corrupt-<n>`, where it is out of the way and not lost; return that path.

    Raises StateWriteError.
    """
    number = 1
    while (target := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    with _write_errors_named(path):
        path.rename(target)
    return target


def _clock(st: os.stat_result, state: StateFolder) -> LockClock:
    devices = devices_of_one_clock(state.path, state.root)
    return LockClock(*stored_time(st.st_mtime_ns), devices)


def _take_flock(fd: int, state: StateFolder, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise StateWriteError(f"cannot lock {state.lock}: {error.strerror}") from error
            if time.monotonic() >= deadline:
                raise LockHeldError(f"{state.path} is in use by {_holder(fd)}") from error
            time.sleep(_RETRY_S)
        else:
            return


def _create(path: Path) -> os.stat_result:
    fd = os.open(path, _CREATE_FLAGS, _FILE_MODE)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _publish(fd: int, state: StateFolder, deadline: float) -> None:
    """Give `index.new` its second name, `index.lock`, once nobody else has it."""
    while True:
        try:
            _link(fd, state)
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


def _link(fd: int, state: StateFolder) -> None:
    try:
        os.link(state.index_new, state.index_lock)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # The next best thing where a file has one name only: the lock file says which inode is ours.
        st = _create(state.index_lock)
        os.pwrite(fd, _padded(_read_fields(fd) | {"index.lock": str(st.st_ino)}), 0)


def _remove_ours(fd: int, state: StateFolder) -> None:
    """Remove `index.lock` if it is ours, and `index.new`. Raises OSError.

    At the start of a run that is what one which was killed has left: it held the flock that is ours now.
    """
    with suppress(FileNotFoundError):
        if _is_ours(fd, state):
            state.index_lock.unlink()
    state.index_new.unlink(missing_ok=True)


def _is_ours(fd: int, state: StateFolder) -> bool:
    lock_st = os.lstat(state.index_lock)
    if _read_fields(fd).get("index.lock") == str(lock_st.st_ino):
        return True
    try:
        return os.path.samestat(lock_st, os.lstat(state.index_new))
    except FileNotFoundError:
        return False


def _write_holder(fd: int, command: str) -> None:
    """Write down who holds the lock. Of one length always, so that a full disk cannot leave half of it."""
    fields = {
        "pid": str(os.getpid()),
        "host": os.uname().nodename,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
    }
    os.pwrite(fd, _padded(fields), 0)


def _padded(fields: dict[str, str]) -> bytes:
    command = fields.get("command", "").encode("utf-8", "replace")[:200].decode("utf-8", "ignore")
    lines = [f"{name}: {' '.join(value.split())[:100]}" for name, value in fields.items() if name != "command"]
    text = "\n".join([*lines, f"command: {' '.join(command.split())}", ""])
    return text.encode("utf-8", "replace").ljust(_HOLDER_BYTES)


def _read_fields(fd: int) -> dict[str, str]:
    text = os.pread(fd, _HOLDER_BYTES, 0).decode("utf-8", "replace")
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name: value.strip() for name, separator, value in pairs if separator}


def _holder(fd: int) -> str:
    fields = _read_fields(fd)
    if "pid" not in fields:
        return "another process"
    return f"process {fields['pid']} on {fields.get('host')} ({fields.get('command')}, since {fields.get('started')})"


@contextmanager
def _write_errors_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateWriteError(f"cannot write {path}: {reason}; what was stored before is unchanged") from error
