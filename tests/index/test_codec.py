"""The index format, with git, dulwich and libgit2 as second readers."""

from __future__ import annotations

import os
import struct
from hashlib import sha1
from typing import TYPE_CHECKING, Any
from unittest import mock

import pygit2
import pytest
from dulwich.index import Index as DulwichIndex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bm_gitindex.errors import IndexDamagedError, IndexUnsupportedError
from bm_gitindex.index import codec
from bm_gitindex.index.codec import decode, encode, encode_entry, is_valid_path, update
from bm_gitindex.index.entry import Entry, Index
from bm_gitindex.index.stat import StatData
from support import values
from support.git import Git
from support.values import compressed_record, entry, extension, header, record, sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BAD_PATHS = [
    *(b".git/x", b"a/.git", b".git", b".GIT/x", b"a/.Git/b", b"../x", b"a/..", b"..", b"a//b", b"./a", b"a/.", b"."),
    *(b"/a", b"dir/", b"/", b"", b"a\0b"),
]


def listed(index: Index) -> list[Entry]:
    return [index[path] for path in index]


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda e: e.path)


def decode_by_walking(data: bytes) -> Index:
    with mock.patch.object(codec, "_read_offset_table", return_value=None):
        return decode(data)


def outcome(read: Callable[[bytes], Index], data: bytes) -> object:
    """Return what a reader makes of the bytes: entries, or the class of the error."""
    try:
        return listed(read(data))
    except (IndexDamagedError, IndexUnsupportedError) as error:
        return type(error)


@pytest.fixture
def beside(tmp_path: Path) -> Git:
    """git with an index of its own."""
    (tmp_path / "tree").mkdir()
    return Git(tmp_path / "git", tmp_path / "index", tmp_path / "tree")


# --- round trip ------------------------------------------------------------------------------------------------------


@given(values.entries(max_size=8))
@example([])
def test_what_is_encoded_is_decoded(entries: list[Entry]) -> None:
    assert listed(decode(encode(entries))) == in_order(entries)


@given(values.entries(max_size=6), values.entries(max_size=6), st.data())
def test_update_equals_encoding_the_merged_entries(old: list[Entry], new: list[Entry], data: st.DataObject) -> None:
    merged = {e.path: e for e in values.without_folders([*old, *new])}
    base = [e for e in old if e.path in merged]
    changes: dict[bytes, Entry | None] = {e.path: e for e in new if e.path in merged}
    gone = data.draw(st.sets(st.sampled_from([e.path for e in base]))) if base else set()
    changes |= dict.fromkeys(gone)
    expected = {e.path: e for e in base} | changes
    encoded = {path: e and encode_entry(e) for path, e in changes.items()}
    assert update(decode(encode(base)), encoded) == encode([e for e in expected.values() if e])


def test_update_without_changes_gives_the_same_bytes() -> None:
    data = encode([entry(b"b"), entry(b"a")])
    assert update(decode(data), {}) == data


def test_leaving_out_a_path_that_is_not_there_is_no_error() -> None:
    data = encode([entry(b"a")])
    assert update(decode(data), {b"b": None}) == data


@pytest.mark.parametrize("length", range(1, 17))
def test_f06_every_name_length_is_padded_with_one_to_eight_nul(length: int) -> None:
    data = encode([entry(b"n" * length)])
    end = int.from_bytes(data[-44:-40], "big")
    assert (end - 12) % 8 == 0
    assert 1 <= end - 12 - 62 - length <= 8
    assert list(decode(data)) == [b"n" * length]


def test_f10_order_is_by_bytes() -> None:
    names = [b"a-b", b"a.md", b"a/b", b"a0", b"b\x7f", b"b\xff"]
    assert list(decode(encode([entry(name) for name in reversed(names)]))) == names


def test_f21_names_that_look_alike_stay_different() -> None:
    names = [b"e\xcc\x81", b"\xc3\xa9", b"\xe9"]
    assert set(decode(encode([entry(name) for name in names]))) == set(names)


