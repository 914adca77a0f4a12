"""Files proven unchanged: what a survey need not look at, since one listing and one stat say all there is to say.

A prover goes through the folders that an index knows. An entry is proven where a regular file has its name, and every
stat field that counts is equal and older than the index (technical/racy-git). Whatever else there is is left to be
looked at: nothing is decided here.
"""

import os
from typing import TYPE_CHECKING

from bm_gitindex.index.entry import STAT_FIELDS
from bm_gitindex.native import native
from bm_gitindex.processors import cpu_count
from bm_gitindex.rules import ORDINARY_ENDINGS
from bm_gitindex.worktree import placeholders
from bm_gitindex.worktree.unproven import Unproven

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from bm_gitindex.ignore import IgnoreRules
    from bm_gitindex.index.compare import Evidence
    from bm_gitindex.index.entry import Index
    from bm_gitindex.index.stat import Trust
    from bm_gitindex.memory import Memory
    from bm_gitindex.rules import Classifier
    from bm_gitindex.worktree.helping import Helping
    from bm_gitindex.worktree.tree import Tree
    from bm_gitindex.worktree.unproven import FolderProof

_MOST_THREADS = 16
_FILES_A_THREAD = 500
_NEVER = -(1 << 63)
_LOW_32 = 0xFFFF_FFFF


class Proof:
    """What a prover found, and what of it is taken back."""

    def __init__(self, index: "Index", folders: "dict[bytes, FolderProof]", proven: bytearray) -> None:
        """`proven` has 1 or 0 for each entry."""
        self.folders = folders
        """By path. One that could not be read is not among them."""
        self._index = index
        self._proven = proven
        # What a cloud's stub stands for depends on all the names beside it: such a folder is listed in the plain way.
        stubbed = {path for path, (_, _, entries) in folders.items() if entries and any(map(_is_stub, entries))}
        for path in stubbed:
            del folders[path]
        self.withdraw(stubbed)

    def missing(self) -> set[bytes]:
        """Return the paths that are not proven unchanged."""
        missing = set()
        place = self._proven.find(0)
        while place >= 0:
            missing.add(self._index.path_at(place))
            place = self._proven.find(0, place + 1)
        return missing

    def withdraw(self, folders: "Collection[bytes]") -> set[bytes]:
        """Take back what is proven of the files in these folders; return their paths."""
        return self._withdraw(lambda path: path.rpartition(b"/")[0] in folders) if folders else set()

    def withdraw_ignored(self, rules_by_prefix: "Mapping[bytes, IgnoreRules]") -> set[bytes]:
        """Take back what is proven of files that are left out, given the rules of their folders; return their paths."""

        def is_ignored(path: bytes) -> bool:
            rules = rules_by_prefix.get(path[: path.rfind(b"/") + 1])
            return rules is not None and rules.is_ignored(path)

        return self._withdraw(is_ignored) if rules_by_prefix else set()

    def _withdraw(self, is_withdrawn: "Callable[[bytes], bool]") -> set[bytes]:
        withdrawn: set[bytes] = set()
        for place, path in enumerate(self._index):
            if self._proven[place] and is_withdrawn(path):
                self._proven[place] = 0
                withdrawn.add(path)
        return withdrawn


def prove(
    tree: "Tree",
    evidence: "Evidence",
    classifier: "Classifier",
    on_progress: "Callable[[int], object]",
    memory: "Memory | None" = None,
    helping: "Helping | None" = None,
) -> Proof:
    """Return what is proven of a whole tree; `on_progress` is told how many files were seen so far.

    A folder that `memory` has is not listed again: only the compiled prover remembers any. `helping` is for the other.
    """
    index = evidence.index
    if not evidence.is_worth_something:
        return Proof(index, {}, bytearray(len(index)))
    if native is None or index.version == 4 or placeholders.HAS_PLACEHOLDERS:
        return _proven_in_python(tree, evidence, classifier, on_progress, helping)
    try:
        root_fd = tree.folder(b"")
    except OSError:
        return Proof(index, {}, bytearray(len(index)))
    key = index.trailer, len(index), classifier.longest_path
    moment = memory.moment() if memory else None
    quiet, others, proven, listings = native.prove(
        root_fd,
        index.data,
        index.offsets,
        _mask(evidence.trust),
        evidence.changed_at,
        evidence.baseline.timestamp_s,
        classifier.large_file_bytes,
        classifier.longest_path,
        b"".join(ending.encode() + b"\0" for ending in ORDINARY_ENDINGS),
        memory.recall_listings(key) if memory else b"",
        moment.settled_before_s if moment else _NEVER,
        min(cpu_count(), _MOST_THREADS, 1 + len(index) // _FILES_A_THREAD),
        on_progress,
    )
    if memory and moment:
        memory.keep_listings(key, listings, moment)
    folders: dict[bytes, FolderProof] = {**quiet}
    for path, (dev, count, (folder_names, other_names)) in others.items():
        entries = [Unproven(tree, path, os.fsdecode(name), is_folder=True) for name in folder_names]
        entries += [Unproven(tree, path, os.fsdecode(name), is_folder=False) for name in other_names]
        folders[path] = (dev, count, entries)
    return Proof(index, folders, bytearray(proven))


def _proven_in_python(
    tree: "Tree",
    evidence: "Evidence",
    classifier: "Classifier",
    on_progress: "Callable[[int], object]",
    helping: "Helping | None",
) -> Proof:
    # Imported here, since the compiled one does without.
    from bm_gitindex.worktree.pythonprover import PythonProver

    prover = PythonProver(tree, evidence, classifier)
    is_helped = helping is not None and helping.is_for(evidence, classifier)
    folders = prover.prove(on_progress, helping if is_helped else None)
    return Proof(evidence.index, folders, prover.proven)


def _mask(trust: "Trust") -> bytes:
    """Return the bits of the stat fields that count, as `stat_changes` has it."""
    ctime = _LOW_32 if trust.compares_ctime else 0
    mtime_ns = _LOW_32 if trust.check_stat == "default" else 0
    mode = _LOW_32 if trust.filemode else _LOW_32 ^ 0o111
    return STAT_FIELDS.pack(ctime, ctime, _LOW_32, mtime_ns, 0, ctime, mode, 0, 0, _LOW_32)


def _is_stub(entry: "os.DirEntry[str] | Unproven") -> bool:
    return entry.name.endswith(".icloud")
