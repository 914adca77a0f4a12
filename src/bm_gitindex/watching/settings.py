"""By which options a watcher watches, and whether the configuration has others by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.config import config_path, load_options
from bm_gitindex.errors import BmGitIndexError
from bm_gitindex.statefolder import stamp

if TYPE_CHECKING:
    from pathlib import Path

    from bm_gitindex.options import Options


class Settings:
    """Options that were given, or those of the configuration file, as it was when they were taken."""

    def __init__(self, root: Path, given: Options | None) -> None:
        """`given` None takes those of the configuration file. Raises ConfigError and StateFolderError."""
        self._root = root
        self._are_given = given is not None
        self._stamp = stamp(config_path(root))
        self.options = given if given is not None else load_options(root)

    def are_outdated(self) -> bool:
        """Return whether the configuration file that they are of is another one now."""
        return not self._are_given and stamp(config_path(self._root)) != self._stamp

    def are_own(self) -> bool:
        """Return whether they are others than those of the configuration file, by which everybody else looks."""
        if not self._are_given:
            return False
        try:
            return load_options(self._root) != self.options
        except BmGitIndexError:
            return True

    def update(self) -> None:
        """Take those that the configuration file has now. Raises ConfigError, StateFolderError and BmGitIndexError."""
        path = config_path(self._root)
        now = stamp(path)
        options = load_options(self._root)
        if options.state_dir != self.options.state_dir:
            raise BmGitIndexError(f"{path}: state_dir was changed; start the watcher anew")
        self.options, self._stamp = options, now