def test_version_is_3_only_while_an_entry_is_extended() -> None:
    extended = decode(encode([entry(b"a")._replace(skip_worktree=True), entry(b"b")]))
    assert extended.version == 3
    assert decode(update(extended, {b"a": encode_entry(entry(b"a"))})).version == 2  # R37
    assert decode(update(extended, {b"a": None})).version == 2


def test_index_is_a_mapping_and_reads_fields_without_an_entry() -> None:
    index = decode(encode([entry(b"a"), entry(b"b")._replace(skip_worktree=True)]))
    assert len(index) == 2
    assert b"a" in index
    assert b"c" not in index
    assert index.stat_fields(b"a") == tuple(values.STAT)
    assert index.stat_fields(b"c") is None
    assert (index.is_extended(b"a"), index.is_extended(b"b")) == (False, True)
    with pytest.raises(KeyError):
        index[b"c"]


# --- what may not be written -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BAD_PATHS)
def test_f18_a_path_that_git_forbids_is_neither_written_nor_read(path: bytes) -> None:
    assert not is_valid_path(path)
    with pytest.raises(ValueError, match="path"):
        encode([entry(path)])
    with pytest.raises(IndexDamagedError):
        decode(sealed(header(1) + record(path)))


@pytest.mark.parametrize("path", [b"a.git", b".gitx/a", b"...", b"a/...", b"..a", b".", b"a/.git"])
def test_validity_of_a_path_is_what_git_says_it_is(path: bytes, beside: Git) -> None:
    line = b"100644 " + values.SOME_ID.hex().encode() + b" 0\t" + path + b"\0"
    done = beside.run("update-index", "-z", "--index-info", stdin=line)
    was_stored = done.returncode == 0 and path in [e.path for e in beside.entries()]
    assert is_valid_path(path) == was_stored


@pytest.mark.parametrize("blob_id", [bytes(20), b"", b"x" * 19, b"x" * 32])
def test_f17_a_null_or_misshapen_id_is_never_stored(blob_id: bytes) -> None:
    with pytest.raises(ValueError, match="blob id"):
        encode([entry(blob_id=blob_id)])


def test_f19_a_file_and_a_folder_of_one_name_are_not_read() -> None:
    for names in ([b"a", b"a/b"], [b"a", b"a.md", b"a/b/c"]):
        with pytest.raises(IndexDamagedError):
            decode(sealed(header(len(names)) + b"".join(map(record, names))))


def test_f19_a_file_and_a_folder_of_one_name_are_not_written() -> None:
    with pytest.raises(ValueError, match="folder"):
        update(decode(encode([entry(b"a")])), {b"a/b": encode_entry(entry(b"a/b"))})
    with pytest.raises(ValueError, match="folder"):
        update(decode(encode([entry(b"a/b/c")])), {b"a": encode_entry(entry(b"a"))})


@pytest.mark.parametrize(("old", "new"), [(b"a", b"a/b"), (b"a/b/c", b"a")])
def test_f19_a_file_gives_way_to_a_folder_of_its_name_and_back(old: bytes, new: bytes) -> None:
    data = update(decode(encode([entry(old)])), {old: None, new: encode_entry(entry(new))})
    assert list(decode(data)) == [new]


# --- ours, read by others --------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(entries=values.entries(max_size=8))
@example(entries=[])
@example(entries=[entry(b"l" * 5026), entry(b"m"), entry(b"n" * 4095), entry(b"o" * 4096)])
def test_git_reads_what_is_written(beside: Git, entries: list[Entry]) -> None:
    beside.index.write_bytes(encode(entries))
    assert beside.entries() == in_order(entries)
    assert beside.entries(index_threads=3) == in_order(entries)


@settings(max_examples=25)
@given(entries=values.entries(max_size=8))
def test_libgit2_reads_what_is_written(beside: Git, entries: list[Entry]) -> None:
    beside.index.write_bytes(encode(entries))
    found = [(os.fsencode(e.path), str(e.id), int(e.mode)) for e in pygit2.Index(str(beside.index))]
    assert found == [(e.path, e.blob_id.hex(), e.stat.mode) for e in in_order(entries)]


