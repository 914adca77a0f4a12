"""Processes that parse notes for this one: how they are started, asked, and ended.

A worker is this package, run once more by the same Python (`parsing_worker`), and not a fork: a host may have threads.
Nor is it started by `multiprocessing`, which would run the host's own main module again. It says first which file its
parser comes from; one that is not ours is not asked. Notes go to it, and JSON comes back, through two pipes. When these
close, as they do when this process ends in whatever way, it ends too.

Nothing here raises: a worker that cannot be had, or does not answer, is one that its owner does without.
"""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from bm_gitindex.processors import this_python
from bm_gitindex.syncing.frames import frame, identity, notes_frame, read_frame, read_parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bm_gitindex.entities.records import Parsed
    from bm_gitindex.options import NoteBounds

MODULE = "bm_gitindex.syncing.parsing_worker"
PATIENCE_S = 60
"""How long a worker may take for a group of notes: some hundred times what the slowest notes take."""
END_S = 1
"""How long one may take to notice that nobody asks any more."""
_PIPE_BYTES = 1024 * 1024
_BROKEN = (OSError, EOFError, ValueError, TypeError, LookupError)
"""What reading from a worker raises that has ended, or says what makes no sense."""


def start_worker(bounds: NoteBounds) -> Worker | None:
    """Return a new worker, None where there can be none."""
    command = _command()
    if command is None:
        return None
    try:
        return Worker(_started(command), bounds)
    except OSError:
        return None


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )


def _command() -> list[str] | None:
    """Return how a worker is run: None where there can be none."""
    python = this_python()
    return None if python is None else [*python, "-m", MODULE]


class Worker:
    """One process that parses notes."""

    def __init__(self, process: subprocess.Popen[bytes], bounds: NoteBounds) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._questions = process.stdin.fileno()
        self._answers = process.stdout.fileno()
        self._unsent: bytes = frame(bounds._asdict())
        self._unanswered: deque[int] = deque()
        self._is_known = False
        for fd in (self._questions, self._answers):
            os.set_blocking(fd, False)
            _widen(fd)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def unanswered_bytes(self) -> int:
        """How much there is in what it has been asked, and has not answered yet."""
        return sum(self._unanswered)

    def ask(self, notes: Sequence[bytes]) -> bool:
        """Give it notes to parse; return whether it has taken them."""
        try:
            self._send(self._unsent + notes_frame(notes))
        except _BROKEN:
            return False
        self._unsent = b""
        self._unanswered.append(sum(map(len, notes)))
        return True

    def answer(self) -> list[Parsed] | None:
        """Return what it has made of the first notes that it has not answered for; None if it does not say."""
        try:
            if not self._is_known and read_frame(self._read) != identity():
                return None
            self._is_known = True
            parsed = read_parsed(self._read)
        except _BROKEN:
            return None
        self._unanswered.popleft()
        return parsed

    def end(self) -> None:
        """Let it end; it has nothing that could get lost."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._questions, rest) :]
            except BlockingIOError:
                _wait_for(self._questions, select.POLLOUT)

    def _read(self, length: int) -> bytes:
        parts = []
        while length:
            try:
                part = os.read(self._answers, length)
            except BlockingIOError:
                _wait_for(self._answers, select.POLLIN)
                continue
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def _widen(pipe: int) -> None:
    """Let a pipe hold all that is asked ahead, where it can, so that whoever asks need not wait for the worker to read.

    A worker that parses reads between two of the interpreter's turns (pipe(7), F_SETPIPE_SZ, on Linux).
    """
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # its owner may have too many pipes
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _wait_for(fd: int, event: int) -> None:
    """Wait until a pipe can be read or written. Raises TimeoutError."""
    poller = select.poll()
    poller.register(fd, event)
    if not poller.poll(PATIENCE_S * 1000):
        raise TimeoutError
