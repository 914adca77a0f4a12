"""How a new index takes the old one's place, and how git is told that one is under way.

`writerlock` decides who writes. `index.lock` is git's own convention (api-lockfile): created exclusively, written, and
renamed over the index, so that git and we respect each other. Ours is a second name of `index.new`: a left-over
`index.lock` that is the same file is ours, and any other is git's.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bm_gitindex.errors import LockHeldError, StateWriteError
from bm_gitindex.filesystem import devices_of_one_clock
from bm_gitindex.index.compare import LockClock
from bm_gitindex.index.stat import stored_time
from bm_gitindex.indexfile import owner_text
from bm_gitindex.statefolder import remove_leftover, restrict, sync_folder, write_all, write_file
from bm_gitindex.writerlock import RETRY_S, hold_writer_lock, write_errors_named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bm_gitindex.index.encoding import Encoded
    from bm_gitindex.statefolder import StateFolder
    from bm_gitindex.writerlock import WriterLock

_FILE_MODE = 0o600
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
_INODE_FIELD = "index.lock"
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class IndexLock:
    """Held from before the first file is looked at until the new index is in place."""

    def __init__(self, state: StateFolder, clock: LockClock, writer: WriterLock, ours: os.stat_result) -> None:
        """Made by `lock_index` alone; `ours` is the stat of our `index.lock`."""
        self.clock = clock
        """t0: the file system's time when the lock was taken."""
        self._state = state
        self._writer = writer
        self._ours = ours

    def check(self) -> None:
        """Raise StateWriteError where somebody has taken the lock away, so that another process may be writing."""
        state = self._state
        if not self._writer.is_seen_by_others():
            raise _taken_away(state.lock)
        try:
            is_ours = os.path.samestat(os.lstat(state.index_lock), self._ours)
        except OSError:
            is_ours = False
        if not is_ours:
            raise _taken_away(state.index_lock)

    def commit(self, encoded: Encoded) -> None:
        """Replace the index by this one, durably. Raises StateWriteError."""
        state = self._state
        self.check()
        with write_errors_named(state.index):
            timestamp_s = self._write(encoded)
        with write_errors_named(state.index_owner):
            write_file(state.index_owner, owner_text(encoded.trailer, timestamp_s))
        with write_errors_named(state.index):
            self.check()
            state.index_lock.rename(state.index)
        try:
            sync_folder(state.path)
        except OSError as error:
            raise StateWriteError(f"cannot make {state.index} durable: {error.strerror}; sync once more") from error

    def _write(self, encoded: Encoded) -> int:
        """Write `index.lock` durably and return T: the second of its mtime, low 32 bits. Raises OSError."""
        fd = os.open(self._state.index_lock, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not os.path.samestat(os.fstat(fd), self._ours):
                raise _taken_away(self._state.index_lock)
            for block in encoded.blocks():
                write_all(fd, block)
            os.fsync(fd)
            return stored_time(os.fstat(fd).st_mtime_ns)[0]
        finally:
            os.close(fd)


@contextmanager
def lock_index(state: StateFolder, wait_s: float, command: str) -> Iterator[IndexLock]:
    """Hold the lock of a project, waiting up to `wait_s` seconds for it.

    Raises LockHeldError, naming the holder, and StateWriteError where the lock cannot be written.
    """
    deadline = time.monotonic() + wait_s
    with hold_writer_lock(state, deadline) as writer:
        try:
            with write_errors_named(state.index_lock):
                _remove_ours(writer, state)
                writer.write_holder(command)
                new = _create(state.index_new)
            ours = _publish(writer, state, new, command, deadline)
            yield IndexLock(state, _clock(new, state), writer, ours)
        finally:
            # What is left over is known to be ours by the next run: no reason to fail one that is done. And where the
            # lock was taken away, what is there now may be another's.
            if writer.is_seen_by_others():
                with suppress(OSError):
                    _remove_ours(writer, state)
                    writer.write_holder(command)


def set_aside(path: Path) -> Path:
    """Rename a damaged file to `<name>.corrupt-<n>`, where it is out of the way and not lost; return that path.

    Raises StateWriteError.
    """
    number = 1
    while (target := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    with write_errors_named(path):
        path.rename(target)
        sync_folder(path.parent)
    return target


def _clock(st: os.stat_result, state: StateFolder) -> LockClock:
    devices = devices_of_one_clock(state.path, state.root)
    return LockClock(*stored_time(st.st_mtime_ns), devices)


def _create(path: Path) -> os.stat_result:
    fd = os.open(path, _CREATE_FLAGS, _FILE_MODE)
    try:
        restrict(fd)
        return os.fstat(fd)
    finally:
        os.close(fd)


def _publish(
    writer: WriterLock, state: StateFolder, new: os.stat_result, command: str, deadline: float
) -> os.stat_result:
    """Give `index.new` its second name, `index.lock`, once nobody else has it; return the stat of that."""
    while True:
        try:
            return _link(writer, state, new, command)
        except FileExistsError as error:
            if time.monotonic() >= deadline:
                raise LockHeldError(
                    f"{state.index_lock} exists: git, or another program, is writing the index; "
                    "remove the file if none is"
                ) from error
            time.sleep(RETRY_S)
        except OSError as error:
            raise StateWriteError(f"cannot create {state.index_lock}: {error.strerror}") from error


def _link(writer: WriterLock, state: StateFolder, new: os.stat_result, command: str) -> os.stat_result:
    try:
        os.link(state.index_new, state.index_lock)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # The next best thing where a file has one name only: the lock file says which inode is ours.
        st = _create(state.index_lock)
        try:
            writer.write_holder(command, **{_INODE_FIELD: str(st.st_ino)})
        except OSError:
            state.index_lock.unlink()
            raise
        return st
    return new


def _remove_ours(writer: WriterLock, state: StateFolder) -> None:
    """Remove `index.lock` if it is ours, `index.new`, and a half-written `index.own`. Raises OSError.

    At the start of a run that is what one which was killed has left: it held the lock that is ours now.
    """
    with suppress(FileNotFoundError):
        if _is_ours(writer, state):
            state.index_lock.unlink()
    state.index_new.unlink(missing_ok=True)
    remove_leftover(state.index_owner)


def _is_ours(writer: WriterLock, state: StateFolder) -> bool:
    lock_st = os.lstat(state.index_lock)
    if writer.fields().get(_INODE_FIELD) == str(lock_st.st_ino):
        return True
    try:
        return os.path.samestat(lock_st, os.lstat(state.index_new))
    except FileNotFoundError:
        return False


def _taken_away(path: Path) -> StateWriteError:
    return StateWriteError(f"{path} was deleted or replaced during the run, which ends here; sync once more")