@settings(max_examples=25)
@given(entries=values.entries(values.short_paths, max_size=8))
def test_dulwich_reads_what_is_written(beside: Git, entries: list[Entry]) -> None:
    beside.index.write_bytes(encode(entries))
    assert [_from_dulwich(path, e) for path, e in DulwichIndex(str(beside.index)).items()] == in_order(entries)


def _from_dulwich(path: bytes, e: Any) -> Entry:
    stat = StatData._make((*e.ctime, *e.mtime, e.dev, e.ino, e.mode, e.uid, e.gid, e.size))
    bits = (e.flags & 0x8000, e.extended_flags & 0x4000, e.extended_flags & 0x2000)
    return Entry(path, stat, bytes.fromhex(e.sha.decode()), *map(bool, bits))


def test_git_verifies_the_checksum_that_is_written(beside: Git) -> None:
    data = encode([entry(b"a")])
    beside.index.write_bytes(data)
    assert b"index file" not in beside.run("fsck", "--no-dangling").stderr
    beside.index.write_bytes(data[:40] + b"\x55" + data[41:])
    assert b"index file" in beside.run("fsck", "--no-dangling").stderr


def test_git_writes_on_from_what_is_written(beside: Git) -> None:
    kept = [entry(b"a"), entry(b"c")._replace(skip_worktree=True)]
    beside.index.write_bytes(encode(kept))
    beside.cacheinfo(b"100644 " + values.SOME_ID.hex().encode() + b" 0\tb")
    index = decode(beside.index.read_bytes())
    assert [index[b"a"], index[b"c"]] == kept
    assert b"b" in index


def test_a_large_index_is_read_by_git_in_threads(beside: Git) -> None:
    entries = [entry(b"folder-%02d/note-%05d.md" % (n % 50, n)) for n in range(12_000)]
    beside.index.write_bytes(encode(entries))
    assert len(beside.entries(index_threads=4)) == 12_000


# --- git's, read by us -----------------------------------------------------------------------------------------------

GIT_NAMES = [
    *(
        b"a-b",
        b"a.md",
        b"a/b",
        b"a0",
        b"b\x7f",
        b"b\xff",
        b"caf\xc3\xa9/e\xcc\x81",
        b"raw\xe9",
        b"line\nbreak",
        b"t\ttab",
    ),
    *(b"deep/" * 60 + b"leaf", b"deep/" * 60 + b"leaf2", b"z" * 200, b"z" * 199 + b"y/" + b"w" * 120),
    *(b"n" * length for length in range(1, 17)),
]


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize("threads", [1, 3])
def test_what_git_writes_is_read(beside: Git, version: int, threads: int) -> None:
    lines = [b"100%s %040x 0\t%s" % (b"755" if n % 3 else b"644", n + 1, name) for n, name in enumerate(GIT_NAMES)]
    beside.cacheinfo(*lines)
    beside("update-index", "--index-version", str(version), index_threads=threads)
    beside("update-index", "--assume-unchanged", "a.md", index_threads=threads)
    if version != 2:
        beside("update-index", "--skip-worktree", "a0", index_threads=threads)
    index = decode(beside.index.read_bytes())
    assert index.version == version
    assert listed(index) == beside.entries()
    assert sum(e.assume_valid for e in listed(index)) == 1
    assert sum(e.skip_worktree for e in listed(index)) == (version != 2)


@pytest.mark.parametrize("version", [2, 4])
def test_real_files_with_their_stat_are_read(beside: Git, version: int) -> None:
    for name in ("one.md", "sub/two.md", "sub/deep/three.md"):
        path = beside.worktree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    beside.add("one.md", "sub/two.md", "sub/deep/three.md")
    beside("update-index", "--index-version", str(version))
    index = decode(beside.index.read_bytes())
    assert listed(index) == beside.entries()
    assert index[b"one.md"].blob_id.hex().encode() == beside("hash-object", "one.md").strip()
    assert update(index, {}) == encode(listed(index))


@pytest.mark.parametrize("version", [2, 4])
def test_f07_a_path_of_5026_bytes_is_read(beside: Git, version: int) -> None:
    path = b"/".join([b"p" * 250] * 20)[:5026].ljust(5026, b"q")
    names = [path, path[:-1] + b"r", path[:-1] + b"r2"]
    beside.cacheinfo(*(b"100644 %040x 0\t%s" % (9, name) for name in names))
    beside("update-index", "--index-version", str(version))
    assert list(decode(beside.index.read_bytes())) == names


