"""The program of a worker: parses what comes in, and answers in the same order, until nobody asks any more.

Reading and writing have threads of their own, so that whoever asks never waits for an answer to an earlier question.
"""

from __future__ import annotations

import os
import signal
import sys
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from bm_gitindex.options import NoteBounds
from bm_gitindex.syncing.frames import frame, identity, parsed_frame, read_frame, read_notes
from bm_gitindex.syncing.parsing import parse

if TYPE_CHECKING:
    from typing import NoReturn

_STDIN, _STDOUT, _STDERR = 0, 1, 2
NICENESS = 5
"""Where there are no more processors than processes, the one that asks goes first: it does what only one can do."""


def main() -> NoReturn:
    """Work until the other end of a pipe is closed."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the process that asks, and this one follows it
    out = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)  # whatever a library may print is no answer
    questions: SimpleQueue[list[bytes]] = SimpleQueue()
    answers: SimpleQueue[bytes] = SimpleQueue()
    bounds = NoteBounds(**read_frame(_read))
    answers.put(frame(identity()))
    Thread(target=_ask, args=(questions,), daemon=True).start()
    Thread(target=_tell, args=(answers, out), daemon=True).start()
    while True:
        answers.put(parsed_frame([parse(data, bounds) for data in questions.get()]))


def _ask(questions: SimpleQueue[list[bytes]]) -> None:
    try:
        while True:
            questions.put(read_notes(_read))
    finally:
        os._exit(0)


def _tell(answers: SimpleQueue[bytes], out: int) -> None:
    try:
        while True:
            _write(out, answers.get())
    finally:
        os._exit(0)


def _read(length: int) -> bytes:
    """Return the next bytes of what is asked. Raises EOFError where nobody asks any more."""
    parts = []
    while length:
        part = os.read(_STDIN, length)
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


if __name__ == "__main__":
    sys.exit(main())
