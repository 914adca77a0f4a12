"""Folders whose paths are longer than the system takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class deep_folder:  # noqa: N801 - reads as a function
    """Make folders with names of 250 bytes within each other, and open the innermost."""

    def __init__(self, root: Path, depth: int) -> None:
        self._fd = os.open(root, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("d" * 250, dir_fd=self._fd)
            below = os.open("d" * 250, os.O_RDONLY, dir_fd=self._fd)
            os.close(self._fd)
            self._fd = below

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *error: object) -> None:
        os.close(self._fd)
