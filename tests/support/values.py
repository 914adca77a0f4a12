"""Literals and strategies: stat data, entries, and index bytes put together by hand."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from bm_gitindex.index.codec import is_valid_path
from bm_gitindex.index.encoding import Encoded, update
from bm_gitindex.index.entry import ID_LENGTH, Entry, Index
from bm_gitindex.index.records import Records
from bm_gitindex.index.stat import MODE_EXECUTABLE, MODE_REGULAR, StatData
from bm_gitindex.survey import Survey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NS = 1_000_000_000
SOME_ID = bytes(range(1, 21))
HELLO_ID = bytes.fromhex("ce013625030ba8dba906f756967f9e9ca394464a")
"""Of `hello\\n`."""


@dataclass(frozen=True)
class FakeStat:
    """What `os.stat_result` shows of a regular file, in the system's own widths."""

    st_mode: int = 0o100644
    st_ino: int = 7
    st_dev: int = 1
    st_uid: int = 1000
    st_gid: int = 1000
    st_size: int = 6
    st_mtime_ns: int = 500 * NS + 5
    st_ctime_ns: int = 600 * NS + 6
    st_flags: int = 0
    st_file_attributes: int = 0


STAT = StatData(
    ctime_s=600, ctime_ns=6, mtime_s=500, mtime_ns=5, dev=1, ino=7, mode=MODE_REGULAR, uid=1000, gid=1000, size=6
)
"""The fields of `FakeStat()`."""


def updated(index: Index, changes: Mapping[bytes, bytes | None]) -> bytes:
    """Return the bytes of an index that differs from `index` by these encoded entries."""
    return bytes(update(index, Records(changes)))


def as_encoded(data: bytes) -> Encoded:
    """Return bytes, right or wrong, as what a lock puts in the index's place."""
    return Encoded([data[:-ID_LENGTH]], data[-ID_LENGTH:])


def survey_of(**fields: object) -> Survey:
    """Return a survey that found this."""
    made = Survey()
    for name, value in fields.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return made


ZERO_STAT = StatData(
    ctime_s=0, ctime_ns=0, mtime_s=0, mtime_ns=0, dev=0, ino=0, mode=MODE_REGULAR, uid=0, gid=0, size=0
)
"""Of an entry whose file nobody looked at."""


def entry(path: bytes = b"f.md", blob_id: bytes = SOME_ID, **fields: int) -> Entry:
    """Return an entry whose stat is `STAT`, some fields replaced."""
    return Entry(path, STAT._replace(**fields), blob_id)


def sealed(body: bytes) -> bytes:
    """Return index bytes with the trailer that belongs to them."""
    return body + sha1(body, usedforsecurity=False).digest()


def header(count: int, version: int = 2) -> bytes:
    return struct.pack(">4sII", b"DIRC", version, count)


def extension(signature: bytes, data: bytes) -> bytes:
    return struct.pack(">4sI", signature, len(data)) + data


def record(path: bytes, flags: int = 0, extended: int | None = None) -> bytes:
    """Return an entry of version 2 or 3 as gitformat-index(5) has it, whatever its path."""
    flags |= min(len(path), 0xFFF) | (0x4000 if extended is not None else 0)
    body = struct.pack(">10I20sH", *STAT, SOME_ID, flags)
    body += (b"" if extended is None else struct.pack(">H", extended)) + path
    return body + bytes(8 - len(body) % 8)


def compressed_record(strip: bytes, end: bytes, kept: int = 0) -> bytes:
    """Return an entry of version 4: its strip length as it is encoded, which keeps so much of the path before it."""
    return struct.pack(">10I20sH", *STAT, SOME_ID, kept + len(end)) + strip + end + b"\0"


def without_folders(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries of which none is a folder of another, and no two have one path."""
    chosen: dict[bytes, Entry] = {}
    folders: set[bytes] = set()
    for candidate in entries:
        parts = candidate.path.split(b"/")
        parents = {b"/".join(parts[:count]) for count in range(1, len(parts))}
        if candidate.path not in folders and not parents & chosen.keys():
            chosen[candidate.path] = candidate
            folders |= parents
    return list(chosen.values())


_u32 = st.integers(0, 0xFFFF_FFFF) | st.sampled_from([0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
_any_byte_name = st.binary(min_size=1, max_size=24).map(lambda name: name.replace(b"\0", b"n"))
_plain_name = st.text(st.sampled_from("ab.- é"), min_size=1, max_size=6).map(str.encode)
_long_name = st.builds(lambda length, end: b"l" * length + end, st.integers(4080, 4110), _plain_name)
short_paths = st.lists(_plain_name | _any_byte_name, min_size=1, max_size=4).map(b"/".join).filter(is_valid_path)
paths = short_paths | st.builds(lambda a, b: a + b"/" + b, short_paths, _long_name).filter(is_valid_path)

stats = st.builds(
    StatData,
    ctime_s=_u32,
    ctime_ns=st.integers(0, NS - 1),
    mtime_s=_u32,
    mtime_ns=st.integers(0, NS - 1),
    dev=_u32,
    ino=_u32,
    mode=st.sampled_from([MODE_REGULAR, MODE_EXECUTABLE]),
    uid=_u32,
    gid=_u32,
    size=_u32,
)
blob_ids = st.binary(min_size=20, max_size=20).filter(any)


_no = st.just(False)


def entries(
    path: st.SearchStrategy[bytes] = paths, *, flag: st.SearchStrategy[bool] | None = None, **sizes: int
) -> st.SearchStrategy[list[Entry]]:
    """Return a strategy for lists of entries that one index may hold, in any order."""
    flag = st.booleans() if flag is None else flag
    one = st.builds(Entry, path, stats, blob_ids, flag, flag, flag)
    return st.lists(one, min_size=sizes.get("min_size", 0), max_size=sizes["max_size"]).map(without_folders)


def plain_entries(*, min_size: int, max_size: int) -> st.SearchStrategy[list[Entry]]:
    """Return a strategy for entries without any flag, whose names are short."""
    return entries(short_paths, flag=_no, min_size=min_size, max_size=max_size)
