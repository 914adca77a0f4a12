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


@contextmanager
def hold_watch(state: StateFolder, command: str) -> Iterator[None]:
    """Be the one who watches a project.

    Raises LockHeldError, naming the one who does already, and StateWriteError where the lock cannot be had.
    """
    try:
        fd = open_lock_file(state.watch_lock)
    except OSError as error:
        raise StateWriteError(f"cannot use {state.watch_lock}: {error.strerror}") from error
    try:
        try:
            _take(fd)
            write_holder(fd, command)
        except BlockingIOError as error:
            raise _held(state, _fields(fd)) from error
        except OSError as error:
            raise StateWriteError(f"cannot lock {state.watch_lock}: {error.strerror}") from error
        yield
    finally:
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
