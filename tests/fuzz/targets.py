"""What is fuzzed: functions that take any bytes, and raise where a promise is broken.

Index, notes, ignore files and configuration come from outside, and may hold anything. A target feeds its bytes to one
of their readers, and holds what comes out against what the rest of the program relies on.
"""

from __future__ import annotations

import json
import struct
import time
from hashlib import sha1
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest import mock
from zlib import crc32

import pygit2

from bm_gitindex.config import options_from_toml
from bm_gitindex.entities.pathtext import path_to_text, text_to_path
from bm_gitindex.entities.rows import note_rows
from bm_gitindex.errors import BmGitIndexError, IndexDamagedError, IndexUnsupportedError
from bm_gitindex.ignore import IgnoreRules
from bm_gitindex.index import codec
from bm_gitindex.index.codec import decode
from bm_gitindex.index.compare import Baseline, Verdict, examine, examine_pointer
from bm_gitindex.index.encoding import encode_entry
from bm_gitindex.index.stat import Trust
from bm_gitindex.notes.links import alias_key, link_key, link_target
from bm_gitindex.notes.parser import parse_note
from bm_gitindex.notes.permalink import generate_permalink, title_from_path
from bm_gitindex.options import NoteBounds
from bm_gitindex.oracle.entries import indexed_files
from bm_gitindex.project import Project
from support.values import sealed, updated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bm_gitindex.index.entry import Entry, Index

    Target = Callable[[bytes], None]

SECONDS_PER_PAGE = 1.0
"""How long 4 KiB of anything may take, in processor time."""
_PAGE_BYTES = 4096
_BOUNDS = NoteBounds()
_TRUST = Trust(ctime=True, filemode=True, check_stat="default")
_WORTHLESS = Baseline(0xFFFF_FFFF, is_trusted=False)
_END_MARKER = struct.pack(">4sI", b"EOIE", 24)
_ONE_IN = 16
"""Of so many accepted indexes one is shown to libgit2, which reads files only."""


class BrokenPromiseError(AssertionError):
    """A reader let something through that it vouches for."""


def check(is_kept: bool, promise: str) -> None:
    """Raise where a promise is not kept. `assert` would vanish under -O."""
    if not is_kept:
        raise BrokenPromiseError(promise)


# --- the index -------------------------------------------------------------------------------------------------------


def index_reader(body: bytes) -> None:
    """Read an index, given without its trailer: as it is, then with every checksum put right.

    Only the checksums keep random damage out. With them put right, everything that is left to check is checked.
    """
    _read(body)
    for resealed in {sealed(body), sealed(_with_end_marker_mended(body))}:
        index = _read(resealed)
        if index is not None:
            check_index(resealed, index)


def _read(data: bytes) -> Index | None:
    """Return the index, None where it is refused; whichever way it is read, it must be the same."""
    compiled = _outcome(data)
    with mock.patch.object(codec, "native", None):
        by_table = _outcome(data)
        with mock.patch.object(codec, "_read_offset_table", return_value=None):
            walked = _outcome(data)
    for index in (compiled, by_table):
        if isinstance(index, type) or isinstance(walked, type):
            check(index is walked, f"one way {index}, by walking {walked}")
            continue
        check(list(index.items()) == list(walked.items()), "one way finds other entries than another")
        check((index.trailer, index.is_checked) == (walked.trailer, walked.is_checked), "two ways differ")
    return None if isinstance(compiled, type) else compiled


def _outcome(data: bytes) -> Index | type[BmGitIndexError]:
    try:
        return decode(data)
    except (IndexDamagedError, IndexUnsupportedError) as error:
        return type(error)


def check_index(data: bytes, index: Index) -> None:
    """Raise unless everything holds that the rest of the program takes for granted of an index that was accepted."""
    paths = list(index)
    check(paths == sorted(set(paths)), "paths are not in order")
    for entry in index.values():
        _check_entry(entry, index)
    check(list(decode(updated(index, {})).items()) == list(index.items()), "written anew it is another index")
    indexed_files(data, index)  # dulwich, which may raise one error of its own, and must not read something else
    if crc32(data) % _ONE_IN == 0:
        _compare_with_libgit2(data, index)


def _check_entry(entry: Entry, index: Index) -> None:
    check(codec.is_valid_path(entry.path), "not a path for an index")
    check(index.stat_fields(entry.path) == entry.stat, "two ways to the stat fields")
    again = decode(updated(index, {entry.path: encode_entry(entry.with_size_zero())}))
    check(again[entry.path] == entry.with_size_zero(), "a smudged entry is another one")
    verdicts = {
        examine(entry, entry.stat, entry.tracking, _WORTHLESS, _TRUST),
        examine_pointer(entry, entry.stat, entry.blob_id, _WORTHLESS, _TRUST),
    }
    check(Verdict.CLEAN not in verdicts, "an index that proves nothing proves a file clean")


