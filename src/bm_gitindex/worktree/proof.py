"""Files proven unchanged: what a survey need not look at, since one listing and one stat say all there is to say.

A prover goes through the folders that an index knows. An entry is proven where a regular file has its name, and every
stat field that counts is equal and older than the index (technical/racy-git). Whatever else there is is left to be
looked at: nothing is decided here.
"""

import os
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from bm_gitindex.index.entry import FLAG_EXTENDED, STAT_FIELDS
from bm_gitindex.index.stat import StatData, Trust, is_regular, stat_changes, stat_data
from bm_gitindex.native import native
from bm_gitindex.processors import cpu_count
from bm_gitindex.rules import ORDINARY_ENDINGS, STRANGE_BEGINNINGS
from bm_gitindex.worktree import placeholders

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from bm_gitindex.ignore import IgnoreRules
    from bm_gitindex.index.compare import Evidence
    from bm_gitindex.index.entry import Index
    from bm_gitindex.memory import Memory
    from bm_gitindex.rules import Classifier
    from bm_gitindex.worktree.tree import Tree

    FolderProof = tuple[int, int, Sequence["os.DirEntry[str] | Unproven"]]
    """What was found in a folder of the index: its device, how many files are unchanged, and all the rest."""

_MOST_THREADS = 16
_MOST_DEPTH = 64
_FILES_A_THREAD = 500
_NEVER = -(1 << 63)
_LOW_32 = 0xFFFF_FFFF
_NS_PER_S = 1_000_000_000
_MODE_BITS = 0o170100
_ENTRY_MODES = {0o100000: 0o100644, 0o100100: 0o100755}
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


class Unproven:
    """A name in a folder, to be looked at as if `os.scandir` had returned it."""

    __slots__ = ("_folder", "_is_folder", "_tree", "name")

    def __init__(self, tree: "Tree", folder: bytes, name: bytes, *, is_folder: bool) -> None:
        self.name = name.decode(_ENCODING, _ERRORS)
        self._tree = tree
        self._folder = folder
        self._is_folder = is_folder

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        """Return whether it is a folder. Raises OSError."""
        return self._is_folder or stat.S_ISDIR(self.stat(follow_symlinks=follow_symlinks).st_mode)

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        """Return its stat. Raises OSError."""
        return os.stat(self.name, dir_fd=self._tree.folder(self._folder), follow_symlinks=follow_symlinks)


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
) -> Proof:
    """Return what is proven of a whole tree; `on_progress` is told how many files were seen so far.

    A folder that `memory` has is not listed again. Only the compiled prover remembers any.
    """
    index = evidence.index
    if not evidence.is_worth_something:
        return Proof(index, {}, bytearray(len(index)))
    if native is None or index.version == 4 or placeholders.HAS_PLACEHOLDERS:
        return PythonProver(tree, evidence, classifier).prove(on_progress)
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
        entries = [Unproven(tree, path, name, is_folder=True) for name in folder_names]
        entries += [Unproven(tree, path, name, is_folder=False) for name in other_names]
        folders[path] = (dev, count, entries)
    return Proof(index, folders, bytearray(proven))


