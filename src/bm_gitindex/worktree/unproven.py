"""What a prover hands back of a folder."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bm_gitindex.worktree.tree import Tree

    FolderProof = tuple[int, int, Sequence["os.DirEntry[str] | Unproven"]]
    """What was found in a folder of the index: its device, how many files are unchanged, and all the rest."""


class Unproven:
    """A name in a folder, to be looked at as if `os.scandir` had returned it."""

    __slots__ = ("_folder", "_tree", "is_known_folder", "name")

    def __init__(self, tree: Tree, folder: bytes, name: str, *, is_folder: bool) -> None:
        self.name = name
        self._tree = tree
        self._folder = folder
        self.is_known_folder = is_folder
        """Whether its folder said so."""

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        """Return whether it is a folder. Raises OSError."""
        return self.is_known_folder or stat.S_ISDIR(self.stat(follow_symlinks=follow_symlinks).st_mode)

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        """Return its stat. Raises OSError."""
        return os.stat(self.name, dir_fd=self._tree.folder(self._folder), follow_symlinks=follow_symlinks)
