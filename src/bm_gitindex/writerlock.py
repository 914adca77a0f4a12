"""Who may write to a project's state, and who does so now.

`flock` on the permanent `lock` file decides, and dies with its holder; the file's text says who that is. The state
folder itself is locked too, as far as the file system lets folders be locked: should somebody delete the lock file, a
new one in its place must not admit a second writer. Where that is not to be had, or the whole folder is replaced, the
holder finds out that its lock is not the one that others see, and writes no more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bm_gitindex.errors import LockHeldError, StateWriteError
from bm_gitindex.statefolder import restrict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bm_gitindex.statefolder import StateFolder

RETRY_S = 0.05
"""How long to wait before the next attempt to take a lock."""

_FILE_MODE = 0o600
_HOLDER_BYTES = 512
_HELD = (errno.EAGAIN, errno.EACCES)
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_FD = -1


class WriterLock:
    """The lock of one project, opened; between `take` and `release` nobody else has it."""

    def __init__(self, state: StateFolder) -> None:
        """Open the files. Raises OSError."""
        self._state = state
        self._fd = _NO_FD
        self._folder_fd = os.open(state.path, _OPEN_FOLDER)
        try:
            self._fd = open_lock_file(state.lock)
        except OSError:
            os.close(self._folder_fd)
            raise
        _open_locks.add(self)

    def take(self, deadline: float) -> None:
        """Wait for the lock until `time.monotonic()` is `deadline`. Raises LockHeldError and StateWriteError."""
        try:
            self._take(self._fd, deadline)
        except OSError as error:
            advice = "set state_dir to a folder on a file system that has locks"
            raise StateWriteError(f"cannot lock {self._state.lock}: {error.strerror}; {advice}") from error
        with suppress(OSError):
            self._take(self._folder_fd, deadline)

    def _take(self, fd: int, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _HELD:
                    raise
                if time.monotonic() >= deadline:
                    raise LockHeldError(f"{self._state.path} is in use by {self._holder()}") from error
                time.sleep(RETRY_S)
            else:
                return

    def is_seen_by_others(self) -> bool:
        """Return whether whoever comes now finds this very lock: neither file nor folder was deleted or replaced."""
        try:
            return os.path.samestat(os.fstat(self._folder_fd), os.lstat(self._state.path)) and os.path.samestat(
                os.fstat(self._fd), os.lstat(self._state.lock)
            )
        except OSError:
            return False

    def release(self) -> None:
        """Let go of the lock, of which a child that was forked meanwhile may have a copy."""
        if self in _open_locks:
            for fd in (self._folder_fd, self._fd):
                with suppress(OSError):
                    fcntl.flock(fd, fcntl.LOCK_UN)
            self.close()

    def close(self) -> None:
        """Close the files, unless that was done; where these are the last copies of them, the lock is free."""
        if self in _open_locks:
            _open_locks.discard(self)
            os.close(self._folder_fd)
            os.close(self._fd)
            self._folder_fd = self._fd = _NO_FD

    def fields(self) -> dict[str, str]:
        """Return what the lock file says, by name. Raises OSError."""
        return holder_fields(self._fd)

    def write_holder(self, command: str, **more: str) -> None:
        """Write down who holds the lock. Of one length always, so that a full disk cannot leave half of it.

        Raises OSError.
        """
        write_holder(self._fd, command, **more)

    def _holder(self) -> str:
        fields: dict[str, str] = {}
        with suppress(OSError):
            fields = self.fields()
        return holder_words(fields)


@contextmanager
def hold_writer_lock(state: StateFolder, deadline: float) -> Iterator[WriterLock]:
    """Hold the lock of a project, waiting for it until `time.monotonic()` is `deadline`.

    Raises LockHeldError, naming the holder, and StateWriteError where the file system has no such lock.
    """
    lock = _taken(state, deadline)
    try:
        yield lock
    finally:
        lock.release()


@contextmanager
def write_errors_named(path: Path) -> Iterator[None]:
    """Raise StateWriteError, naming the file, instead of OSError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateWriteError(f"cannot write {path}: {reason}; what was stored before is unchanged") from error


def open_lock_file(path: Path) -> int:
    """Return a descriptor of the lock file, made if need be. Raises OSError for anything but a file in its place."""
    fd = os.open(path, _OPEN_LOCK, _FILE_MODE)
    try:
        _require_file(fd)
        restrict(fd)
    except OSError:
        os.close(fd)
        raise
    return fd


def _require_file(fd: int) -> None:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(errno.EINVAL, "not a file")


def _taken(state: StateFolder, deadline: float) -> WriterLock:
    while True:
        with write_errors_named(state.lock):
            lock = WriterLock(state)
        try:
            lock.take(deadline)
        except BaseException:
            lock.close()
            raise
        if lock.is_seen_by_others():
            return lock
        # The one that was waited for is gone: whoever has the one in its place does not know of it.
        lock.release()
        if time.monotonic() >= deadline:
            raise LockHeldError(f"{state.lock} was deleted or replaced while it was waited for; sync once more")
        time.sleep(RETRY_S)
        state.ensure()


def holder_fields(fd: int) -> dict[str, str]:
    """Return what a lock file says of its holder, by name. Raises OSError."""
    text = os.pread(fd, _HOLDER_BYTES, 0).decode("utf-8", "replace")
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name: value.strip() for name, separator, value in pairs if separator}


def holder_words(fields: dict[str, str]) -> str:
    """Return who holds a lock, for people."""
    if "pid" not in fields:
        return "another process"
    return f"process {fields['pid']} on {fields.get('host')} ({fields.get('command')}, since {fields.get('started')})"


def write_holder(fd: int, command: str, **more: str) -> None:
    """Write down in a lock file that this process holds it. Of one length always. Raises OSError."""
    fields = {
        "pid": str(os.getpid()),
        "host": os.uname().nodename,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }
    os.pwrite(fd, _padded(fields, command), 0)


def _padded(fields: dict[str, str], command: str) -> bytes:
    shown = command.encode("utf-8", "replace")[:200].decode("utf-8", "ignore")
    lines = [f"{name}: {' '.join(value.split())[:100]}" for name, value in fields.items()]
    text = "\n".join([*lines, f"command: {' '.join(shown.split())}", ""])
    return text.encode("utf-8", "replace").ljust(_HOLDER_BYTES)


_open_locks: set[WriterLock] = set()


def _let_parent_have_them() -> None:
    """Close what a forked child has inherited: it must not hold its parent's lock when that has ended."""
    for lock in list(_open_locks):
        lock.close()


os.register_at_fork(after_in_child=_let_parent_have_them)
