"""Index bytes to values: git index versions 2, 3 and 4 (gitformat-index(5)); `encoding` is the way back.

Nothing in an index is believed before it is checked, its checksum first.
"""

import struct
import sys
from array import array
from bisect import bisect_left
from hashlib import sha1
from itertools import pairwise, repeat, starmap
from operator import lt, sub
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.errors import IndexDamagedError, IndexUnsupportedError
from bm_gitindex.index.checksum import Checksum
from bm_gitindex.index.entry import (
    ENTRY_HEAD,
    EXTENDED_INTENT_TO_ADD,
    EXTENDED_SKIP_WORKTREE,
    FLAG_EXTENDED,
    FLAG_NAME_LENGTH,
    FLAG_STAGE,
    ID_LENGTH,
    Index,
    record_length,
)
from bm_gitindex.native import native

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIGNATURE = b"DIRC"
_VERSIONS = (2, 3, 4)
_UNCOMPRESSED = (2, 3)
HEADER = struct.Struct(">4sII")
EXTENSION_HEADER = struct.Struct(">4sI")
EOIE_LENGTH = 4 + ID_LENGTH
FLAGS_OFFSET = 60
_LEAST_STAGE = FLAG_STAGE & -FLAG_STAGE
_REMEMBERED_BYTES = 4096
_SEARCHED_SHIFT = 4
MOST_BYTES = 0xFFFF_FFFF
"""An offset has 32 bits, in IEOT as well."""
_UNCHECKED_TRAILER = bytes(ID_LENGTH)
IEOT_VERSION = (1).to_bytes(4, "big")
NULL_ID = bytes(ID_LENGTH)
_KNOWN_EXTENDED_FLAGS = EXTENDED_SKIP_WORKTREE | EXTENDED_INTENT_TO_ADD

_SEPARATOR_TO_NUL = bytes(range(256)).lower().replace(b"/", b"\0")
_BAD_COMPONENTS = (b"\0\0", b"\0.\0", b"\0..\0", b"\0.git\0")


def is_valid_path(path: bytes) -> bool:
    """Return whether a path may stand in an index (git's verify_path): relative, without empty, dot or .git parts."""
    return b"\0" not in path and _have_valid_components(path)


def _have_valid_components(paths: bytes) -> bool:
    """Return whether paths, joined by NUL, have no forbidden component: one pass for a whole index."""
    components = b"\0%b\0" % paths.translate(_SEPARATOR_TO_NUL)
    if b"\0." not in components:
        return b"\0\0" not in components
    return not any(bad in components for bad in _BAD_COMPONENTS)


class _Table(NamedTuple):
    """Where the entries of an index stand, and what is needed to check them."""

    offsets: list[int]
    names: list[bytes]
    flags: list[int]
    end: int


def decode(data: bytes) -> Index:
    """Return the index that these bytes hold. Entries of stage 1 to 3 are left out.

    Raises IndexDamagedError where anything is not as the format has it, and IndexUnsupportedError for a version, an
    extension or a flag without which the entries cannot be understood.
    """
    version, count = _decode_header(data)
    checksum = Checksum(data)
    # Either is worth something once the checksum is known to be right.
    found = native.read_table(data) if native else None
    table = _read_offset_table(data) if found is None and version in _UNCOMPRESSED else None
    is_checked = _verify_trailer(data, checksum)
    if version not in _VERSIONS:
        raise IndexUnsupportedError(f"index version {version} is not supported (2, 3 and 4 are)")
    if found is None:
        table = table or (_walk_compressed(data, count) if version == 4 else _walk(data, count))
        return _verified_in_python(data, table, version, is_checked=is_checked)
    packed_offsets, end = found
    _verify_extensions(data, end)
    offsets = array("I")
    offsets.frombytes(packed_offsets)
    return Index(data, offsets, None, end, is_checked=is_checked)


