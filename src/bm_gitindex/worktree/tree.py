"""The way down from the root, by descriptors."""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from typing import TYPE_CHECKING

from bm_gitindex.rules import Skipped, SkipReason

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a named pipe that took the file's place must not wait for a writer.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_FOLDERS = 32


class Tree:
    """The root folder, and the way down from it. A context manager, since it holds folders open."""

    def __init__(self, root: Path | str, root_fd: int | None = None) -> None:
        """`root_fd` is of a root that is open already: then it is closed with the rest."""
        self.root = root
        self._open: OrderedDict[bytes, int] = OrderedDict()
        self._root_fd = root_fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._open:
            os.close(self._open.popitem()[1])
        if self._root_fd is not None:
            os.close(self._root_fd)
            self._root_fd = None

    def folder(self, path: bytes) -> int:
        """Return a descriptor of a folder, good until the next call. Raises OSError; a symbolic link is one."""
        if not path:
            return self._root()
        fd = self._open.get(path)
        if fd is not None:
            self._open.move_to_end(path)
            return fd
        nearest, names = path, []
        while nearest and nearest not in self._open:
            nearest, _, name = nearest.rpartition(b"/")
            names.append(name)
        fd = self.folder(nearest)
        for name in reversed(names):
            nearest = nearest + b"/" + name if nearest else name
            fd = self._keep(nearest, os.open(name, _FOLDER_FLAGS, dir_fd=fd))
        return fd

    def _root(self) -> int:
        """Open the root once: it may itself be a link, which must not lead elsewhere in the middle of a run."""
        if self._root_fd is None:
            self._root_fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._root_fd

    def _keep(self, path: bytes, fd: int) -> int:
        self._open[path] = fd
        if len(self._open) > _OPEN_FOLDERS:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def lstat(self, path: bytes) -> os.stat_result:
        """Return the stat of a path, without following a link anywhere on it. Raises OSError."""
        folder, _, name = path.rpartition(b"/")
        return os.stat(name, dir_fd=self.folder(folder), follow_symlinks=False)

    def open_file(self, path: bytes) -> int:
        """Return a descriptor for reading. Raises OSError."""
        folder, _, name = path.rpartition(b"/")
        return os.open(name, _FILE_FLAGS, dir_fd=self.folder(folder))


def skipped_for(path: bytes, error: OSError) -> Skipped:
    """Return why a path is passed over, given what the system said of it."""
    # Seen a moment ago, and now gone or something else: the next run will tell.
    if error.errno == errno.ENOENT:
        return Skipped(path, SkipReason.VANISHED)
    was_replaced = error.errno in (errno.ENOTDIR, errno.ELOOP)
    reason = SkipReason.UNSTABLE if was_replaced else SkipReason.UNREADABLE
    return Skipped(path, reason, error.strerror or str(error))
