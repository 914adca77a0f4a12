"""The way in: `bm-gitindex`, and `python -m bm_gitindex`."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> int:
    """Run one command and return its exit code. An interrupt is no traceback even while modules are loaded."""
    try:
        argv = _still_asked()
        if argv is None:
            return 0
        from bm_gitindex.cli import main as run

        return run(argv)
    except KeyboardInterrupt:
        return 130


def _still_asked() -> Sequence[str] | None:
    """Return the command line, None where a watcher has answered it."""
    from bm_gitindex.front import still_asked

    try:
        return still_asked(sys.argv[1:])
    except (OSError, AttributeError):
        return sys.argv[1:]  # the working folder is gone, or an output is closed: the command says what is to be said


def program() -> None:
    """Run one command and end the process.

    A look at a small project takes so little that it shows whether modules are searched for garbage, and in the end
    freed one by one.
    """
    gc.disable()  # until a command runs
    code = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)


if __name__ == "__main__":
    program()
