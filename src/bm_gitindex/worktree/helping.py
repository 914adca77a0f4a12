"""A second process for the prover in Python: how it is started, listened to, and ended.

A helper is this package, run once more by the same Python, and not a fork: a host may have threads. It is given the
very bytes of the index that this process has read, before they are verified, and the open root; it proves the folders
from the last one on while this process proves them from the first one on, until they meet. It is never waited for: what
it has not answered is proven here. Its answers count only if they are for the evidence that the survey goes by.

Nothing here raises: without a helper a status takes longer, and that is all.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from bm_gitindex.native import native
from bm_gitindex.processors import cpu_count, this_python
from bm_gitindex.worktree import placeholders
from bm_gitindex.worktree.answers import ABOUT, ANSWERS, HEAD, INDEX, ROOT, arguments, entries_id

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from bm_gitindex.index.compare import Evidence
    from bm_gitindex.index.stat import Trust
    from bm_gitindex.rules import Classifier
    from bm_gitindex.worktree.tree import Tree

LEAST_ENTRIES = 30_000
"""Fewer are proven by the time that a helper is there."""
_STREAMS = 3
_READ_BYTES = 1 << 20
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from bm_gitindex.worktree.helper import main; main(sys.argv[2:])"
_SIGKILL = 9


class Helping:
    """The help that one survey has, if it has any. A context manager, since there is a process to end."""

    def __init__(self, tree: Tree, trust: Trust, limits: Classifier) -> None:
        self._tree = tree
        self._trust = trust
        self._limits = limits
        self._data = b""
        self._timestamp_s = 0
        self._pid = 0
        self._is_ending = False
        self._answers: int | None = None
        self._unread = b""
        self._about = b""
        self._is_known = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()
        self._bury()

    def begin(self, data: bytes, timestamp_s: int) -> None:
        """Let a helper begin with an index of these bytes, if it is large, and if there can be one."""
        if not _is_worth_help(data):
            return
        command = _command()
        if command is None:
            return
        self._data, self._timestamp_s = data, timestamp_s
        with suppress(OSError, MemoryError):
            self._start([*command, *arguments(timestamp_s, self._trust, self._limits)])

    def is_for(self, evidence: Evidence, limits: Classifier) -> bool:
        """Return whether what is answered says something about this evidence; this has to be asked first."""
        self._about = entries_id(evidence.index.offsets)
        return (
            self._answers is not None
            and evidence.index.data is self._data
            and evidence.baseline == (self._timestamp_s, True)
            and evidence.trust == self._trust
            and limits.large_file_bytes == self._limits.large_file_bytes
            and limits.longest_path == self._limits.longest_path
        )

    def answered(self) -> list[tuple[int, bytes]]:
        """Return what was answered since this was last asked: numbers of groups, and what is said of them.

        Raises ValueError where the answers are about something else.
        """
        found: list[tuple[int, bytes]] = []
        if self._answers is None:
            return found
        try:
            while part := os.read(self._answers, _READ_BYTES):
                self._unread += part
        except OSError:  # there is no more yet
            pass
        while (end := self._end_of_first()) <= len(self._unread):
            number, body = HEAD.unpack_from(self._unread)[0], self._unread[HEAD.size : end]
            self._unread = self._unread[end:]
            if self._is_known:
                found.append((number, body))
            elif (number, body) != (ABOUT, self._about):
                raise ValueError("these are other entries")
            self._is_known = True
        return found

    def _end_of_first(self) -> int:
        """Return where the first answer ends that was not read yet."""
        has_head = len(self._unread) >= HEAD.size
        length: int = HEAD.unpack_from(self._unread)[1] if has_head else 0
        return HEAD.size + length

    def end(self) -> None:
        """Ask no more: end the process, which has nothing that could get lost. It may take a moment to be gone."""
        if self._answers is None:
            return
        os.close(self._answers)
        self._answers = None
        with suppress(OSError):  # a host may have taken note of its end already
            if os.waitpid(self._pid, os.WNOHANG) == (0, 0):
                os.kill(self._pid, _SIGKILL)
                self._is_ending = True

    def _bury(self) -> None:
        if self._is_ending:
            self._is_ending = False
            with suppress(OSError):
                os.waitpid(self._pid, 0)

    def _start(self, command: list[str]) -> None:
        """Start a helper. Raises OSError."""
        root = self._tree.folder(b"")
        copy = os.memfd_create("bm-gitindex")
        answers, told = os.pipe()
        try:
            rest = memoryview(self._data)
            while rest:
                rest = rest[os.write(copy, rest) :]
            if min(root, copy, told, answers) >= _STREAMS:
                self._pid = os.posix_spawn(command[0], command, os.environ, file_actions=_descriptors(copy, told, root))
                os.set_blocking(answers, False)
                self._answers = answers
        finally:
            os.close(copy)
            os.close(told)
            if self._answers is None:
                os.close(answers)


def _descriptors(copy: int, told: int, root: int) -> list[tuple[int, ...] | tuple[int, int, str, int, int]]:
    """Return what gives a helper its descriptors; what it may print goes nowhere."""
    return [
        (os.POSIX_SPAWN_DUP2, copy, INDEX),
        (os.POSIX_SPAWN_DUP2, told, ANSWERS),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        # The last, since one of the others may have this number until then.
        (os.POSIX_SPAWN_DUP2, root, ROOT),
    ]


def _is_worth_help(data: bytes) -> bool:
    return (
        native is None
        and not placeholders.HAS_PLACEHOLDERS
        and int.from_bytes(data[4:8], "big") in (2, 3)
        and int.from_bytes(data[8:12], "big") >= LEAST_ENTRIES
        and cpu_count() > 1
        and sys.platform == "linux"
    )


def _command() -> list[str] | None:
    """Return how a helper is started: without `site`, but with this very package."""
    python = this_python()
    if python is None:
        return None
    written = ["-B"] if sys.dont_write_bytecode or sys.pycache_prefix else []
    folder = os.path.abspath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir))
    return [*python, "-S", *written, "-c", _PROGRAM, folder]
