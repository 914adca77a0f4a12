"""Which folders can be watched: real ones, on file systems whose events come from the kernel."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.errors import BmGitIndexError
from bm_gitindex.filesystem import LOCAL_TYPES, filesystem_type
from bm_gitindex.indexfile import read_index
from bm_gitindex.worktree.tree import Tree
from bm_gitindex.worktree.walk import parents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bm_gitindex.statefolder import StateFolder


class Watchable(NamedTuple):
    """Folders of a project, relative to its root."""

    absolute: Mapping[bytes, str]
    """Those that can be watched, and where they are."""
    polled: frozenset[bytes]
    """Those that are there and cannot: by their names, or since their files come from elsewhere."""


def watchable(root: Path, folders: Iterable[bytes]) -> Watchable:
    """Return which of some folders can be watched; what is gone, or is none, is neither."""
    base = os.fsencode(root)
    absolute: dict[bytes, str] = {}
    polled: set[bytes] = set()
    is_local_by_dev: dict[int, bool] = {}
    for folder in sorted(folders):
        path = os.path.join(base, folder) if folder else base
        try:
            st = os.stat(path) if not folder else os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:  # its path is longer than a system call takes, for instance
            polled.add(folder)
            continue
        if not stat.S_ISDIR(st.st_mode):
            continue
        if st.st_dev not in is_local_by_dev:
            is_local_by_dev[st.st_dev] = filesystem_type_of(path) in LOCAL_TYPES
        if is_local_by_dev[st.st_dev] and is_utf8(path) and os.access(path, os.R_OK):
            absolute[folder] = path.decode()
        else:
            polled.add(folder)
    return Watchable(absolute, frozenset(polled))


def filesystem_type_of(path: bytes) -> str:
    """Return the type of the file system that a path lies on; see `filesystem_type`."""
    from pathlib import Path

    return filesystem_type(Path(os.fsdecode(path)))


def folders_of(paths: Iterable[bytes]) -> set[bytes]:
    """Return the root and the folders above some paths."""
    found = {b""}
    for path in paths:
        for folder in parents(path):
            if folder in found:
                break
            found.add(folder)
    return found


def folders_of_index(state: StateFolder) -> set[bytes]:
    """Return the folders of the files that a project's index knows, and the root."""
    with suppress(BmGitIndexError):
        return folders_of(read_index(state).index)
    return {b""}


def stats_of(root: Path, paths: Iterable[bytes]) -> dict[bytes, os.stat_result]:
    """Return the stats of those paths at which there is anything."""
    stats = {}
    with Tree(root) as tree:
        for path in sorted(paths):
            with suppress(OSError):
                stats[path] = tree.lstat(path)
    return stats


def same_files(root: Path, stats: Mapping[bytes, os.stat_result]) -> frozenset[bytes]:
    """Return the paths at which there is still the regular file that had this stat, and had been no other meanwhile."""
    now = stats_of(root, stats)
    return frozenset(
        path
        for path, st in stats.items()
        if stat.S_ISREG(st.st_mode) and path in now and _identity(now[path]) == _identity(st)
    )


def _identity(st: os.stat_result) -> tuple[int, ...]:
    """Return what is another one once a file was made anew: an inode number may be used again, a ctime is not."""
    return st.st_dev, st.st_ino, st.st_mode, st.st_ctime_ns


def is_below(path: bytes, folder: bytes) -> bool:
    """Return whether a path is a folder, or something in it."""
    return not folder or path == folder or path.startswith(folder + b"/")


def has_other_names(st: os.stat_result) -> bool:
    """Return whether this is a file that has other names: an event tells one of them."""
    return stat.S_ISREG(st.st_mode) and st.st_nlink > 1


def is_utf8(path: bytes) -> bool:
    """Return whether watchfiles can name a path; it fails where it is told of another one."""
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True
