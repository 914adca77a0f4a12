"""A watcher in the background: how it is started, asked how it fares, and ended."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bm_gitindex.errors import BmGitIndexError, LockHeldError, StateWriteError
from bm_gitindex.processors import this_python
from bm_gitindex.statefolder import open_state_file
from bm_gitindex.watching.asking import ask
from bm_gitindex.watching.presence import is_holder, refuse_second, watcher_fields
from bm_gitindex.writerlock import holder_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bm_gitindex.statefolder import StateFolder

START_S = 30.0
"""How long a new watcher may take to say that it is there: one that ends before is not waited for."""
END_S = 30.0
"""How long one may take to finish what it is doing."""
_LOOK_EVERY_S = 0.05
_ASK_S = 2.0
_LOG_BYTES = 1_000_000
# O_NONBLOCK: opening a named pipe in its place must not wait for a reader.
_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_STDOUT, _STDERR = 1, 2
_SHOWN_OF_LOG_BYTES = 2_000


def start_in_background(state: StateFolder, arguments: Sequence[str]) -> int:
    """Start a watcher that outlives this process, with its output in the log; return its process id.

    `arguments` are those of the command line. Raises LockHeldError where the project is watched already, and
    StateWriteError where the watcher does not come up, with the last of what it said.
    """
    refuse_second(state)
    command = _command(arguments)
    state.ensure()
    log_fd = _opened_log(state)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=log_fd,
            start_new_session=True,
        )
    finally:
        os.close(log_fd)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        fields = watcher_fields(state)
        if fields is not None and fields.get("pid") == str(process.pid):
            process.returncode = 0  # it is nobody's to wait for, and lives on
            return process.pid
        if process.poll() is not None:
            refuse_second(state)  # one that was faster
            break
        time.sleep(_LOOK_EVERY_S)
    raise StateWriteError(f"the watcher did not come up: {_last_words(state)}")


def _command(arguments: Sequence[str]) -> list[str]:
    """Return how this program is run. Raises BmGitIndexError where it is part of another one."""
    python = this_python()
    if python is None:
        raise BmGitIndexError("a watcher in the background needs a Python of its own; run `watch` without --daemon")
    return [*python, "-m", "bm_gitindex", *arguments]


def state_of(state: StateFolder) -> dict[str, Any] | None:
    """Return how a project's watcher fares, by name (`WatchState`); `alive` is false where it does not answer.

    None where there is none.
    """
    fields = watcher_fields(state)
    if fields is None:
        return None
    answer = (ask(str(state.path), "state", _ASK_S) or b"").partition(b" ")[2]
    with suppress(ValueError):
        known = json.loads(answer)
        if isinstance(known, dict):
            return {"alive": True, **known, **_memory(fields)}
    return {"alive": False, **fields, **_memory(fields)}


def stop(state: StateFolder) -> bool:
    """End a project's watcher, which finishes what it is doing; return whether there was one.

    Raises LockHeldError where it does not end in time.
    """
    fields = watcher_fields(state)
    if fields is None:
        return False
    if ask(str(state.path), "stop", _ASK_S) != b"stopping":
        _terminate(state, fields)
    deadline = time.monotonic() + END_S
    while (now := watcher_fields(state)) is not None and now.get("pid") == fields.get("pid"):
        if time.monotonic() > deadline:
            raise LockHeldError(f"the watcher does not end: {holder_words(fields)}")
        time.sleep(_LOOK_EVERY_S)
    return True


def _terminate(state: StateFolder, fields: dict[str, str]) -> None:
    """Send SIGTERM to the holder of a watch, which has the lock at this moment. Raises BmGitIndexError."""
    pid = fields.get("pid", "")
    if not pid.isdigit() or fields.get("host") != os.uname().nodename:
        raise BmGitIndexError(f"the watcher is on another machine: {holder_words(fields)}")
    if not is_holder(state, int(pid)):
        if watcher_fields(state) != fields:
            return  # it has ended by itself meanwhile
        raise BmGitIndexError(
            f"{state.watch_lock} is not held by {holder_words(fields)}, whom it names, but by a process that was "
            "started by it; end that one"
        )
    try:
        os.kill(int(pid), signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise BmGitIndexError(f"the watcher is another user's: {holder_words(fields)}") from error


def _memory(fields: dict[str, str]) -> dict[str, int]:
    """Return the memory that a process of this machine holds, where the system says."""
    try:
        with open(f"/proc/{int(fields['pid'])}/status", "rb") as file:
            return {"rss_bytes": next(1024 * int(line.split()[1]) for line in file if line.startswith(b"VmRSS:"))}
    except (OSError, KeyError, ValueError, StopIteration):
        return {}


def _opened_log(state: StateFolder) -> int:
    """Return a descriptor of the log; one that has grown is kept as `watch.log.1`. Raises StateWriteError."""
    kept = state.watch_log.with_name(f"{state.watch_log.name}.1")
    is_long = False
    try:
        with suppress(FileNotFoundError):
            is_long = state.watch_log.lstat().st_size > _LOG_BYTES
        if is_long:
            state.watch_log.replace(kept)
        try:
            return _opened(state.watch_log)
        except OSError:
            if is_long:
                kept.replace(state.watch_log)  # so that it is known as the log when this is tried again
            raise
    except OSError as error:
        raise StateWriteError(f"cannot write {state.watch_log}: {error.strerror}") from error


def _opened(log: Path) -> int:
    """Return a descriptor for writing to the end of a file. Raises OSError for anything but a file in its place."""
    fd = os.open(log, _LOG_FLAGS, 0o600)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a file")
    return fd


def turn_log(state: StateFolder) -> None:
    """Begin a new log where this process's output is the log, and that has grown: a watcher may run for years."""
    try:
        log = os.lstat(state.watch_log)
        outputs = [fd for fd in (_STDOUT, _STDERR) if os.path.samestat(os.fstat(fd), log)]
        if not outputs or log.st_size <= _LOG_BYTES:
            return
        log_fd = _opened_log(state)
    except (OSError, StateWriteError):
        return  # what is told goes where it went so far
    for fd in outputs:
        os.dup2(log_fd, fd)
    os.close(log_fd)


def _last_words(state: StateFolder) -> str:
    try:
        with open_state_file(state.watch_log) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _SHOWN_OF_LOG_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "it left no word"
    return lines[-1] if lines else "it said nothing"
