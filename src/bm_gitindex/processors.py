"""How many processors there are to work with, and how another process is had that does."""

from __future__ import annotations

import os
import sys


def cpu_count() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def this_python() -> list[str] | None:
    """Return how this Python is run: None for one that is part of another program, which is its own executable."""
    if getattr(sys, "frozen", False) or not os.path.basename(sys.executable or "").startswith("python"):
        return None
    # Like this process, it must not import what happens to lie in the present folder.
    return [sys.executable, "-I" if sys.flags.isolated else "-P"]
