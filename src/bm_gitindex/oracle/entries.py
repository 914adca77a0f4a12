"""The index as dulwich reads it, for `verify` alone."""

from __future__ import annotations

import struct
from hashlib import sha1
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from dulwich.index import EXTENDED_FLAG_SKIP_WORKTREE, FLAG_VALID, Stage, read_index

from bm_gitindex.index.entry import Tracking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dulwich.index import SerializedIndexEntry

    from bm_gitindex.index.entry import Index

_TRAILER_BYTES = 20
_DULWICH_NAME_BYTES = 0xFFE  # a name of 0xFFF bytes or more ends at a NUL, which dulwich does not look for
_EMPTY_BLOB_ID = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


class IndexedFile(NamedTuple):
    """What the index says of a path."""

    blob_id: str
    tracking: Tracking
    size: int
    """The low 32 bits; 0 also for a file that is to be looked at again."""
    mtime: tuple[int, int]
    """Second, low 32 bits, and nanosecond."""

    @property
    def states_size(self) -> bool:
        """Whether the size is that of the file."""
        return self.size != 0 or self.blob_id == _EMPTY_BLOB_ID

    @property
    def states_mtime(self) -> bool:
        """Whether the mtime is that of the file: an entry made for a file that nobody could look at has none."""
        return self.mtime != (0, 0) or self.states_size


class ReadersDifferError(Exception):
    """dulwich refuses the index, or finds something else in it."""


def indexed_files(data: bytes, index: Index) -> dict[bytes, IndexedFile]:
    """Return what the bytes say by path, as dulwich reads them; `index` is our own reading of the same bytes.

    Raises ReadersDifferError. dulwich misreads names of 4095 bytes and more, and most of version 4; such an index has
    no second reader here.
    """
    if index.version == 4 or any(len(path) > _DULWICH_NAME_BYTES for path in index):
        return {path: _from_our_own(index, path) for path in index}
    trailer = data[-_TRAILER_BYTES:]
    if any(trailer) and sha1(data[:-_TRAILER_BYTES], usedforsecurity=False).digest() != trailer:
        raise ReadersDifferError("the checksum is wrong")
    try:
        files = dict(_files(data))
    except (AssertionError, ValueError, struct.error) as error:
        raise ReadersDifferError(f"dulwich cannot read it: {error!r}") from error
    for path in files.keys() | index.keys():
        if path not in files or path not in index or files[path] != _from_our_own(index, path):
            raise ReadersDifferError(f"dulwich reads something else for {path!r}")
    return files


def _files(data: bytes) -> Iterator[tuple[bytes, IndexedFile]]:
    for entry in read_index(BytesIO(data)):
        if entry.stage() is Stage.NORMAL:
            yield entry.name, _from_dulwich(entry)


def _from_dulwich(entry: SerializedIndexEntry) -> IndexedFile:
    tracking = Tracking.CONTENT
    if entry.extended_flags & EXTENDED_FLAG_SKIP_WORKTREE:
        tracking = Tracking.SAMPLE if entry.flags & FLAG_VALID else Tracking.STAT
    assert isinstance(entry.mtime, tuple)
    return IndexedFile(entry.sha.decode(), tracking, entry.size, entry.mtime)


def _from_our_own(index: Index, path: bytes) -> IndexedFile:
    entry = index[path]
    stat = entry.stat
    return IndexedFile(entry.blob_id.hex(), entry.tracking, stat.size, (stat.mtime_s, stat.mtime_ns))
