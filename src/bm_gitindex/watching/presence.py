"""Who watches a project: one process at a time, which holds a lock for as long as it lives."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bm_gitindex.errors import LockHeldError, StateWriteError
from bm_gitindex.writerlock import holder_fields, holder_words, open_lock_file, write_holder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bm_gitindex.statefolder import StateFolder


_ATTEMPTS = 5
_RETRY_S = 0.01


class Watch:
    """The watch of one project, held by this process."""

    def __init__(self, state: StateFolder, fd: int) -> None:
        self._state = state
        self._fd = fd

    def is_lost(self) -> bool:
        """Return whether the state folder was removed or replaced: who comes now does not see this watch.

        It is not lost where there is no such folder at present, since that may come back.
        """
        try:
            os.lstat(self._state.path)
        except OSError:
            return False
        try:
            return not os.path.samestat(os.fstat(self._fd), os.lstat(self._state.watch_lock))
        except OSError:
            return True


@contextmanager
def hold_watch(state: StateFolder, command: str) -> Iterator[Watch]:
    """Be the one who watches a project.

    Raises LockHeldError, naming the one who does already, and StateWriteError where the lock cannot be had.
    """
    try:
        fd = open_lock_file(state.watch_lock)
    except OSError as error:
        raise StateWriteError(f"cannot use {state.watch_lock}: {error.strerror}") from error
    _open_fds.add(fd)
    try:
        try:
            _take(fd)
            write_holder(fd, command)
        except BlockingIOError as error:
            raise _held(state, _fields(fd)) from error
        except OSError as error:
            raise StateWriteError(f"cannot lock {state.watch_lock}: {error.strerror}") from error
        yield Watch(state, fd)
    finally:
        if fd in _open_fds:  # and not in a child that was forked
            _open_fds.discard(fd)
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)  # a child that was made by other means may have a copy
            os.close(fd)


def refuse_second(state: StateFolder) -> None:
    """Raise LockHeldError, naming the holder, where a project is watched already."""
    fields = watcher_fields(state)
    if fields is not None:
        raise _held(state, fields)


def watcher_fields(state: StateFolder) -> dict[str, str] | None:
    """Return what is known of the process that watches a project (`pid`, `host`, `started`), None where none does."""
    try:
        fd = os.open(state.watch_lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _fields(fd)
    except OSError:
        return None
    finally:
        os.close(fd)
    return None


def is_holder(state: StateFolder, pid: int) -> bool:
    """Return whether a process has the lock of the watch open, where the system says; otherwise it is believed."""
    folder = f"/proc/{pid}/fd"
    if not os.path.isdir("/proc/self/fd"):
        return True
    try:
        lock = os.lstat(state.watch_lock)
        return any(_is_open_as(lock, os.path.join(folder, number)) for number in os.listdir(folder))
    except PermissionError:
        return True  # another user's, who will not be obeyed either
    except OSError:
        return False


def _is_open_as(st: os.stat_result, descriptor: str) -> bool:
    try:
        return os.path.samestat(os.stat(descriptor), st)
    except OSError:
        return False


def _held(state: StateFolder, fields: dict[str, str]) -> LockHeldError:
    return LockHeldError(
        f"{state.root} is watched already by {holder_words(fields)}; "
        "see what it does with `bm-gitindex watch --follow`, end it with `bm-gitindex watch --stop`"
    )


def _take(fd: int) -> None:
    """Take the lock. Whoever asks who watches has it for a moment, and is waited for. Raises OSError."""
    for _ in range(_ATTEMPTS):
        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_RETRY_S)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _fields(fd: int) -> dict[str, str]:
    try:
        return holder_fields(fd)
    except OSError:
        return {}


_open_fds: set[int] = set()


def _let_parent_have_them() -> None:
    """Close what a forked child has inherited: it watches nothing, and must not seem to."""
    while _open_fds:
        os.close(_open_fds.pop())


os.register_at_fork(after_in_child=_let_parent_have_them)
