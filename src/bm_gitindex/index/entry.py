"""An index entry, the index as a mapping from path to entry, and the ids that stand for a file's content."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import Enum
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.index.stat import StatData

if TYPE_CHECKING:
    from collections.abc import Iterator

ID_LENGTH = 20
EMPTY_BLOB_ID = bytes.fromhex("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")

STAT_FIELDS = struct.Struct(">10I")
ENTRY_HEAD = struct.Struct(">10I20sH")
"""What precedes the path: stat fields, blob id, flags (gitformat-index(5), "Index entry")."""

FLAG_ASSUME_VALID = 0x8000
FLAG_EXTENDED = 0x4000
FLAG_STAGE = 0x3000
FLAG_NAME_LENGTH = 0x0FFF
EXTENDED_SKIP_WORKTREE = 0x4000
EXTENDED_INTENT_TO_ADD = 0x2000


class Tracking(Enum):
    """What an entry's id was made from."""

    CONTENT = "content"
    SAMPLE = "sample"
    """Size and both ends of a large file."""
    STAT = "stat"
    """Size and mtime of a large file that is never opened."""


class Entry(NamedTuple):
    """What the index knows of one path."""

    path: bytes
    stat: StatData
    blob_id: bytes
    assume_valid: bool = False
    skip_worktree: bool = False
    intent_to_add: bool = False

    @property
    def tracking(self) -> Tracking:
        """What the id was made from, as the flags have it.

        Ids that git would not compute carry the skip-worktree bit, so that git leaves their files alone; a sample
        carries assume-valid as well. git may set either bit on any entry: that costs us one more look at the file.
        """
        if not self.skip_worktree:
            return Tracking.CONTENT
        return Tracking.SAMPLE if self.assume_valid else Tracking.STAT

    @property
    def is_extended(self) -> bool:
        """Whether the entry needs the second flag field, and so index version 3."""
        return self.skip_worktree or self.intent_to_add

    @classmethod
    def of(cls, path: bytes, stat: StatData, blob_id: bytes, tracking: Tracking) -> Entry:
        """Return the entry of a file whose id was made in the given way."""
        return cls(path, stat, blob_id, tracking is Tracking.SAMPLE, tracking is not Tracking.CONTENT)

    def with_size_zero(self) -> Entry:
        """Return the entry smudged: of size 0, so that its stat is equal to nothing.

        The same mark that git leaves on a racy entry (technical/racy-git, ce_smudge_racily_clean_entry).
        """
        return self._replace(stat=self.stat._replace(size=0))


class Index(Mapping[bytes, Entry]):
    """An index that was read: entries by path, in git's order, taken from its bytes when they are asked for.

    Holding offsets and not entries keeps 100,000 files at some 20 MB, and loads them in a fraction of the time.
    """

    __slots__ = ("_data", "_offsets", "is_checked", "trailer", "version")

    def __init__(self, data: bytes, offsets: dict[bytes, int], *, is_checked: bool) -> None:
        self._data = data
        self._offsets = offsets
        self.version = int.from_bytes(data[4:8], "big") if data else 2
        self.trailer = data[-ID_LENGTH:]
        """SHA-1 of what precedes it: names this state of the index. Empty for the index of no file."""
        self.is_checked = is_checked
        """False where the trailer is all zero (git's index.skipHash), so that the bytes are not proven intact."""

    @classmethod
    def empty(cls) -> Index:
        """Return the index of a project that has none yet."""
        return cls(b"", {}, is_checked=True)

    def __len__(self) -> int:
        return len(self._offsets)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._offsets)

    def __contains__(self, path: object) -> bool:
        return path in self._offsets

    def __getitem__(self, path: bytes) -> Entry:
        offset = self._offsets[path]
        *stat, blob_id, flags = ENTRY_HEAD.unpack_from(self._data, offset)
        extended = self._extended_flags(offset) if flags & FLAG_EXTENDED else 0
        return Entry(
            path,
            StatData(*stat),
            blob_id,
            bool(flags & FLAG_ASSUME_VALID),
            bool(extended & EXTENDED_SKIP_WORKTREE),
            bool(extended & EXTENDED_INTENT_TO_ADD),
        )

    def stat_fields(self, path: bytes) -> tuple[int, ...] | None:
        """Return the ten stat fields of a path, in the order of `StatData`, or None where it is not in the index."""
        offset = self._offsets.get(path)
        return None if offset is None else STAT_FIELDS.unpack_from(self._data, offset)

    def is_extended(self, path: bytes) -> bool:
        """Return whether the entry of a path has the second flag field, and so a tracking of its own."""
        return self.version != 2 and bool(self._data[self._offsets[path] + 60] & (FLAG_EXTENDED >> 8))

    def record(self, path: bytes) -> bytes | None:
        """Return the bytes of an entry as versions 2 and 3 write it, or None where this index is of version 4."""
        if self.version == 4:
            return None
        offset = self._offsets[path]
        return self._data[offset : offset + record_length(len(path), extended=self.is_extended(path))]

    def _extended_flags(self, offset: int) -> int:
        return int.from_bytes(self._data[offset + 62 : offset + 64], "big")


def record_length(name_length: int, *, extended: bool) -> int:
    """Return the length of a version 2 or 3 entry: padded with 1 to 8 NUL to a multiple of eight."""
    head = ENTRY_HEAD.size + 2 if extended else ENTRY_HEAD.size
    return (head + name_length + 8) & ~7


def blob_id(data: bytes) -> bytes:
    """Return the 20-byte id that git gives a blob of this content."""
    digest = sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return digest.digest()


def stat_only_id(size_bytes: int, mtime_ns: int) -> bytes:
    """Return the id of a file that is tracked by size and mtime alone: the blob id of a short pointer text.

    The text holds both numbers in full, so that the id tells apart what 32-bit stat fields cannot.
    """
    return blob_id(b"bm-gitindex stat-only v1\nsize %d\nmtime_ns %d\n" % (size_bytes, mtime_ns))


def sample_id(size_bytes: int, ends: bytes) -> bytes:
    """Return the id of a large file that is known by its size and its two ends, given one after the other."""
    return blob_id(b"bm-gitindex sample v1\nsize %d\nends %s\n" % (size_bytes, blob_id(ends).hex().encode()))