class _LibGit2Index(pygit2.Index):
    """Its destructor fails where its constructor did."""

    def __del__(self) -> None:
        if hasattr(self, "_index"):
            super().__del__()


def _compare_with_libgit2(data: bytes, index: Index) -> None:
    with TemporaryDirectory(prefix="bm-gitindex-") as folder:
        path = Path(folder, "index")
        path.write_bytes(data)
        try:
            theirs = {entry.path: entry.id.raw for entry in _LibGit2Index(str(path))}
        except (pygit2.GitError, UnicodeDecodeError, ValueError):
            return  # what it refuses, or cannot show
    ours = {path.decode("utf-8", "surrogateescape"): entry.blob_id for path, entry in index.items()}
    check({path: blob_id for path, blob_id in theirs.items() if path in ours} == ours, "libgit2 reads something else")


def _with_end_marker_mended(body: bytes) -> bytes:
    """Return an index, without its trailer, in which EOIE's hash is that of the extensions before it."""
    start = len(body) - len(_END_MARKER) - 24
    if start < 12 or not body.startswith(_END_MARKER, start):
        return body
    offset = int.from_bytes(body[start + 8 : start + 12], "big")
    digest = sha1(usedforsecurity=False)
    while 0 < offset < start:
        digest.update(body[offset : offset + 8])
        offset += 8 + int.from_bytes(body[offset + 4 : offset + 8], "big")
    return body[:-20] + digest.digest()


# --- notes -----------------------------------------------------------------------------------------------------------


def note_parser(data: bytes) -> None:
    """Parse a note: never an error, in bounded time, to what can be stored, and is not much more than what went in."""
    started_s = time.thread_time()
    note = parse_note(data, _BOUNDS)
    rows = note_rows(note)
    spent_s = time.thread_time() - started_s
    check(spent_s <= SECONDS_PER_PAGE * (1 + len(data) // _PAGE_BYTES), f"{spent_s:.1f} s for {len(data)} bytes")
    stored = [*_strings(note), *_strings([rows.observations, rows.relations])]
    for text in stored:
        check("\0" not in text, "NUL in a text")
        text.encode()  # half of a surrogate pair has no UTF-8
    json.dumps(dict(note.metadata), allow_nan=False)
    # Twice for the rows, which say everything once more, with keys and aliases; and the header with its aliases.
    limit = 40 * len(data) + 4 * _BOUNDS.front_matter_max_bytes
    check(sum(map(len, stored)) <= limit, f"{sum(map(len, stored))} characters of {len(data)} bytes")
    for moment in (note.created, note.modified):
        check(moment is None or moment.utcoffset() is not None, "a time without a zone")
    check(parse_note(data, _BOUNDS) == note, "parsed twice, it says two things")


def _strings(value: object) -> Iterator[str]:
    """Yield every text in a value of any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(key)
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from _strings(getattr(value, name))


# --- ignore files, configuration, names ------------------------------------------------------------------------------


def ignore_rules(data: bytes) -> None:
    """Read an ignore file, and ask it of paths that its own text suggests: never an error, in bounded time."""
    started_s = time.thread_time()
    rules = IgnoreRules().with_gitignore(b"", data)
    nested = rules.with_gitignore(b"a/", data)
    candidates = {b"a", b"a/b", b"a/", data[:200].replace(b"\n", b"/").replace(b"\0", b"").strip(b"/")}
    candidates |= {line.strip(b"/!") for line in data.split(b"\n")[:4]}
    for path in filter(None, candidates):
        for one in (path, path + b"/", b"a/" + path):
            rules.is_ignored(one)
            nested.is_ignored(b"a/" + one)
    spent_s = time.thread_time() - started_s
    check(spent_s <= SECONDS_PER_PAGE * (1 + len(data) // _PAGE_BYTES), f"{spent_s:.1f} s for {len(data)} bytes")


def configuration(data: bytes) -> None:
    """Read a configuration file: options, or an error of ours in one line; and a project can be made with them."""
    try:
        options = options_from_toml(data)
        with TemporaryDirectory(prefix="bm-gitindex-") as root:
            Project(root, options).status()
    except BmGitIndexError as error:
        check(bool(str(error)), "an error without a word")


def names(data: bytes) -> None:
    """Turn bytes that could be a path, and a link, into titles, permalinks and keys, all of which can be stored."""
    path = b"/".join(part for part in data.replace(b"\0", b"").split(b"/") if part)
    text = path_to_text(path)
    check(text_to_path(text) == path, "a path that is not what its text says")
    shown = data.decode("utf-8", "replace")
    derived = [title_from_path(path), link_target(shown), generate_permalink(shown), link_key(shown), alias_key(shown)]
    for value in [text, *derived]:
        value.encode()
    check("\0" not in derived[0], "NUL in a title")


TARGETS: dict[str, Target] = {
    target.__name__: target for target in (index_reader, note_parser, ignore_rules, configuration, names)
}
