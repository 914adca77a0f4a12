"""What follows the entries: extensions that are passed over, used, dropped or refused."""

from __future__ import annotations

import struct
from hashlib import sha1
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from bm_gitindex.errors import IndexDamagedError, IndexUnsupportedError
from bm_gitindex.index import codec
from bm_gitindex.index.codec import decode
from bm_gitindex.index.encoding import encode
from support.beside import as_we_read, paths_read
from support.git import Git
from support.values import HELLO_ID, entry, extension, header, record, sealed, updated

if TYPE_CHECKING:
    from pathlib import Path

    from support.beside import Beside

HELLO = HELLO_ID.hex().encode()
ENTRIES = [entry(b"a"), entry(b"bb/c"), entry(b"bb/d")]
ENTRY_BYTES = b"".join(record(e.path) for e in ENTRIES)
FIRST, SECOND, THIRD, END = 12, 12 + 64, 12 + 64 + 72, 12 + len(ENTRY_BYTES)
OFFSETS = [FIRST, SECOND, THIRD]


def extensions_of(data: bytes) -> list[bytes]:
    """Return the names of the extensions of an index whose entries end where EOIE says, or at once."""
    offset = END if len(decode(data)) == len(ENTRIES) else data.rindex(b"IEOT")
    found = []
    while offset < len(data) - 20:
        name, length = struct.unpack_from(">4sI", data, offset)
        found.append(name)
        offset += 8 + length
    return found


# --- unknown ones ----------------------------------------------------------------------------------------------------


def test_f12_an_unknown_extension_is_passed_over_if_upper_case_and_refused_if_lower(both: Beside) -> None:
    upper, lower = (sealed(header(1) + record(b"a") + extension(name, b"x")) for name in (b"XYZW", b"xyzw"))
    read = both.read(upper)
    assert paths_read(read.git) == paths_read(read.ours) == [b"a"]
    read = both.read(lower)
    assert "extension" in str(read.git)
    assert read.ours is IndexUnsupportedError


def test_f52_an_extension_that_is_passed_over_is_not_written_again(both: Beside) -> None:
    data = sealed(header(3) + ENTRY_BYTES + extension(b"XYZW", b"x"))
    both.git.index.write_bytes(updated(decode(data), {}))
    assert extensions_of(both.git.index.read_bytes()) == [b"IEOT", b"EOIE"]
    assert both.git.entries() == ENTRIES


@pytest.mark.parametrize("rest", [b"XYZW", extension(b"XYZW", b"x" * 9)[:-1], struct.pack(">4sI", b"XYZW", 2**32 - 1)])
def test_f53_an_extension_that_ends_beyond_the_index_is_damage(both: Beside, rest: bytes) -> None:
    read = both.read(sealed(header(1) + record(b"a") + rest))
    assert read.ours is IndexDamagedError
    assert paths_read(read.git) == [b"a"]


# --- those of git's cleverness ---------------------------------------------------------------------------------------


def test_f54_what_git_keeps_beside_the_entries_is_dropped_on_write(both: Beside) -> None:
    """TREE, UNTR, FSMN and REUC would be stale: a stale cache tree or untracked cache gives wrong answers."""
    both.write("a.md")
    both.write("sub/b.md", b"another")
    both.git.cacheinfo(*(b"100644 %s %d\ta.md" % (HELLO, stage) for stage in (1, 2, 3)))
    both.git("add", "a.md", "sub/b.md")
    both.git("write-tree")
    both.git("update-index", "--untracked-cache")
    both.git("status", "--porcelain")
    both.git.run("update-index", "--fsmonitor")
    data = both.git.index.read_bytes()
    kept = [name for name in (b"TREE", b"UNTR", b"FSMN", b"REUC") if name in data]
    assert kept == [b"TREE", b"UNTR", b"FSMN", b"REUC"]
    before = both.git.entries()
    assert as_we_read(data) == before
    ours = updated(decode(data), {})
    assert not any(name in ours for name in kept)
    both.git.index.write_bytes(ours)
    assert both.git.entries() == before
    both.git("write-tree")


def test_f24_a_split_index_is_refused(both: Beside) -> None:
    both.git.cacheinfo(b"100644 " + HELLO + b" 0\ta")
    both.git("update-index", "--split-index")
    assert paths_read(both.as_git_reads()) == [b"a"]
    assert as_we_read(both.git.index.read_bytes()) is IndexUnsupportedError
    with pytest.raises(IndexUnsupportedError, match="split"):
        decode(both.git.index.read_bytes())