def _verified_in_python(data: bytes, table: _Table, version: int, *, is_checked: bool) -> Index:
    _verify_extensions(data, table.end)
    _verify_names(table)
    _verify_flags(data, table, version)
    _verify_ids(data, table)
    return _index_of(data, table, is_checked=is_checked)


def _decode_header(data: bytes) -> tuple[int, int]:
    if len(data) < HEADER.size + ID_LENGTH:
        raise IndexDamagedError(f"the index ends after {len(data)} bytes")
    if len(data) > MOST_BYTES:
        raise IndexUnsupportedError(f"an index of {len(data)} bytes is not supported")
    signature, version, count = HEADER.unpack_from(data)
    if signature != SIGNATURE or not version:
        raise IndexDamagedError("the file does not begin as a git index does")
    return version, count


def _verify_trailer(data: bytes, checksum: Checksum) -> bool:
    """Return whether the bytes are proven intact; an all-zero trailer (git's index.skipHash) proves nothing."""
    trailer = data[-ID_LENGTH:]
    if trailer == _UNCHECKED_TRAILER:
        return False
    if checksum.digest() != trailer:
        raise IndexDamagedError("the checksum is wrong")
    return True


def offset_table(data: bytes) -> "tuple[array[int], int] | None":
    """Return the offsets that IEOT gives and where the entries end, or None where there is no such table for each.

    Of the entries nothing is checked.
    """
    count = int.from_bytes(data[8:12], "big")
    end = _end_of_entries(data)
    block_table = end and _find_extension(data, end, b"IEOT")
    if not count or not end or not block_table or len(block_table) != 4 + 8 * count:
        return None
    blocks = array("I", block_table[4:])
    if sys.byteorder == "little":
        blocks.byteswap()
    offsets = blocks[0::2]
    if block_table[:4] != IEOT_VERSION or offsets[0] != HEADER.size or offsets[-1] >= end:
        return None
    return (offsets, end) if blocks[1::2] == array("I", [1]) * count else None


def _read_offset_table(data: bytes) -> _Table | None:
    """Return the entries by the offsets that IEOT gives, or None where there is no such table for every entry."""
    found = offset_table(data)
    if found is None:
        return None
    offsets, end = found[0].tolist(), found[1]
    return _entries_at(offsets, data, end) if all(map(lt, offsets, offsets[1:])) else None


def _entries_at(offsets: list[int], data: bytes, end: int) -> _Table | None:
    """Return the entries at these offsets, or None where they do not fill the space up to `end` exactly."""
    flags = list(struct.unpack(f">{len(offsets)}H", b"".join([data[o + 60 : o + 62] for o in offsets])))
    if max(flags) >= FLAG_NAME_LENGTH:
        return None
    ends = [*offsets[1:], end]
    padded = [data[o + 62 : o_end] for o, o_end in zip(offsets, ends, strict=True)]
    names = list(map(bytes.rstrip, padded, repeat(b"\0")))
    if list(map(len, names)) != flags or [(length + 70) & ~7 for length in flags] != list(map(sub, ends, offsets)):
        return None
    return _Table(offsets, names, flags, end)


def _end_of_entries(data: bytes) -> int | None:
    """Return the offset that EOIE gives for the end of the entries, if its hash over what follows is right."""
    start = len(data) - ID_LENGTH - EOIE_LENGTH - EXTENSION_HEADER.size
    if start < HEADER.size or EXTENSION_HEADER.unpack_from(data, start) != (b"EOIE", EOIE_LENGTH):
        return None
    end = int.from_bytes(data[start + 8 : start + 12], "big")
    if not HEADER.size <= end <= start:
        return None
    digest = sha1(usedforsecurity=False)
    offset = end
    while offset < start:
        digest.update(data[offset : offset + EXTENSION_HEADER.size])
        offset += EXTENSION_HEADER.size + int.from_bytes(data[offset + 4 : offset + 8], "big")
    if offset != start or digest.digest() != data[start + 12 : start + 12 + ID_LENGTH]:
        return None
    return end


