"""What decides which files a project has, and no event tells of: what is mounted in it, and its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.config import config_path
from bm_gitindex.filesystem import mounts_within
from bm_gitindex.statefolder import stamp

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURED = "the configuration was changed"
MOUNTED = "a file system was mounted or unmounted in the project"


class Surroundings:
    """Looks at them as often as it is asked to."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._mounts, self._config = self._look()

    def change(self) -> str:
        """Return what was changed since the last look; empty where nothing was."""
        mounts, config = self._look()
        if mounts != self._mounts:
            self._mounts = mounts
            return MOUNTED
        if config != self._config:
            self._config = config
            return CONFIGURED
        return ""

    def _look(self) -> tuple[tuple[bytes, ...], tuple[int, ...] | None]:
        return mounts_within(self._root), stamp(config_path(self._root))