@pytest.mark.parametrize("length", [1, 100, 127, 128, 129, 254, 255, 301, 2000, 16_511, 16_512, 16_600])
def test_f08_a_strip_length_of_any_size_is_read(beside: Git, length: int) -> None:
    names = [b"a" + b"x" * length, b"ab" + b"y" * length, b"b"]
    beside.cacheinfo(*(b"100644 %040x 0\t%s" % (9, name) for name in sorted(names)))
    beside("update-index", "--index-version", "4")
    assert list(decode(beside.index.read_bytes())) == sorted(names)


def test_f08_strip_length_301_is_81_2d() -> None:
    first = compressed_record(b"\0", b"a" * 302)
    data = sealed(header(2, 4) + first + compressed_record(b"\x81\x2d", b"b", 2))
    assert list(decode(data)) == [b"a" * 302, b"ab"]


@pytest.mark.parametrize("strip", [b"\x04", b"\x81\x2d", b"\xff" * 12 + b"\x00", b"\x80"])
def test_f33_a_strip_longer_than_the_name_before_is_damage(strip: bytes) -> None:
    with pytest.raises(IndexDamagedError):
        decode(sealed(header(2, 4) + compressed_record(b"\0", b"abc") + compressed_record(strip, b"d")))


def test_f33_a_strip_that_never_ends_is_damage() -> None:
    for tail in (b"\x80" * 40, b"\xff" * 40, b""):
        with pytest.raises(IndexDamagedError):
            decode(sealed(header(1, 4) + struct.pack(">10I20sH", *values.STAT, values.SOME_ID, 1) + tail))


def test_git_extensions_are_passed_over_and_not_copied(beside: Git) -> None:
    (beside.worktree / "a.md").write_text("a")
    beside("add", "a.md")
    beside("write-tree")
    beside("update-index", "--untracked-cache")
    beside("status", "--porcelain")
    beside.run("update-index", "--fsmonitor")
    data = beside.index.read_bytes()
    assert b"TREE" in data
    assert b"UNTR" in data
    ours = update(decode(data), {})
    assert not {b"TREE", b"UNTR", b"FSMN"} & {ours[at : at + 4] for at in range(len(ours))}
    assert listed(decode(ours)) == listed(decode(data))


def test_intent_to_add_is_read_and_kept(beside: Git) -> None:
    (beside.worktree / "later.md").write_text("x")
    beside("add", "-N", "later.md")
    index = decode(beside.index.read_bytes())
    assert index[b"later.md"].intent_to_add
    assert listed(decode(update(index, {}))) == listed(index)


@pytest.mark.parametrize("version", [2, 4])
def test_sides_of_a_merge_count_as_unknown(beside: Git, version: int) -> None:
    one = values.SOME_ID.hex().encode()
    beside.cacheinfo(*(b"100644 %s %d\tboth.md" % (one, stage) for stage in (1, 2, 3)), b"100644 %s 0\tz.md" % one)
    beside("update-index", "--index-version", str(version))
    assert {shown.stage for shown in beside.shown()} == {0, 1, 2, 3}
    index = decode(beside.index.read_bytes())
    assert list(index) == [b"z.md"]
    assert list(decode(update(index, {}))) == [b"z.md"]


def test_a_file_that_became_a_folder_on_one_side_of_a_merge_is_no_damage(beside: Git) -> None:
    one = values.SOME_ID.hex().encode()
    beside.cacheinfo(b"100644 %s 1\ta" % one, b"100644 %s 0\ta/b" % one)
    assert [(shown.entry.path, shown.stage) for shown in beside.shown()] == [(b"a", 1), (b"a/b", 0)]
    assert list(decode(beside.index.read_bytes())) == [b"a/b"]


def test_f24_a_split_index_is_refused(beside: Git) -> None:
    beside.cacheinfo(b"100644 " + values.SOME_ID.hex().encode() + b" 0\ta")
    beside("update-index", "--split-index")
    with pytest.raises(IndexUnsupportedError, match="split"):
        decode(beside.index.read_bytes())