def test_f55_a_sparse_index_is_refused(tmp_path: Path) -> None:
    """This needs commits, and so a repository of its own."""
    tree = tmp_path / "tree"
    git = Git(tree / ".git", tree / ".git" / "index", tree)
    for name in ("keep/a.md", "away/b.md", "away/c.md"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(name)
    git("add", "keep", "away")
    git("commit", "-qm", "x", user_name="t", user_email="t@example.org")
    git.run("sparse-checkout", "set", "--cone", "--sparse-index", "keep", core_repositoryformatversion=1)
    assert b"sdir" in git.index.read_bytes()
    with pytest.raises(IndexUnsupportedError, match="sparse"):
        decode(git.index.read_bytes())


# --- the table of offsets --------------------------------------------------------------------------------------------


def offset_table(offsets: list[int], counts: list[int] | None = None, table_version: int = 1) -> bytes:
    counts = counts or [1] * len(offsets)
    blocks = [number for block in zip(offsets, counts, strict=True) for number in block]
    return extension(b"IEOT", struct.pack(f">{1 + len(blocks)}I", table_version, *blocks))


def end_marker(others: bytes, end: int = END, wrong: bytes = b"") -> bytes:
    """Return EOIE as it belongs after other extensions, of which there is one at most."""
    return extension(b"EOIE", struct.pack(">I", end) + (wrong or sha1(others[:8], usedforsecurity=False).digest()))


def both_walk(both: Beside, data: bytes, threads: int) -> None:
    """Let both read an index, and show that ours went from entry to entry."""
    with mock.patch.object(codec, "native", None), mock.patch.object(codec, "_walk", wraps=codec._walk) as walk:
        assert both.read(data, index_threads=threads) == (ENTRIES, ENTRIES)
    assert walk.called


def index_with(extensions: bytes) -> bytes:
    return sealed(header(3) + ENTRY_BYTES + extensions)


@pytest.mark.parametrize("threads", [1, 3])
def test_f16_the_offset_extensions_are_of_gits_shape(both: Beside, threads: int) -> None:
    both.git.index.write_bytes(encode(ENTRIES))
    both.git.cacheinfo(b"100644 " + HELLO + b" 0\tz", index_threads=3)
    by_git = both.git.index.read_bytes()
    for data in (by_git, updated(decode(by_git), {})):
        table_at = data.rindex(b"IEOT")
        end_at = len(data) - 20 - 32
        assert data[end_at : end_at + 8] == b"EOIE" + struct.pack(">I", 24)
        assert int.from_bytes(data[end_at + 8 : end_at + 12], "big") == table_at
        assert data[end_at + 12 : end_at + 32] == sha1(data[table_at : table_at + 8], usedforsecurity=False).digest()
        read = both.read(data, index_threads=threads)
        assert read.git == read.ours
        assert len(paths_read(read.ours)) == 4
        assert both.git_verifies() == ""


@pytest.mark.parametrize(
    "extensions",
    [
        pytest.param(offset_table(OFFSETS), id="IEOT without EOIE"),
        pytest.param(end_marker(b""), id="EOIE without IEOT"),
        pytest.param(end_marker(b"") + extension(b"TREE", b""), id="EOIE before the end"),
    ],
)
def test_f56_one_offset_extension_without_the_other_is_passed_over(both: Beside, extensions: bytes) -> None:
    both_walk(both, index_with(extensions), threads=3)


@pytest.mark.parametrize(
    "marker",
    [
        pytest.param(end_marker(b"", wrong=b"w" * 20), id="wrong hash"),
        pytest.param(end_marker(offset_table(OFFSETS), END + 8), id="too far"),
        pytest.param(end_marker(offset_table(OFFSETS), END - 8), id="too near"),
        pytest.param(end_marker(offset_table(OFFSETS), 2**32 - 1), id="beyond the index"),
    ],
)
def test_f57_an_end_marker_that_is_wrong_is_not_believed(both: Beside, marker: bytes) -> None:
    both_walk(both, index_with(offset_table(OFFSETS) + marker), threads=3)


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(offset_table(OFFSETS, table_version=2), id="another table version"),
        pytest.param(offset_table([FIRST, SECOND + 8, THIRD]), id="between entries"),
        pytest.param(offset_table([FIRST, THIRD, SECOND]), id="descending"),
        pytest.param(offset_table([FIRST, FIRST, FIRST]), id="one offset for all"),
        pytest.param(offset_table([FIRST, SECOND]), id="too few"),
        pytest.param(offset_table([FIRST, SECOND, 2**32 - 1]), id="beyond the index"),
        pytest.param(offset_table([FIRST, 2**32 - 1, THIRD]), id="beyond the index and back"),
        pytest.param(offset_table([SECOND, THIRD, FIRST]), id="first is not the first"),
        pytest.param(offset_table([FIRST], [3]), id="one block for all"),
        pytest.param(offset_table([FIRST, SECOND], [1, 2]), id="unequal blocks"),
        pytest.param(offset_table(OFFSETS, [1, 1, 2]), id="a block that reaches too far"),
    ],
)
def test_f58_an_offset_table_that_is_wrong_is_not_believed(both: Beside, table: bytes) -> None:
    """git with threads follows such a table wherever it leads; with one thread it has no use for it."""
    both_walk(both, index_with(table + end_marker(table)), threads=1)


def test_f75_an_offset_table_that_is_right_is_used(both: Beside) -> None:
    data = index_with(offset_table(OFFSETS) + end_marker(offset_table(OFFSETS)))
    with mock.patch.object(codec, "_walk", side_effect=AssertionError("walked")):
        assert both.read(data, index_threads=3) == (ENTRIES, ENTRIES)


def test_f76_an_offset_table_does_not_hide_an_entry_before_the_first(both: Beside) -> None:
    table = offset_table(OFFSETS[1:])
    read = both.read(sealed(header(2) + ENTRY_BYTES + table + end_marker(table)), index_threads=1)
    assert "extension" in str(read.git)
    assert read.ours is IndexDamagedError


def test_f59_an_offset_table_is_covered_by_the_checksum_alone(both: Beside) -> None:
    data = index_with(offset_table(OFFSETS) + end_marker(offset_table(OFFSETS)))
    at = data.index(b"IEOT") + 16
    damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    assert both.read(damaged, index_threads=1) == (ENTRIES, IndexDamagedError)
