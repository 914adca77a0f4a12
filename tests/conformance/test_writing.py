"""What we write: read by git, dulwich and libgit2, verified by git, and written on by git."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pygit2
import pytest
from dulwich.index import Index as DulwichIndex
from hypothesis import example, given, settings

from bm_gitindex.errors import LockHeldError
from bm_gitindex.index.codec import decode
from bm_gitindex.index.encoding import encode, encode_entry
from bm_gitindex.index.entry import Entry
from bm_gitindex.index.stat import StatData
from bm_gitindex.indexlock import lock_index
from support import values
from support.beside import CLEAN
from support.values import entry, updated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.beside import Beside

SOME = values.SOME_ID.hex().encode()
READ_BY_OTHERS = settings(max_examples=20)


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda e: e.path)


# --- read by others --------------------------------------------------------------------------------------------------


@READ_BY_OTHERS
@given(entries=values.entries(max_size=8))
@example(entries=[])
@example(entries=[entry(b"l" * 5026), entry(b"m"), entry(b"n" * 4095), entry(b"o" * 4096)])
def test_f68_git_reads_what_is_written(both: Beside, entries: list[Entry]) -> None:
    assert both.read(encode(entries)) == (in_order(entries), in_order(entries))
    assert both.git.entries(index_threads=1) == in_order(entries)  # and git says nothing
    assert both.git.entries(index_threads=3) == in_order(entries)


@READ_BY_OTHERS
@given(entries=values.entries(max_size=8))
def test_f69_libgit2_reads_what_is_written(both: Beside, entries: list[Entry]) -> None:
    both.git.index.write_bytes(encode(entries))
    found = [(os.fsencode(e.path), str(e.id), int(e.mode)) for e in pygit2.Index(str(both.git.index))]
    assert found == [(e.path, e.blob_id.hex(), e.stat.mode) for e in in_order(entries)]


@READ_BY_OTHERS
@given(entries=values.entries(values.short_paths, max_size=8))
def test_f70_dulwich_reads_what_is_written(both: Beside, entries: list[Entry]) -> None:
    both.git.index.write_bytes(encode(entries))
    assert [_from_dulwich(path, e) for path, e in DulwichIndex(str(both.git.index)).items()] == in_order(entries)


def _from_dulwich(path: bytes, e: Any) -> Entry:
    stat = StatData._make((*e.ctime, *e.mtime, e.dev, e.ino, e.mode, e.uid, e.gid, e.size))
    bits = (e.flags & 0x8000, e.extended_flags & 0x4000, e.extended_flags & 0x2000)
    return Entry(path, stat, bytes.fromhex(e.sha.decode()), *map(bool, bits))


def test_f71_a_large_index_is_read_by_git_in_threads(both: Beside) -> None:
    entries = [entry(b"folder-%02d/note-%05d.md" % (n % 50, n)) for n in range(12_000)]
    both.git.index.write_bytes(encode(entries))
    assert both.git.entries(index_threads=4) == in_order(entries)


def test_f72_git_verifies_what_a_sync_wrote(both: Beside) -> None:
    for name in ("a.md", "sub/b.md", "sub/deep/c.pdf", "d.md"):
        both.write(name, name.encode())
    both.by_mtime().with_options(large_file_bytes=5).sync()
    both.remove("d.md")
    both.sync()
    both.lend()
    assert both.git_verifies() == ""
    assert [e.path for e in both.git.entries()] == [b"a.md", b"sub/b.md", b"sub/deep/c.pdf"]
    both.set_timestamp(4_000_000_000)
    assert both.answers() == (CLEAN, CLEAN, 0)
    assert both.suspects() == set()


# --- written by both in turn -----------------------------------------------------------------------------------------


def test_f73_git_writes_on_from_what_is_written_and_we_from_that(both: Beside) -> None:
    kept = [entry(b"a"), entry(b"c")._replace(skip_worktree=True), entry(b"d")._replace(intent_to_add=True)]
    both.git.index.write_bytes(encode(kept))
    both.git.cacheinfo(b"100644 " + SOME + b" 0\tb")
    index = decode(both.git.index.read_bytes())
    assert [index[e.path] for e in kept] == kept
    both.git.index.write_bytes(updated(index, {b"b": None, b"e": encode_entry(entry(b"e"))}))
    assert both.git.entries() == [*kept, entry(b"e")]


@pytest.mark.parametrize("version", [2, 4])
def test_f74_entries_that_git_wrote_are_written_again_as_they_are(both: Beside, version: int) -> None:
    for name in ("one.md", "sub/two.md", "sub/deep/three.md"):
        both.write(name, name.encode())
    both.git.add("one.md", "sub/two.md", "sub/deep/three.md")
    both.git("update-index", "--index-version", str(version))
    before = both.git.entries()
    index = decode(both.git.index.read_bytes())
    assert index.version == version
    assert both.read(updated(index, {})) == (before, before)


def test_f17_a_null_id_is_written_by_neither(both: Beside) -> None:
    done = both.git.run("update-index", "--add", "--cacheinfo", "100644," + "0" * 40 + ",a")
    assert done.returncode != 0
    assert b"null sha1" in done.stderr
    with pytest.raises(ValueError, match="blob id"):
        encode([entry(b"a", blob_id=bytes(20))])


# --- who may write ---------------------------------------------------------------------------------------------------


def test_r42_an_index_lock_keeps_either_from_writing_and_neither_from_reading(both: Beside) -> None:
    both.write("a.md")
    both.index()
    both.git.index = both.project.state.index  # both at one index: it is the lock that matters
    both.project.state.index_lock.write_bytes(b"git is writing")
    with pytest.raises(LockHeldError) as caught:
        both.sync()
    assert caught.value.exit_code == 4
    assert both.project.status().is_clean
    assert both.project.state.index_lock.read_bytes() == b"git is writing"
    both.project.state.index_lock.unlink()
    both.write("b.md", b"another")
    with lock_index(both.project.state, 0, "test"):
        done = both.git.run("update-index", "--add", "--info-only", "b.md")
        assert done.returncode == 128
        assert b"index.lock" in done.stderr
        assert [e.path for e in both.git.entries()] == [b"a.md"]
    both.git.add("b.md")
    assert list(both.project.read().index) == [b"a.md", b"b.md"]