class PythonProver:
    """Does what the compiled one does."""

    def __init__(self, tree: "Tree", evidence: "Evidence", classifier: "Classifier") -> None:
        self._tree = tree
        self._index = evidence.index
        self._longest_path = classifier.longest_path
        self._proven = bytearray(len(evidence.index))
        self.is_unchanged = _comparison(evidence, classifier)
        """Whether an entry of a listing is what the entry at some place of the index says."""

    def prove(self, on_progress: "Callable[[int], object]") -> Proof:
        """Return what is proven of a whole tree; `on_progress` is told how many files were seen so far."""
        folders: dict[bytes, FolderProof] = {}
        seen = 0
        for folder in _folders_of(self._index):
            if folder and folder.rpartition(b"/")[0] not in folders:
                continue
            with suppress(OSError):  # whoever lists it in the plain way will say what is wrong with it
                folders[folder] = self._prove_folder(folder)
                seen += folders[folder][1]
                on_progress(seen)
        return Proof(self._index, folders, self._proven)

    def _prove_folder(self, folder: bytes) -> "FolderProof":
        """Return what is found in a folder. Raises OSError."""
        prefix = folder + b"/" if folder else b""
        find, longest_path = self._index.places.get, self._longest_path
        is_unchanged = self.is_unchanged
        entries: list[os.DirEntry[str] | Unproven] = []
        places = []
        fd = self._tree.folder(folder)
        dev = os.fstat(fd).st_dev
        with os.scandir(fd) as listing:
            for entry in listing:
                name = entry.name
                if name[0] not in STRANGE_BEGINNINGS and name.endswith(ORDINARY_ENDINGS):
                    path = prefix + name.encode(_ENCODING, _ERRORS)
                    place = find(path)
                    if place is not None and is_unchanged(place, entry) and len(path) <= longest_path:
                        places.append(place)
                        continue
                entries.append(entry)
        for place in places:
            self._proven[place] = 1
        return dev, len(places), entries


def _comparison(evidence: "Evidence", classifier: "Classifier") -> "Callable[[int, os.DirEntry[str]], bool]":
    """Return `PythonProver.is_unchanged`: a closure, since it is called for every file."""
    index, trust = evidence.index, evidence.trust
    data, offsets, has_extended = index.data, index.offsets, index.version != 2
    timestamp_s, changed_field = evidence.baseline.timestamp_s, evidence.changed_at // 4
    most_bytes = min(classifier.large_file_bytes, _LOW_32)
    has_placeholders, is_fully_trusted = placeholders.HAS_PLACEHOLDERS, trust == Trust()
    unpack_stat = STAT_FIELDS.unpack_from

    def is_unchanged(place: int, entry: os.DirEntry[str]) -> bool:
        offset = offsets[place]
        recorded = unpack_stat(data, offset)
        if recorded[changed_field] >= timestamp_s or (has_extended and data[offset + 60] & (FLAG_EXTENDED >> 8)):
            return False
        try:
            st = entry.stat(follow_symlinks=False)
        except OSError:
            return False
        size = st.st_size
        if not 0 < size <= most_bytes or (has_placeholders and placeholders.is_placeholder(st)):
            return False
        if not is_fully_trusted:
            is_equal = not stat_changes(StatData(*recorded), stat_data(st), trust)
            return is_equal and is_regular(st.st_mode)
        # As `stat_changes` has it, for the many.
        ctime_s, ctime_ns, mtime_s, mtime_ns, _, ino, mode, _, _, recorded_size = recorded
        return bool(
            size == recorded_size
            and st.st_mtime_ns == mtime_s * _NS_PER_S + mtime_ns
            and st.st_ctime_ns == ctime_s * _NS_PER_S + ctime_ns
            and st.st_ino & _LOW_32 == ino
            and _ENTRY_MODES.get(st.st_mode & _MODE_BITS) == mode
        )

    return is_unchanged


def _mask(trust: Trust) -> bytes:
    """Return the bits of the stat fields that count, as `stat_changes` has it."""
    ctime = _LOW_32 if trust.compares_ctime else 0
    mtime_ns = _LOW_32 if trust.check_stat == "default" else 0
    mode = _LOW_32 if trust.filemode else _LOW_32 ^ 0o111
    return STAT_FIELDS.pack(ctime, ctime, _LOW_32, mtime_ns, 0, ctime, mode, 0, 0, _LOW_32)


def _folders_of(index: "Index") -> list[bytes]:
    """Return the root and the folders above entries, each before those below it; not those far down."""
    folders: set[bytes] = {b""}
    for folder in {path.rpartition(b"/")[0] for path in index}:
        above = b"/".join(folder.split(b"/", _MOST_DEPTH)[:_MOST_DEPTH])
        while above not in folders:
            folders.add(above)
            above = above.rpartition(b"/")[0]
    return sorted(folders)


def _is_stub(entry: os.DirEntry[str] | Unproven) -> bool:
    return entry.name.endswith(".icloud")