def test_a_sparse_index_is_refused(tmp_path: Path) -> None:
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


def test_f16_the_shape_of_the_offset_extensions_is_gits(beside: Git) -> None:
    entries = [entry(b"folder/note-%05d.md" % n) for n in range(5)]
    beside.index.write_bytes(encode(entries))
    beside("update-index", "--force-remove", "folder/note-00000.md", index_threads=3)
    for data in (encode(entries), beside.index.read_bytes()):
        table_at = data.rindex(b"IEOT")
        end_at = len(data) - 20 - 32
        assert data[end_at : end_at + 8] == b"EOIE" + struct.pack(">I", 24)
        offset = int.from_bytes(data[end_at + 8 : end_at + 12], "big")
        assert offset == codec._walk(data, int.from_bytes(data[8:12], "big")).end == table_at
        assert data[end_at + 12 : end_at + 32] == sha1(data[table_at : table_at + 8], usedforsecurity=False).digest()


@given(values.plain_entries(min_size=1, max_size=8))
def test_an_index_of_ours_is_read_by_its_table(entries: list[Entry]) -> None:
    with mock.patch.object(codec, "_walk", side_effect=AssertionError("walked")):
        assert listed(decode(encode(entries))) == in_order(entries)


def test_an_empty_index_has_no_table() -> None:
    assert encode([]) == sealed(header(0))
    assert list(decode(encode([]))) == []


def test_an_empty_index_with_an_empty_table_is_read() -> None:
    assert list(decode(sealed(header(0) + _offset_extensions(struct.pack(">I", 1), 12)))) == []


def _offset_extensions(table: bytes, end: int) -> bytes:
    digest = sha1(b"IEOT" + struct.pack(">I", len(table)), usedforsecurity=False).digest()
    return extension(b"IEOT", table) + extension(b"EOIE", struct.pack(">I", end) + digest)


SMALL = [entry(b"a.md"), entry(b"b/c.md"), entry(b"b/d.md"), entry(b"e" * 30)]


@pytest.mark.parametrize(
    ("table_version", "blocks", "end_offset"),
    [
        pytest.param(2, None, 0, id="another table version"),
        pytest.param(1, [(12, 4)], 0, id="one block for all"),
        pytest.param(1, [(12, 2), (156, 2)], 0, id="blocks of two"),
        pytest.param(1, [(12, 1)] * 4, 0, id="one offset for all"),
        pytest.param(1, [(12, 1), (84, 1), (156, 1)], 0, id="too few"),
        pytest.param(1, [(12, 1), (156, 1), (84, 1), (228, 1)], 0, id="descending"),
        pytest.param(1, [(20, 1), (84, 1), (156, 1), (228, 1)], 0, id="first not at 12"),
        pytest.param(1, [(12, 1), (85, 1), (156, 1), (228, 1)], 0, id="between entries"),
        pytest.param(1, [(12, 1), (84, 1), (156, 1), (0xFFFF_FFFF, 1)], 0, id="beyond the end"),
        pytest.param(1, None, 8, id="EOIE too far"),
        pytest.param(1, None, -8, id="EOIE too near"),
    ],
)
def test_a_table_that_is_wrong_is_not_used(
    table_version: int, blocks: list[tuple[int, int]] | None, end_offset: int
) -> None:
    entries_bytes, right = _parts(SMALL)
    numbers = [n for block in (blocks or right) for n in block]
    table = struct.pack(f">{1 + len(numbers)}I", table_version, *numbers)
    end = 12 + len(entries_bytes) + end_offset
    data = sealed(header(4) + entries_bytes + _offset_extensions(table, end))
    assert read_by_walking(data) == SMALL


def test_a_table_whose_hash_is_wrong_is_not_used() -> None:
    body = bytearray(encode(SMALL)[:-20])
    body[-1] ^= 1
    assert read_by_walking(sealed(bytes(body))) == SMALL


