"""The way in: `bm-gitindex`, and `python -m bm_gitindex`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run one command and return its exit code. An interrupt is no traceback even while modules are loaded."""
    try:
        from bm_gitindex.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
