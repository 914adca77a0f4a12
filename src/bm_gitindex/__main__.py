"""`python -m bm_gitindex`."""

import sys

from bm_gitindex.cli import main

if __name__ == "__main__":
    sys.exit(main())
