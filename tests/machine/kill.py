"""A sync in a process of its own that ends, as by a kill, at the n-th of its steps that others can see."""

from __future__ import annotations

import os
import sqlite3
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_KILLED = 137
_CALLS = ("fsync", "rename", "replace", "link", "unlink", "pwrite", "mkdir")


def fork_killed(work: Callable[[], object], at: int) -> int:
    """Start `work` in a child that dies just before its step `at`; return the child's id, for `reap`.

    A step is a call that changes a folder or a file, or an SQL statement. A write is cut off in the middle.
    """
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _Countdown(at).install()
        work()
        status = 0
    except BaseException:  # noqa: BLE001
        traceback.print_exc(file=sys.stderr)
        sys.stderr.flush()
    finally:
        os._exit(status)


def reap(pid: int) -> bool:
    """Wait for a child; return whether it was killed, and did not come to its end before."""
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, _KILLED), f"the sync in a child failed: {code}"
    return code == _KILLED


class _Countdown:
    """Counts steps, and dies."""

    def __init__(self, at: int) -> None:
        self._left = at

    def install(self) -> None:
        for name in _CALLS:
            setattr(os, name, self._counted(getattr(os, name)))
        os.write = self._counted_write(os.write)
        real_connect = sqlite3.connect

        def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = real_connect(*args, **kwargs)
            connection.set_trace_callback(lambda _: self._step())
            return connection

        sqlite3.connect = connect  # type: ignore[assignment]

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            os._exit(_KILLED)

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._step()
            return real(*args, **kwargs)

        return call

    def _counted_write(self, real: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
        def write(fd: int, data: Any) -> int:
            if self._left == 0:
                real(fd, data[: len(data) // 2])
            self._step()
            return real(fd, data)

        return write