def _find_extension(data: bytes, offset: int, wanted: bytes) -> bytes | None:
    limit = len(data) - ID_LENGTH
    while offset + EXTENSION_HEADER.size <= limit:
        signature, length = EXTENSION_HEADER.unpack_from(data, offset)
        offset += EXTENSION_HEADER.size
        if signature == wanted:
            return data[offset : offset + length]
        offset += length
    return None


def _walk(data: bytes, count: int) -> _Table:
    """Return the entries of version 2 or 3 by stepping from each to the next."""
    limit = len(data) - ID_LENGTH
    _verify_count(count, limit)
    table = _Table([], [], [], 0)
    offset = HEADER.size
    for _ in range(count):
        flags, start = _head_at(data, offset, limit)
        name = data[start : data.find(b"\0", start, limit)]
        _verify_name_length(name, flags)
        table.offsets.append(offset)
        table.names.append(name)
        table.flags.append(flags)
        offset += record_length(len(name), extended=bool(flags & FLAG_EXTENDED))
        if offset > limit:
            raise IndexDamagedError("an entry reaches beyond the end of the index")
    return table._replace(end=offset)


def _walk_compressed(data: bytes, count: int) -> _Table:
    """Return the entries of version 4: each path is the one before, cut short, and a new end."""
    limit = len(data) - ID_LENGTH
    _verify_count(count, limit)
    table = _Table([], [], [], 0)
    offset = HEADER.size
    name = b""
    for _ in range(count):
        flags, start = _head_at(data, offset, limit)
        strip_length, start = _decode_varint(data, start, limit)
        end = data.find(b"\0", start, limit)
        if end < 0 or strip_length > len(name):
            raise IndexDamagedError("a compressed path cannot be restored")
        name = name[: len(name) - strip_length] + data[start:end]
        _verify_name_length(name, flags)
        table.offsets.append(offset)
        table.names.append(name)
        table.flags.append(flags)
        offset = end + 1
    return table._replace(end=offset)


def _verify_count(count: int, limit: int) -> None:
    """Raise before anything is allocated for more entries than the bytes could hold."""
    if count > (limit - HEADER.size) // ENTRY_HEAD.size:
        raise IndexDamagedError(f"the index claims {count} entries, more than it has room for")


def _head_at(data: bytes, offset: int, limit: int) -> tuple[int, int]:
    """Return the flags of the entry at `offset`, and where the fixed part ends."""
    start = offset + ENTRY_HEAD.size
    if start + 2 > limit:
        raise IndexDamagedError("an entry reaches beyond the end of the index")
    flags = int.from_bytes(data[start - 2 : start], "big")
    return flags, start + 2 if flags & FLAG_EXTENDED else start


def _verify_name_length(name: bytes, flags: int) -> None:
    """Check that a name is as long as its flags say: readers differ in which of the two they go by."""
    if flags & FLAG_NAME_LENGTH != min(len(name), FLAG_NAME_LENGTH):
        raise IndexDamagedError("a path is not as long as its entry says")


def _decode_varint(data: bytes, offset: int, limit: int) -> tuple[int, int]:
    """Return the number in git's offset encoding (as in pack files, not LEB128), and where it ends."""
    value = data[offset] & 0x7F
    while data[offset] & 0x80:
        offset += 1
        if offset >= limit or value >= limit:
            raise IndexDamagedError("a compressed path cannot be restored")
        value = (value + 1) << 7 | data[offset] & 0x7F
    return value, offset + 1


