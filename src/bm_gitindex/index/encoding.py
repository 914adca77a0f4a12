"""Values to index bytes: what `codec` reads, of versions 2 and 3.

What is written carries two of git's own extensions, IEOT with one entry per block and EOIE: together they are a table
of all entries' offsets, so that no entry need be walked to find the next.
"""

from __future__ import annotations

import sys
from array import array
from hashlib import sha1
from itertools import chain
from typing import TYPE_CHECKING

from bm_gitindex.index.codec import (
    EOIE_LENGTH,
    EXTENSION_HEADER,
    FLAGS_OFFSET,
    HEADER,
    IEOT_VERSION,
    MOST_BYTES,
    NULL_ID,
    SIGNATURE,
    folders_above,
    is_valid_path,
)
from bm_gitindex.index.entry import (
    ENTRY_HEAD,
    EXTENDED_INTENT_TO_ADD,
    EXTENDED_SKIP_WORKTREE,
    FLAG_ASSUME_VALID,
    FLAG_EXTENDED,
    FLAG_NAME_LENGTH,
    ID_LENGTH,
    Entry,
    Index,
    record_length,
)
from bm_gitindex.index.records import Records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bm_gitindex.index.records import Block

    Piece = Block | memoryview

_SIZE_OFFSET = 36
_BLOCK_BYTES = 1024 * 1024


