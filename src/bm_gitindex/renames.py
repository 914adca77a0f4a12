"""Rename detection: which of the new files are vanished ones, opening as few of them as possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.index.moves import Found, Lost, candidates, pair_by_id, pair_by_stat
from bm_gitindex.index.stat import stat_data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bm_gitindex.index.stat import StatData
    from bm_gitindex.rules import Classifier
    from bm_gitindex.survey import Evidence
    from bm_gitindex.worktree import Reading, Tree

    ReadFile = Callable[[bytes, int], Reading | None]


class RenameFinder:
    """Pairs vanished paths with new ones: by stat first, and by content where stat proves nothing."""

    def __init__(self, tree: Tree, evidence: Evidence, classifier: Classifier) -> None:
        self._tree = tree
        self._evidence = evidence
        self._classifier = classifier

    def find(self, lost: Sequence[Lost], new: Mapping[bytes, int], read: ReadFile) -> dict[bytes, bytes]:
        """Return new path -> old path.

        `new` maps paths to sizes in bytes. `read` is called for each new file that stat cannot place and whose size
        is that of a lost one; it returns None where the file cannot be read.
        """
        pairs = self._by_stat(lost, new)
        taken = set(pairs.values())
        lost = [file for file in lost if file.path not in taken]
        found = []
        for path in sorted(candidates(lost, new)):
            if path in pairs:
                continue
            reading = read(path, new[path])
            if reading is not None:
                kind = self._classifier.kind(path, reading.stat.st_size)
                found.append(Found(path, reading.blob_id, stat_data(reading.stat).ino, kind.tracking))
        return pairs | pair_by_id(lost, found)

    def _by_stat(self, lost: Sequence[Lost], new: Mapping[bytes, int]) -> dict[bytes, bytes]:
        evidence = self._evidence
        entries = [evidence.index[file.path] for file in lost if file.path in evidence.index]
        known = [file for file in lost if file.size is not None]
        if not evidence.trust.compares_ctime or not entries:
            return {}
        observed: dict[bytes, StatData] = {}
        for path in candidates(known, new):
            try:
                observed[path] = stat_data(self._tree.lstat(path))
            except OSError:
                continue  # gone again: whoever reads it will say so
        return pair_by_stat(entries, observed, evidence.baseline, evidence.trust)