def _verify_extensions(data: bytes, offset: int) -> None:
    """Check that extensions fill the space up to the trailer exactly, and that each may be passed over."""
    limit = len(data) - ID_LENGTH
    while offset < limit:
        if offset + EXTENSION_HEADER.size > limit:
            raise IndexDamagedError("an extension is cut short")
        signature, length = EXTENSION_HEADER.unpack_from(data, offset)
        if signature in (b"link", b"sdir"):
            kind = "split" if signature == b"link" else "sparse"
            raise IndexUnsupportedError(f"a {kind} index is not supported; turn it off in git and let it write again")
        if not signature[:1].isalpha():
            raise IndexDamagedError("an extension has no name")
        if not signature[:1].isupper():
            raise IndexUnsupportedError(f"the index needs the extension {signature!r}, which is not known here")
        offset += EXTENSION_HEADER.size + length
    if offset != limit:
        raise IndexDamagedError("an extension reaches beyond the end of the index")


def _verify_names(table: _Table) -> None:
    """Check that paths are valid, in order, without duplicates, and that none is a folder of another."""
    names = table.names
    if not names:
        return
    joined = b"\0".join(names)
    if joined.count(b"\0") != len(names) - 1 or not _have_valid_components(joined):
        raise IndexDamagedError("a path in the index is not valid")
    if not all(map(lt, names, names[1:])):
        stages = [(name, flags & FLAG_STAGE) for name, flags in zip(names, table.flags, strict=True)]
        if not all(starmap(lt, pairwise(stages))):
            raise IndexDamagedError("the entries are not in order")
    merged = names
    if max(table.flags) >= _LEAST_STAGE:
        merged = [name for name, flags in zip(names, table.flags, strict=True) if not flags & FLAG_STAGE]
    folders = list(folders_above(merged))
    # A few are searched for; for many, a set is quicker.
    if len(folders) <= len(merged) >> _SEARCHED_SHIFT:
        is_both = any(merged[bisect_left(merged, folder)] == folder for folder in folders)
    else:
        is_both = not set(merged).isdisjoint(folders)
    if is_both:
        raise IndexDamagedError("a path in the index is both a file and a folder")


def folders_above(names: "Iterable[bytes]") -> "Iterator[bytes]":
    """Yield the folders above some names; one far down, whose path is long, perhaps more than once."""
    seen: set[bytes] = set()
    for parent in {name.rpartition(b"/")[0] for name in names}:
        folder = parent
        while folder and folder not in seen:
            yield folder
            if len(folder) <= _REMEMBERED_BYTES:
                seen.add(folder)
            folder = folder.rpartition(b"/")[0]


def _verify_flags(data: bytes, table: _Table, version: int) -> None:
    """Check the second flag field: only from version 3 on, and only with bits that are known."""
    if max(table.flags, default=0) < FLAG_EXTENDED:
        return
    for offset, flags in zip(table.offsets, table.flags, strict=True):
        if flags & FLAG_EXTENDED:
            extended = int.from_bytes(data[offset + 62 : offset + 64], "big")
            if version == 2 or extended & ~_KNOWN_EXTENDED_FLAGS:
                raise IndexUnsupportedError(f"an entry has the flags {extended:#06x}, which are not known here")


def _verify_ids(data: bytes, table: _Table) -> None:
    """Check that no id is null, which stands for no content; git would not write such an entry anew either."""
    if NULL_ID in data and NULL_ID in [data[offset + 40 : offset + 60] for offset in table.offsets]:
        raise IndexDamagedError("an entry has no blob id")


def _index_of(data: bytes, table: _Table, *, is_checked: bool) -> Index:
    """Return the index; an entry of stage 1 to 3 is one side of a merge, says nothing of the file, and is left out."""
    if max(table.flags, default=0) < _LEAST_STAGE:
        end = None if data[7] == 4 else table.end
        return Index(data, array("I", table.offsets), table.names, end, is_checked=is_checked)
    merged = [place for place, flags in enumerate(table.flags) if not flags & FLAG_STAGE]
    names = [table.names[place] for place in merged]
    return Index(data, array("I", [table.offsets[place] for place in merged]), names, is_checked=is_checked)
