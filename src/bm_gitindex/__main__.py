"""The way in: `bm-gitindex`, and `python -m bm_gitindex`."""

from __future__ import annotations

import gc
import os
import sys


def main() -> int:
    """Run one command and return its exit code. An interrupt is no traceback even while modules are loaded."""
    try:
        from bm_gitindex.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130


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
