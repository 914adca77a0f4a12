"""The prover in Python: does what the compiled one does, a folder at a time.

What is asked of each file is asked of a folder's files together, by functions that loop in C: a step of the interpreter
for every file takes longer than the system takes to tell its stat.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from itertools import compress, groupby, repeat
from operator import attrgetter, itemgetter
from struct import Struct
from typing import TYPE_CHECKING

from bm_gitindex.index.entry import FLAG_EXTENDED, STAT_FIELDS
from bm_gitindex.index.stat import StatData, Trust, is_regular, stat_changes, stat_data
from bm_gitindex.rules import ORDINARY_ENDINGS, STRANGE_BEGINNINGS
from bm_gitindex.worktree import placeholders
from bm_gitindex.worktree.answers import read_answer
from bm_gitindex.worktree.unproven import Unproven

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bm_gitindex.index.compare import Evidence
    from bm_gitindex.rules import Classifier
    from bm_gitindex.worktree.answers import Answer
    from bm_gitindex.worktree.helping import Helping
    from bm_gitindex.worktree.tree import Tree
    from bm_gitindex.worktree.unproven import FolderProof

_MOST_DEPTH = 64
_GROUP, _FOLDER_COST = 1_000, 5
"""Files in a group, and how many of them a folder takes as long as."""
_LOW_32 = 0xFFFF_FFFF
_NS_PER_S = 1_000_000_000
_MODE_BITS = 0o170100
_ENTRY_MODES = {0o100000: 0o100644, 0o100100: 0o100755}
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()

_NAME = attrgetter("name")
_OBSERVED = attrgetter("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino", "st_mode")
_RECORDED = Struct(">4I4x2I8xI").unpack_from
"""The fields that are compared, without device, owner and group."""
_ENDINGS = tuple(ending.encode() for ending in ORDINARY_ENDINGS)
_BEGINNINGS = tuple(b"\0" + beginning.encode() for beginning in STRANGE_BEGINNINGS)


class Limits:
    """What a `Classifier` knows that matters here."""

    __slots__ = ("large_file_bytes", "longest_path")

    def __init__(self, large_file_bytes: int, longest_path: int) -> None:
        self.large_file_bytes = large_file_bytes
        self.longest_path = longest_path


class Known:
    """Files that the index has in one folder, and that may be proven.

    No named tuple, since that would compile its annotations.
    """

    __slots__ = ("names", "places")

    def __init__(self, places: Sequence[int], names: Sequence[str]) -> None:
        self.places = places
        self.names = names


class PythonProver:
    """Proves the folders of an index, one by one."""

    def __init__(self, tree: Tree, evidence: Evidence, limits: Limits | Classifier) -> None:
        self._tree = tree
        self._index = evidence.index
        self._longest_path = limits.longest_path
        self._files = _files_by_folder(evidence.index.names)
        self.are_unchanged = _comparison(evidence, limits)
        """Whether entries of a listing are what the index says at some places."""
        self.proven = bytearray(len(evidence.index))
        """1 for each entry of the index that is proven, else 0."""

    def folders(self) -> list[bytes]:
        """Return the root and the folders above entries, each before those below it; not those far down."""
        folders: set[bytes] = {b""}
        for folder in self._files:
            above = b"/".join(folder.split(b"/", _MOST_DEPTH)[:_MOST_DEPTH])
            while above not in folders:
                folders.add(above)
                above = above.rpartition(b"/")[0]
        return sorted(folders)

    def places(self, folder: bytes) -> Sequence[int]:
        """Return where the files of a folder stand in the index."""
        return self._files.get(folder, ())

    def groups(self) -> list[list[bytes]]:
        """Return the folders in groups of not too many files."""
        groups: list[list[bytes]] = []
        room = 0
        for folder in self.folders():
            if room <= 0:
                groups.append([])
                room = _GROUP
            groups[-1].append(folder)
            room -= _FOLDER_COST + len(self.places(folder))
        return groups

    def prove(self, on_progress: Callable[[int], object], helping: Helping | None = None) -> dict[bytes, FolderProof]:
        """Return what is found in all folders; `on_progress` is told how many files were seen so far."""
        found: dict[bytes, FolderProof] = {}
        seen = 0
        groups = self.groups()
        answers: dict[int, dict[bytes, Answer]] = {}
        for number, folders in enumerate(groups):
            if helping is not None:
                helping = self._listen(helping, groups, answers)
            answer = answers.get(number)
            seen += self._prove_group(folders, found) if answer is None else self._take(answer, found)
            on_progress(seen)
            if number + 1 in answers and helping is not None:
                helping.end()
                helping = None
        return found

    def _listen(
        self, helping: Helping, groups: list[list[bytes]], answers: dict[int, dict[bytes, Answer]]
    ) -> Helping | None:
        """Note what a helper has answered; return None for one that is not to be listened to any more."""
        try:
            for number, body in helping.answered():
                answers[number] = read_answer(self._tree, self.places, groups[number], body)
        except (ValueError, LookupError):
            return None
        return helping

    def _prove_group(self, folders: Sequence[bytes], found: dict[bytes, FolderProof]) -> int:
        """Add what is found in a group of folders; return how many files are unchanged."""
        seen = 0
        for folder in folders:
            if not folder or folder.rpartition(b"/")[0] in found:
                with suppress(OSError):  # whoever lists it in the plain way will say what is wrong with it
                    found[folder] = self.prove_folder(folder)
                    seen += found[folder][1]
        return seen

    def _take(self, answer: dict[bytes, Answer], found: dict[bytes, FolderProof]) -> int:
        """Add what was answered for a group of folders; return how many files are unchanged."""
        seen = 0
        for folder, answered in answer.items():
            proof, proven = answered.proof, answered.proven
            if not folder or folder.rpartition(b"/")[0] in found:
                found[folder] = proof
                seen += proof[1]
                for place in proven:
                    self.proven[place] = 1
        return seen

    def prove_folder(self, folder: bytes) -> tuple[int, int, list[Unproven]]:
        """Return what is found in a folder. Raises OSError."""
        fd = self._tree.folder(folder)
        dev = os.fstat(fd).st_dev
        with os.scandir(fd) as listing:
            entries = list(listing)
        others = dict(zip(map(_NAME, entries), entries, strict=True))
        known = self._known(folder)
        places: Sequence[int] = known.places
        found = list(map(others.pop, known.names, repeat(None)))
        listed = [entry for entry in found if entry is not None] if None in found else found
        if len(listed) != len(found):
            places = [place for place, entry in zip(places, found, strict=True) if entry is not None]
        unchanged = self.are_unchanged(places, listed)
        count = unchanged.count(True)
        if isinstance(places, range) and count == len(places):
            self.proven[places.start : places.stop] = b"\1" * count
        else:
            for place in compress(places, unchanged):
                self.proven[place] = 1
            others |= {entry.name: entry for entry, is_same in zip(listed, unchanged, strict=True) if not is_same}
        # An entry asks by the descriptor that it was listed by, which is another folder's by the time it is looked at.
        return dev, count, [_unproven(self._tree, folder, entry) for entry in others.values()]

    def _known(self, folder: bytes) -> Known:
        """Return the files of a folder whose names no option leaves out, and that can be compared."""
        places = self._files.get(folder)
        if places is None:
            return Known((), ())
        paths = self._index.names
        is_run = isinstance(places, range)
        known = paths[places[0] : places[-1] + 1] if is_run else [paths[place] for place in places]
        text = b"\0%b\0" % b"\0".join(known)
        if len(text) > self._longest_path and max(map(len, known)) > self._longest_path:
            return self._known_by_name(places, known)
        if folder:
            text = text.replace(b"\0%b/" % folder, b"\0")
        names = _decoded(text)
        if len(names) == len(known) and _are_ordinary(text, len(names)):
            return Known(places, names)
        return self._known_by_name(places, known)

    def _known_by_name(self, places: Sequence[int], paths: Sequence[bytes]) -> Known:
        """Do as `_known` does, for each file by itself."""
        names = [path.rpartition(b"/")[2].decode(_ENCODING, _ERRORS) for path in paths]
        is_known = [
            name[0] not in STRANGE_BEGINNINGS
            and name.endswith(ORDINARY_ENDINGS)
            and path.rpartition(b"/")[2] == name.encode(_ENCODING, _ERRORS)
            and len(path) <= self._longest_path
            for name, path in zip(names, paths, strict=True)
        ]
        return Known(list(compress(places, is_known)), list(compress(names, is_known)))


def _decoded(text: bytes) -> list[str]:
    """Return the names in a text, each between two NUL; none where it is not certain that they can be told apart."""
    decoded = text.decode(_ENCODING, _ERRORS)
    if decoded.encode(_ENCODING, _ERRORS) != text:
        return []
    return decoded[1:-1].split("\0")


def _are_ordinary(text: bytes, count: int) -> bool:
    """Return whether all names in a text, each between two NUL, begin and end as most do."""
    for beginning in _BEGINNINGS:
        if beginning in text:
            return False
    # No name ends in two ways, so that as many endings as names are one for each.
    for ending in _ENDINGS:
        count -= text.count(ending + b"\0")
        if not count:
            return True
    return False


def _unproven(tree: Tree, folder: bytes, entry: os.DirEntry[str]) -> Unproven:
    is_folder = False
    with suppress(OSError):
        is_folder = entry.is_dir(follow_symlinks=False)
    return Unproven(tree, folder, entry.name, is_folder=is_folder)


def _files_by_folder(paths: Iterable[bytes]) -> dict[bytes, Sequence[int]]:
    """Return the places of the paths in each folder: a range where nothing else stands between."""
    files: dict[bytes, Sequence[int]] = {}
    start = 0
    folders = map(itemgetter(0), map(bytes.rpartition, paths, repeat(b"/")))
    for folder, group in groupby(folders):
        end = start + len(list(group))
        before = files.get(folder)
        files[folder] = range(start, end) if before is None else [*before, *range(start, end)]
        start = end
    return files


def _comparison(
    evidence: Evidence, limits: Limits | Classifier
) -> Callable[[Sequence[int], Sequence[os.DirEntry[str]]], list[bool]]:
    """Return a function that tells of entries of a listing whether they are what the index says at these places."""
    index = evidence.index
    is_unchanged = _single_comparison(evidence, limits)
    data, offsets, has_extended = index.data, index.offsets, index.version != 2
    timestamp_s, most_bytes = evidence.baseline.timestamp_s, min(limits.large_file_bytes, _LOW_32)
    is_plain = evidence.trust == Trust() and not placeholders.HAS_PLACEHOLDERS

    def are_unchanged(places: Sequence[int], entries: Sequence[os.DirEntry[str]]) -> list[bool]:
        starts = [offsets[place] for place in places]
        if is_plain and not (has_extended and any(data[start + 60] & (FLAG_EXTENDED >> 8) for start in starts)):
            try:
                observed = map(_OBSERVED, [entry.stat(follow_symlinks=False) for entry in entries])
                recorded = map(_RECORDED, repeat(data), starts)
                # As `stat_changes` has it, for the many.
                return [
                    size == was_size
                    and mtime == m_s * _NS_PER_S + m_ns
                    and ctime == c_s * _NS_PER_S + c_ns
                    and ino & _LOW_32 == was_ino
                    and _ENTRY_MODES.get(mode & _MODE_BITS) == was_mode
                    and c_s < timestamp_s
                    and 0 < size <= most_bytes
                    for (size, mtime, ctime, ino, mode), (c_s, c_ns, m_s, m_ns, was_ino, was_mode, was_size) in zip(
                        observed, recorded, strict=True
                    )
                ]
            except OSError:  # of one of them, which is looked at by itself
                pass
        return [is_unchanged(place, entry) for place, entry in zip(places, entries, strict=True)]

    return are_unchanged


def _single_comparison(evidence: Evidence, limits: Limits | Classifier) -> Callable[[int, os.DirEntry[str]], bool]:
    """Return a function that tells whether an entry of a listing is what the index says at a place."""
    index, trust = evidence.index, evidence.trust
    data, offsets, has_extended = index.data, index.offsets, index.version != 2
    timestamp_s, changed_field = evidence.baseline.timestamp_s, evidence.changed_at // 4
    most_bytes = min(limits.large_file_bytes, _LOW_32)

    def is_unchanged(place: int, entry: os.DirEntry[str]) -> bool:
        offset = offsets[place]
        recorded = STAT_FIELDS.unpack_from(data, offset)
        if recorded[changed_field] >= timestamp_s or (has_extended and data[offset + 60] & (FLAG_EXTENDED >> 8)):
            return False
        try:
            st = entry.stat(follow_symlinks=False)
        except OSError:
            return False
        if not 0 < st.st_size <= most_bytes or placeholders.is_placeholder(st):
            return False
        return is_regular(st.st_mode) and not stat_changes(StatData(*recorded), stat_data(st), trust)

    return is_unchanged
