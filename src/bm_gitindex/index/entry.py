"""An index entry, the index as a mapping from path to entry, and the ids that stand for a file's content."""

import struct
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from enum import Enum
from hashlib import sha1
from itertools import count, repeat
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

_SEARCHED_SHIFT = 6
"""One look-up in 64 entries is searched for before a table is made of all paths: what a table costs."""


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
    def of(cls, path: bytes, stat: StatData, blob_id: bytes, tracking: Tracking) -> "Entry":
        """Return the entry of a file whose id was made in the given way."""
        return cls(path, stat, blob_id, tracking is Tracking.SAMPLE, tracking is not Tracking.CONTENT)

    def with_size_zero(self) -> "Entry":
        """Return the entry smudged: of size 0, so that its stat is equal to nothing.

        The same mark that git leaves on a racy entry (technical/racy-git, ce_smudge_racily_clean_entry).
        """
        return self._replace(stat=self.stat._replace(size=0))


class Index(Mapping[bytes, Entry]):
    """An index that was read: entries by path, in git's order, taken from its bytes when they are asked for.

    Holding offsets and not entries keeps 100,000 files at some 10 MB, and loads them in a fraction of the time. Paths
    are made when they are first needed, which a run over an unchanged tree may never do.
    """

    __slots__ = (
        "_asked", "_names", "_places", "data", "entries_end", "is_checked", "offsets", "trailer", "version"
    )  # fmt: skip

    def __init__(
        self,
        data: bytes,
        offsets: "array[int]",
        names: list[bytes] | None = None,
        entries_end: int | None = None,
        *,
        is_checked: bool,
    ) -> None:
        """`names` may be left out for versions 2 and 3, where they stand in full."""
        self.data = data
        self.offsets = offsets
        """Of each entry, in git's order; C's `unsigned int`, of 32 bits."""
        self.entries_end = entries_end
        """Where the entries end, if nothing but them stands before, as versions 2 and 3 write it; else None."""
        self.version = int.from_bytes(data[4:8], "big") if data else 2
        self.trailer = data[-ID_LENGTH:]
        """SHA-1 of what precedes it: names this state of the index. Empty for the index of no file."""
        self.is_checked = is_checked
        """False where the trailer is all zero (git's index.skipHash), so that the bytes are not proven intact."""
        self._names = names
        self._places: dict[bytes, int] | None = None
        self._asked = 0

    @classmethod
    def empty(cls) -> "Index":
        """Return the index of a project that has none yet."""
        return cls(b"", array("I"), [], 0, is_checked=True)

    def anew(self) -> "Index":
        """Return the same index with nothing made of it yet; not of version 4, which has no other place for names."""
        return Index(self.data, self.offsets, None, self.entries_end, is_checked=self.is_checked)

    @property
    def names(self) -> list[bytes]:
        """Every path, in git's order."""
        if self._names is None:
            self._names = self._plain_names() or list(map(self._name_at, self.offsets))
        return self._names

    @property
    def places(self) -> dict[bytes, int]:
        """At which place each path stands."""
        if self._places is None:
            self._places = dict(zip(self.names, count(), strict=False))
        return self._places

    def __len__(self) -> int:
        return len(self.offsets)

    def __iter__(self) -> "Iterator[bytes]":
        return iter(self.names)

    def __contains__(self, path: object) -> bool:
        return isinstance(path, bytes) and self.find(path) is not None

    def __getitem__(self, path: bytes) -> Entry:
        place = self.find(path)
        if place is None:
            raise KeyError(path)
        offset = self.offsets[place]
        *stat, blob_id, flags = ENTRY_HEAD.unpack_from(self.data, offset)
        extended = self._extended_flags(offset) if flags & FLAG_EXTENDED else 0
        return Entry(
            path,
            StatData(*stat),
            blob_id,
            bool(flags & FLAG_ASSUME_VALID),
            bool(extended & EXTENDED_SKIP_WORKTREE),
            bool(extended & EXTENDED_INTENT_TO_ADD),
        )

    def path_at(self, place: int) -> bytes:
        """Return the path of the entry at a place."""
        return self._names[place] if self._names is not None else self._name_at(self.offsets[place])

    def find(self, path: bytes) -> int | None:
        """Return at which place a path stands, or None where it is not in the index."""
        if self._places is None:
            self._asked += 1
            # A few are searched for; for many, a table is quicker.
            if self._asked <= len(self.offsets) >> _SEARCHED_SHIFT:
                place = self.place(path)
                return place if place < len(self.offsets) and self.path_at(place) == path else None
        return self.places.get(path)

    def place(self, path: bytes) -> int:
        """Return at which place a path stands, or would stand."""
        return bisect_left(range(len(self.offsets)), path, key=self.path_at)

    def below(self, folder: bytes) -> list[bytes]:
        """Return the paths below a folder."""
        # What comes after a slash is smaller than what comes after a zero, the next character.
        start, end = self.place(folder + b"/"), self.place(folder + b"0")
        return [self.path_at(place) for place in range(start, end)]

    def changed_since(self, second: int, seconds_at: int) -> list[bytes]:
        """Return the paths of the entries whose time, at this place of their stat fields, is not before a second."""
        first, data, offsets = second.to_bytes(4, "big"), self.data, self.offsets
        times = [data[offset + seconds_at : offset + seconds_at + 4] for offset in offsets]
        return [self.path_at(place) for place, time in enumerate(times) if time >= first]

    def stat_fields(self, path: bytes) -> tuple[int, ...] | None:
        """Return the ten stat fields of a path, in the order of `StatData`, or None where it is not in the index."""
        place = self.find(path)
        return None if place is None else STAT_FIELDS.unpack_from(self.data, self.offsets[place])

    def is_extended(self, path: bytes) -> bool:
        """Return whether the entry of a path has the second flag field, and so a tracking of its own."""
        if self.version == 2:
            return False
        place = self.find(path)
        return place is not None and bool(self.data[self.offsets[place] + 60] & (FLAG_EXTENDED >> 8))

    def _plain_names(self) -> list[bytes]:
        """Return every path where entries of version 2 stand one after the other, padded by NUL; else nothing."""
        if self.version != 2 or self.entries_end is None or not self.offsets:
            return []
        ends = [*self.offsets[1:], self.entries_end]
        data = self.data
        padded = [data[offset + 62 : end] for offset, end in zip(self.offsets, ends, strict=True)]
        names = list(map(bytes.rstrip, padded, repeat(b"\0")))
        return [] if b"\0" in b"".join(names) else names

    def _name_at(self, offset: int) -> bytes:
        data = self.data
        start = offset + 64 if data[offset + 60] & (FLAG_EXTENDED >> 8) else offset + 62
        return data[start : data.index(0, start)]

    def _extended_flags(self, offset: int) -> int:
        return int.from_bytes(self.data[offset + 62 : offset + 64], "big")


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
