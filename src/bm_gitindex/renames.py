"""Rename detection: which of the new files are vanished ones, opening as few of them as possible."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.index.entry import Tracking
from bm_gitindex.index.moves import Found, Lost, candidates, pair_by_id, pair_by_stat
from bm_gitindex.index.stat import stat_data, stored_size

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Mapping, Sequence

    from bm_gitindex.index.compare import Evidence
    from bm_gitindex.index.entry import Index
    from bm_gitindex.rules import Classifier
    from bm_gitindex.worktree.reading import Reading
    from bm_gitindex.worktree.tree import Tree

    ReadFile = Callable[[bytes, int], Reading | None]


class Rename(NamedTuple):
    """Where a new file was before, and the stat by which it was recognised."""

    old_path: bytes
    stat: os.stat_result
    blob_id: bytes


class RenameFinder:
    """Pairs vanished paths with new ones: by stat first, and by content where stat proves nothing."""

    def __init__(self, tree: Tree, evidence: Evidence, classifier: Classifier) -> None:
        self._tree = tree
        self._evidence = evidence
        self._classifier = classifier
        self.withheld: frozenset[bytes] = frozenset()
        """Lost paths that a new file may have been which could not be read: nobody knows whether they are gone."""

    def find(self, lost: Sequence[Lost], new: Mapping[bytes, int], read: ReadFile) -> dict[bytes, Rename]:
        """Return a rename by new path.

        `new` maps paths to sizes in bytes. `read` is called for each new file that stat cannot place and whose size
        is that of a lost one; it returns None where the file cannot be read.
        """
        renames = self._by_stat(lost, new)
        taken = {rename.old_path for rename in renames.values()}
        lost = [file for file in lost if file.path not in taken]
        readings: dict[bytes, Reading] = {}
        unread_sizes: set[int] = set()
        for path in sorted(set(self._candidates(lost, new)) - renames.keys()):
            reading = read(path, new[path])
            if reading is not None:
                readings[path] = reading._replace(data=None)
            else:
                unread_sizes.add(stored_size(new[path]))
        pairs = pair_by_id(lost, [self._found(path, reading) for path, reading in readings.items()])
        for path, old_path in pairs.items():
            renames[path] = Rename(old_path, readings[path].stat, readings[path].blob_id)
        self.withheld = _withheld(lost, unread_sizes).difference(pairs.values())
        return renames

    def _candidates(self, lost: Sequence[Lost], new: Mapping[bytes, int]) -> list[bytes]:
        """Return the new paths worth a look. A file tracked by stat alone gives its id for nothing, and to its like."""
        if not lost:
            return []
        pointers = {path for path, size in new.items() if self._classifier.kind(path, size).tracking is Tracking.STAT}
        contents = {path: size for path, size in new.items() if path not in pointers}
        lost_contents = [file for file in lost if file.tracking is not Tracking.STAT]
        found = candidates(lost_contents, contents)
        return found if len(lost_contents) == len(lost) else [*found, *pointers]

    def _found(self, path: bytes, reading: Reading) -> Found:
        kind = self._classifier.kind(path, reading.stat.st_size)
        return Found(path, reading.blob_id, stat_data(reading.stat).ino, kind.tracking)

    def _by_stat(self, lost: Sequence[Lost], new: Mapping[bytes, int]) -> dict[bytes, Rename]:
        index, baseline, trust = self._evidence.index, self._evidence.baseline, self._evidence.trust
        entries = [index[file.path] for file in lost if _is_entry_of(file, index)]
        if not trust.compares_ctime or not entries:
            return {}
        observed: dict[bytes, os.stat_result] = {}
        for path in candidates([file for file in lost if file.size is not None], new):
            with suppress(OSError):  # gone again: whoever reads it will say so
                observed[path] = self._tree.lstat(path)
        stats = {path: stat_data(st) for path, st in observed.items()}
        pairs = pair_by_stat(entries, stats, baseline, trust)
        return {path: Rename(old, observed[path], index[old].blob_id) for path, old in pairs.items()}


def _is_entry_of(file: Lost, index: Index) -> bool:
    return file.path in index and index[file.path].blob_id == file.blob_id


def _withheld(lost: Sequence[Lost], unread_sizes: Collection[int]) -> frozenset[bytes]:
    if not unread_sizes:
        return frozenset()
    return frozenset(file.path for file in lost if file.size is None or file.size in unread_sizes)