def test_an_end_of_entries_without_a_table_leaves_walking() -> None:
    entries_bytes, _ = _parts(SMALL)
    digest = sha1(b"ABCD\0\0\0\4", usedforsecurity=False).digest()
    end = extension(b"EOIE", struct.pack(">I", 12 + len(entries_bytes)) + digest)
    assert read_by_walking(sealed(header(4) + entries_bytes + extension(b"ABCD", b"data") + end)) == SMALL


@pytest.mark.parametrize("length", [29, 31])
def test_a_table_does_not_hide_a_name_of_another_length(length: int) -> None:
    """Both lengths give the record the same padded length: only the NUL tells where the name ends."""
    body = encode(SMALL)[:-20].replace(b"\0\x1eeee", b"\0%ceee" % length)
    with pytest.raises(IndexDamagedError, match="as long"):
        decode(sealed(body))


def test_a_table_before_another_extension_is_used_if_the_hash_covers_it() -> None:
    entries_bytes, right = _parts(SMALL)
    table = extension(b"IEOT", struct.pack(">9I", 1, *[n for block in right for n in block]))
    others = extension(b"ABCD", b"data") + table + extension(b"EFGH", b"")
    digest = sha1(b"ABCD\0\0\0\4" + table[:8] + b"EFGH\0\0\0\0", usedforsecurity=False).digest()
    end = extension(b"EOIE", struct.pack(">I", 12 + len(entries_bytes)) + digest)
    with mock.patch.object(codec, "_walk", side_effect=AssertionError("walked")):
        assert listed(decode(sealed(header(4) + entries_bytes + others + end))) == SMALL


def read_by_walking(data: bytes) -> list[Entry]:
    """Return the entries of an index whose table must not be used."""
    with mock.patch.object(codec, "_walk", wraps=codec._walk) as walk:
        entries = listed(decode(data))
    assert walk.called
    return entries


def _parts(entries: list[Entry]) -> tuple[bytes, list[tuple[int, int]]]:
    data = encode(entries)
    end = int.from_bytes(data[-44:-40], "big")
    offsets = codec._walk(data, len(entries)).offsets
    return data[12:end], [(offset, 1) for offset in offsets]


@settings(max_examples=300)
@given(
    entries=values.plain_entries(min_size=1, max_size=4),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=3),
    is_near_the_end=st.booleans(),
    is_resealed=st.booleans(),
)
def test_table_and_walk_agree_on_damaged_bytes(
    entries: list[Entry], flips: list[tuple[int, int]], is_near_the_end: bool, is_resealed: bool
) -> None:
    whole = bytearray(encode(entries)[:-20])
    end = int.from_bytes(whole[-24:-20], "big")
    for at, mask in flips:
        whole[end + at % (len(whole) - end) if is_near_the_end else at % len(whole)] ^= mask
    if is_resealed and whole[end : end + 4] == b"IEOT":
        whole[-20:] = sha1(whole[end : end + 8], usedforsecurity=False).digest()
    data = sealed(bytes(whole))
    assert outcome(decode, data) == outcome(decode_by_walking, data)


@settings(max_examples=300)
@given(st.integers(2, 4), st.integers(0, 3), st.binary(max_size=300))
def test_no_bytes_whatsoever_raise_anything_but_the_two_errors(version: int, count: int, rest: bytes) -> None:
    outcome(decode, sealed(header(count, version) + rest))


@settings(max_examples=200)
@given(values.entries(values.short_paths, min_size=1, max_size=3), st.integers(0, 10**6), st.integers(1, 255))
def test_a_sealed_lie_raises_nothing_but_the_two_errors(entries: list[Entry], at: int, mask: int) -> None:
    body = bytearray(encode(entries)[:-20])
    body[at % len(body)] ^= mask
    outcome(decode, sealed(bytes(body)))


# --- damage ----------------------------------------------------------------------------------------------------------

