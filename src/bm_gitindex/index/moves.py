"""Which vanished path and which new one are the same file.

First by stat: a file in a folder that was moved keeps inode, size and both times, so that it need not be opened. Then
by content id. Where several could be meant, the nearest path has it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.index.compare import is_racy, is_smudged
from bm_gitindex.index.entry import EMPTY_BLOB_ID, Entry, Tracking
from bm_gitindex.index.stat import stored_size

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from bm_gitindex.index.compare import Baseline
    from bm_gitindex.index.stat import StatData, Trust

_MOST_COMPARISONS = 10_000
"""Beyond it, a group of files that cannot be told apart is paired by name, not by distance."""


class Lost(NamedTuple):
    """A path that is gone."""

    path: bytes
    blob_id: bytes
    size: int | None
    """Low 32 bits, as the index stores it; None where the entry was smudged, so that nobody knows."""
    ino: int | None
    """None where only the database remembers the path."""
    tracking: Tracking

    @classmethod
    def from_entry(cls, entry: Entry) -> Lost:
        """Return what an entry remembers of a path that is gone."""
        size = None if is_smudged(entry) else entry.stat.size
        return cls(entry.path, entry.blob_id, size, entry.stat.ino, entry.tracking)


class Found(NamedTuple):
    """A path that is new, and whose id is known."""

    path: bytes
    blob_id: bytes
    ino: int
    tracking: Tracking


def pair_by_stat(
    vanished: Iterable[Entry], new: Mapping[bytes, StatData], baseline: Baseline, trust: Trust
) -> dict[bytes, bytes]:
    """Return new path -> old path for the files that stat data alone prove to be the same.

    That takes inode, device, size, mtime and ctime, a file system whose ctime and inode can be trusted, and an old
    entry that was neither racy nor smudged.
    """
    if not trust.compares_ctime:
        return {}
    old_by_stat: defaultdict[Hashable, list[bytes]] = defaultdict(list)
    for entry in vanished:
        if not is_smudged(entry) and not is_racy(entry.stat, baseline, trust):
            old_by_stat[_identity(entry.stat)].append(entry.path)
    new_by_stat: defaultdict[Hashable, list[bytes]] = defaultdict(list)
    for path, stat in new.items():
        if _identity(stat) in old_by_stat:
            new_by_stat[_identity(stat)].append(path)
    return _pair_groups(old_by_stat, new_by_stat)


def candidates(lost: Iterable[Lost], new_sizes: Mapping[bytes, int]) -> list[bytes]:
    """Return the new paths, given with their sizes in bytes, that could be lost ones by their size."""
    sizes = {file.size for file in lost}
    if not sizes:
        return []
    return [path for path, size_bytes in new_sizes.items() if None in sizes or stored_size(size_bytes) in sizes]


def pair_by_id(lost: Iterable[Lost], found: Iterable[Found]) -> dict[bytes, bytes]:
    """Return new path -> old path for the files of equal content.

    An id that many files share by nature (that of the empty file, or one made from stat data) proves little: inode or
    base name must then agree as well. An id made from a sample proves nothing.
    """
    lost = list(lost)
    found = [file for file in found if file.tracking is not Tracking.SAMPLE]
    strong = [file for file in found if not _is_common(file)]
    common = [file for file in found if _is_common(file)]
    pairs = _pair_by(lost, strong, lambda file: file.blob_id)
    for key in (_id_inode_and_name, _id_and_inode, _id_and_name):
        pairs |= _pair_by(_unpaired(lost, pairs), [file for file in common if file.path not in pairs], key)
    return pairs


def _id_inode_and_name(file: Lost | Found) -> Hashable:
    return file.blob_id, file.ino, _base_name(file.path)


def _id_and_inode(file: Lost | Found) -> Hashable:
    return file.blob_id, file.ino


def _id_and_name(file: Lost | Found) -> Hashable:
    return file.blob_id, _base_name(file.path)


def _identity(stat: StatData) -> Hashable:
    return (stat.ino, stat.dev, stat.size, stat.mtime_s, stat.mtime_ns, stat.ctime_s, stat.ctime_ns)


def _is_common(file: Found) -> bool:
    return file.blob_id == EMPTY_BLOB_ID or file.tracking is Tracking.STAT


def _unpaired(lost: Iterable[Lost], pairs: Mapping[bytes, bytes]) -> list[Lost]:
    taken = set(pairs.values())
    return [file for file in lost if file.path not in taken]


def _pair_by(
    lost: Iterable[Lost], found: Iterable[Found], key: Callable[[Lost | Found], Hashable]
) -> dict[bytes, bytes]:
    old_by_key: defaultdict[Hashable, list[bytes]] = defaultdict(list)
    for old in lost:
        old_by_key[key(old)].append(old.path)
    new_by_key: defaultdict[Hashable, list[bytes]] = defaultdict(list)
    for new in found:
        if key(new) in old_by_key:
            new_by_key[key(new)].append(new.path)
    return _pair_groups(old_by_key, new_by_key)


def _pair_groups(
    old_by_key: Mapping[Hashable, Sequence[bytes]], new_by_key: Mapping[Hashable, Sequence[bytes]]
) -> dict[bytes, bytes]:
    pairs: dict[bytes, bytes] = {}
    for key, new in new_by_key.items():
        pairs |= _pair_nearest(old_by_key[key], new)
    return pairs


def _pair_nearest(old: Sequence[bytes], new: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return new path -> old path within one group of files that are alike, the nearest pairs first."""
    if len(old) * len(new) > _MOST_COMPARISONS:
        return _pair_by_name(old, new)
    pairs: dict[bytes, bytes] = {}
    taken: set[bytes] = set()
    for _, old_path, new_path in sorted((_distance(a, b), a, b) for a in old for b in new):
        if new_path not in pairs and old_path not in taken:
            pairs[new_path] = old_path
            taken.add(old_path)
    return pairs


def _pair_by_name(old: Sequence[bytes], new: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return new path -> old path: those of one base name first, and the others in order of name."""
    old_by_name: defaultdict[bytes, deque[bytes]] = defaultdict(deque)
    for path in sorted(old):
        old_by_name[_base_name(path)].append(path)
    pairs = {path: same.popleft() for path in sorted(new) if (same := old_by_name[_base_name(path)])}
    others = [path for same in old_by_name.values() for path in same]
    renamed = [path for path in new if path not in pairs]
    return pairs | dict(zip(sorted(renamed, key=_by_name), sorted(others, key=_by_name), strict=False))


def _distance(old: bytes, new: bytes) -> tuple[bool, int]:
    """Return how far apart two paths are: another base name first, then the folders that they do not share."""
    old_folders, new_folders = old.split(b"/")[:-1], new.split(b"/")[:-1]
    shared = 0
    for a, b in zip(old_folders, new_folders, strict=False):
        if a != b:
            break
        shared += 1
    return _base_name(old) != _base_name(new), len(old_folders) + len(new_folders) - 2 * shared


def _base_name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _by_name(path: bytes) -> tuple[bytes, bytes]:
    return _base_name(path), path