class Encoded:
    """The bytes of an index, in pieces: put together, those of a large index would be in memory twice."""

    def __init__(self, pieces: list[Piece], trailer: bytes) -> None:
        """`trailer` is the SHA-1 of all pieces."""
        self.trailer = trailer
        self._pieces = pieces

    def __bytes__(self) -> bytes:
        return b"".join([*self._pieces, self.trailer])

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes of the whole, about a megabyte at a time."""
        block: list[Piece] = []
        size_bytes = 0
        for piece in chain(self._pieces, (self.trailer,)):
            block.append(piece)
            size_bytes += len(piece)
            if size_bytes >= _BLOCK_BYTES:
                yield b"".join(block)
                block, size_bytes = [], 0
        if block:
            yield b"".join(block)


def encode(entries: Iterable[Entry]) -> bytes:
    """Return the bytes of an index with these entries, in any order.

    Raises ValueError for an entry that no index may hold: an invalid path, a null id.
    """
    return bytes(update(Index.empty(), Records({entry.path: encode_entry(entry) for entry in entries})))


def update(index: Index, changes: Records) -> Encoded:
    """Return the bytes of an index that differs from `index` by `changes`.

    Entries that do not change are copied as they stand, many at once. Extensions of the old index are not: they would
    be stale. Raises ValueError where a new entry's folder would be an entry as well.
    """
    _refuse_folders_of_entries(index, changes)
    if index.entries_end is None:
        kept = {path: encode_entry(index[path]) for path in index if path not in changes}
        return update(Index.empty(), Records(kept | dict(changes.items())))
    body = _Body(index)
    blocks = None if len(index) else changes.blocks()
    if blocks is not None:
        for block, offsets in blocks:
            body.add_block(block, offsets)
        return body.finished()
    copied = 0
    for path, record in changes.items():
        place = index.place(path)
        body.copy(index.offsets[copied:place], _start_of(index, place))
        copied = place + 1 if index.find(path) == place else place
        if record is not None:
            body.add(record)
    body.copy(index.offsets[copied:], index.entries_end)
    return body.finished()


def _start_of(index: Index, place: int) -> int:
    assert index.entries_end is not None
    return index.offsets[place] if place < len(index) else index.entries_end


class _Body:
    """The entries of a new index, one after the other."""

    def __init__(self, index: Index) -> None:
        self._old = memoryview(index.data)
        self._may_copy_extended = index.version != 2
        self._is_extended = False
        self._pieces: list[Piece] = [b""]
        self._offsets = array("I")
        self._end = HEADER.size

    def copy(self, offsets: array[int], end: int) -> None:
        """Add the entries of the old index that stand at these offsets, one after the other up to `end`."""
        if offsets:
            start = offsets[0]
            shift = self._end - start
            self._offsets.extend(array("I", [offset + shift for offset in offsets]) if shift else offsets)
            self._pieces.append(self._old[start:end])
            self._end += end - start
            self._is_extended |= self._may_copy_extended and any(map(self._is_extended_at, offsets))

    def add(self, record: bytes) -> None:
        """Add an encoded entry."""
        self._offsets.append(self._end)
        self._pieces.append(record)
        self._end += len(record)
        self._is_extended |= bool(record[FLAGS_OFFSET] & (FLAG_EXTENDED >> 8))

    def add_block(self, block: Block, offsets: array[int]) -> None:
        """Add encoded entries that stand at these offsets of a block, and fill it."""
        self._offsets.extend(offset + self._end for offset in offsets)
        self._pieces.append(block)
        self._end += len(block)
        self._is_extended |= any(block[offset + FLAGS_OFFSET] & (FLAG_EXTENDED >> 8) for offset in offsets)

    def finished(self) -> Encoded:
        """Return the bytes of the index. Raises ValueError for more than its offsets can name."""
        if self._end > MOST_BYTES // 2:
            raise ValueError("too many entries for an index")
        pieces = self._pieces
        pieces[0] = HEADER.pack(SIGNATURE, 3 if self._is_extended else 2, len(self._offsets))
        if self._offsets:  # git complains of an IEOT without a block
            pieces += _offset_extensions(self._offsets, self._end)
        digest = sha1(usedforsecurity=False)
        for piece in pieces:
            digest.update(piece)
        return Encoded(pieces, digest.digest())

    def _is_extended_at(self, offset: int) -> int:
        return self._old[offset + FLAGS_OFFSET] & (FLAG_EXTENDED >> 8)


def _refuse_folders_of_entries(index: Index, changes: Records) -> None:
    stored = (path for path, record in changes.items() if record is not None)
    for folder in folders_above(stored):
        if changes.get(folder) or (folder not in changes and folder in index):
            raise ValueError(f"both a file and a folder: {folder!r}")
    if not len(index):
        return
    for path, record in changes.items():
        if record is not None and any(path_below not in changes for path_below in index.below(path)):
            raise ValueError(f"both a file and a folder: {path!r}")


def encode_entry(entry: Entry) -> bytes:
    """Return an entry as versions 2 and 3 write it. Raises ValueError for one that no index may hold."""
    if not is_valid_path(entry.path):
        raise ValueError(f"not a path for an index: {entry.path!r}")
    if entry.blob_id == NULL_ID or len(entry.blob_id) != ID_LENGTH:
        raise ValueError(f"not a blob id: {entry.blob_id.hex()!r} of {entry.path!r}")
    flags = min(len(entry.path), FLAG_NAME_LENGTH)
    if entry.assume_valid:
        flags |= FLAG_ASSUME_VALID
    extended = b""
    if entry.is_extended:
        flags |= FLAG_EXTENDED
        bits = EXTENDED_SKIP_WORKTREE * entry.skip_worktree | EXTENDED_INTENT_TO_ADD * entry.intent_to_add
        extended = bits.to_bytes(2, "big")
    record = ENTRY_HEAD.pack(*entry.stat, entry.blob_id, flags) + extended + entry.path
    return record.ljust(record_length(len(entry.path), extended=entry.is_extended), b"\0")


def smudged_record(record: bytes) -> bytes:
    """Return an encoded entry with its size set to 0."""
    return record[:_SIZE_OFFSET] + bytes(4) + record[_SIZE_OFFSET + 4 :]


def _offset_extensions(offsets: array[int], end: int) -> tuple[Piece, ...]:
    blocks = array("I", [1]) * (2 * len(offsets))
    blocks[0::2] = offsets
    if sys.byteorder == "little":
        blocks.byteswap()
    header = EXTENSION_HEADER.pack(b"IEOT", 4 + 8 * len(offsets))
    digest = sha1(header, usedforsecurity=False).digest()
    end_marker = EXTENSION_HEADER.pack(b"EOIE", EOIE_LENGTH) + end.to_bytes(4, "big") + digest
    return header + IEOT_VERSION, memoryview(blocks).cast("B"), end_marker