SAMPLES = {
    "version 2": encode(SMALL),
    "version 3": encode([SMALL[0]._replace(skip_worktree=True), SMALL[1]]),
    "version 4": sealed(header(2, 4) + compressed_record(b"\0", b"abc") + compressed_record(b"\1", b"d", 3)),
    "zero stat": encode([Entry(b"z", values.ZERO_STAT, values.SOME_ID)]),
    "empty": encode([]),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_f26_every_truncation_is_rejected(name: str) -> None:
    data = SAMPLES[name]
    decode(data)
    for length in range(len(data)):
        with pytest.raises((IndexDamagedError, IndexUnsupportedError)):
            decode(data[:length])


@pytest.mark.parametrize("name", SAMPLES)
def test_f04_every_flipped_byte_is_rejected(name: str) -> None:
    data = SAMPLES[name]
    for at in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            damaged = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
            with pytest.raises((IndexDamagedError, IndexUnsupportedError)):
                decode(damaged)


def test_f04_git_reads_a_wrong_trailer_that_is_rejected_here(beside: Git) -> None:
    data = encode(SMALL)
    beside.index.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert beside.entries() == SMALL
    with pytest.raises(IndexDamagedError, match="checksum"):
        decode(beside.index.read_bytes())


def test_f01_a_file_of_no_bytes_is_damage() -> None:
    with pytest.raises(IndexDamagedError):
        decode(b"")


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [
        (sealed(b"CRID" + header(0)[4:]), IndexDamagedError, "begin"),
        (sealed(header(0, 1)), IndexUnsupportedError, "version 1"),
        (sealed(header(0, 5)), IndexUnsupportedError, "version 5"),
        (sealed(header(1)), IndexDamagedError, "room"),
        (sealed(header(0xFFFF_FFFF) + record(b"a")), IndexDamagedError, "room"),
        (sealed(header(0) + record(b"a")), IndexUnsupportedError, "extension"),
        (sealed(header(2) + record(b"b") + record(b"a")), IndexDamagedError, "order"),
        (sealed(header(2) + record(b"a") + record(b"a")), IndexDamagedError, "order"),
        (sealed(header(2) + record(b"a", 0x2000) + record(b"a", 0x1000)), IndexDamagedError, "order"),
        (sealed(header(1) + record(b"abcd").replace(b"\x04abcd", b"\x03abcd")), IndexDamagedError, "as long"),
        (sealed(header(1) + record(b"abcd").replace(b"\x04abcd", b"\x05abcd")), IndexDamagedError, "as long"),
        (sealed(header(1) + record(b"abcd", 0xFFF)), IndexDamagedError, "as long"),
        (sealed(header(1, 4) + compressed_record(b"\0", b"abcd", 3)), IndexDamagedError, "as long"),
        (sealed(header(1) + record(b"a") + extension(b"TREE", b"abc")[:-1]), IndexDamagedError, "extension"),
        (sealed(header(1) + record(b"a") + b"TREE"), IndexDamagedError, "extension"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_f02_damage_is_named(data: bytes, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        decode(data)


def test_f05_an_all_zero_trailer_is_read_and_marked_unchecked(beside: Git) -> None:
    data = encode(SMALL)[:-20] + bytes(20)
    index = decode(data)
    assert not index.is_checked
    assert listed(index) == SMALL
    assert decode(encode(SMALL)).is_checked
    beside.index.write_bytes(data)
    assert beside.entries() == SMALL


def test_the_index_of_no_file_is_empty() -> None:
    assert list(Index.empty()) == []
    assert Index.empty().is_checked


def test_f12_an_unknown_extension_is_passed_over_if_upper_case_and_refused_if_lower(beside: Git) -> None:
    upper, lower = (sealed(header(1) + record(b"a") + extension(name, b"x")) for name in (b"XYZW", b"xyzw"))
    assert list(decode(upper)) == [b"a"]
    with pytest.raises(IndexUnsupportedError, match="xyzw"):
        decode(lower)
    beside.index.write_bytes(lower)
    assert beside.run("ls-files").returncode != 0


@pytest.mark.parametrize("bits", [0x8000, 0x0001, 0x1000])
def test_f14_an_unknown_extended_flag_is_refused(bits: int) -> None:
    with pytest.raises(IndexUnsupportedError, match="flags"):
        decode(sealed(header(1, 3) + record(b"a", extended=bits)))


def test_f14_extended_flags_in_version_2_are_refused() -> None:
    with pytest.raises(IndexUnsupportedError, match="flags"):
        decode(sealed(header(1, 2) + record(b"a", extended=0x4000)))
