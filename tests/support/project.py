"""A small project on disk, and its index as a sync would leave it, at times of the test's choosing."""

from __future__ import annotations

import errno
import os
import stat as stat_module
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex.changes import Status, status
from bm_gitindex.index.encoding import encode
from bm_gitindex.index.entry import Entry
from bm_gitindex.index.stat import stat_data
from bm_gitindex.indexfile import IndexSnapshot, read_index
from bm_gitindex.indexlock import lock_index
from bm_gitindex.options import Options
from bm_gitindex.rules import Classifier
from bm_gitindex.statefolder import StateFolder
from bm_gitindex.worktree.reading import hash_file
from bm_gitindex.worktree.tree import Tree
from support.dating import date_index
from support.values import as_encoded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NS = 1_000_000_000
OLD_S = 1_000_000_000
"""An mtime long before any test runs."""
LATE_S = 4_000_000_000
"""A T so late that no file of the test is racy by its ctime."""
BY_MTIME = Options(trust_ctime=False, trust_filemode=True, check_stat="default")
"""git's core.trustctime=false: mtime is all there is, so that a test may set it."""
BY_CTIME = Options(trust_ctime=True, trust_filemode=True, check_stat="default")


class Project:
    def __init__(self, root: Path, options: Options = BY_CTIME) -> None:
        self.root = root
        self.options = options
        self.state = StateFolder(root)
        self.state.ensure()

    def path(self, name: str | bytes) -> bytes:
        return os.path.join(os.fsencode(self.root), os.fsencode(name))

    def write(self, name: str | bytes, data: bytes = b"hello\n", mtime_s: int = OLD_S) -> None:
        """Write a file, its mtime set; its inode stays if it exists."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            with open(path, "wb") as file:
                file.write(data)
        except OSError as error:
            if error.errno == errno.EILSEQ:
                pytest.skip("the file system allows no such name")
            raise
        os.utime(path, ns=(mtime_s * NS, mtime_s * NS))

    def sparse(self, name: str, size_bytes: int) -> None:
        """Make a file of any size that takes no room."""
        self.write(name, b"")
        os.truncate(self.path(name), size_bytes)
        os.utime(self.path(name), ns=(OLD_S * NS, OLD_S * NS))

    def entry(self, name: str | bytes, **stat_fields: int) -> Entry:
        """Return the entry of a file as it is now, some of the stat fields replaced."""
        path = os.fsencode(name)
        classifier = Classifier(self.options)
        with Tree(self.root) as tree:
            kind = classifier.kind(path, tree.lstat(path).st_size)
            reading = hash_file(tree, path, kind)
        return Entry.of(path, stat_data(reading.stat)._replace(**stat_fields), reading.blob_id, kind.tracking)

    def files(self) -> list[bytes]:
        """Return the paths of all regular files outside the state folder."""
        root = os.fsencode(self.root)
        found = []
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if name != b".basic-memory"]
            paths = [os.path.join(folder, name) for name in names]
            found += [os.path.relpath(p, root) for p in paths if stat_module.S_ISREG(os.lstat(p).st_mode)]
        return found

    def commit(self, entries: Iterable[Entry], timestamp_s: int | None = LATE_S) -> None:
        """Write an index of these entries as a sync does, then set T."""
        self.commit_bytes(encode(entries), timestamp_s)

    def index_all(self, timestamp_s: int | None = LATE_S) -> None:
        """Index every file as it is now: settled, unless T says otherwise."""
        self.commit([self.entry(path) for path in self.files()], timestamp_s)

    def commit_bytes(self, data: bytes, timestamp_s: int | None = LATE_S) -> None:
        """Write these bytes as an index of ours, then set T."""
        with lock_index(self.state, 0, "test") as lock:
            lock.commit(as_encoded(data))
        if timestamp_s is not None:
            self.set_timestamp(timestamp_s)

    def set_timestamp(self, timestamp_s: int) -> None:
        """Set T, the mtime of the index file."""
        date_index(self.state.index, timestamp_s * NS)

    def read(self) -> IndexSnapshot:
        return read_index(self.state)

    def status(self, *paths: bytes, **options: Any) -> Status:
        return status(self.root, self.state, self.options._replace(**options), paths)

    def changes(self, *paths: bytes, **options: Any) -> dict[bytes, str]:
        """Return path -> what `status` says of it."""
        return {change.path: change.status.value for change in self.status(*paths, **options).changes}
