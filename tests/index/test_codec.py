"""The index format, by literals; what git makes of it is in `conformance`."""

from __future__ import annotations

import struct
from contextlib import suppress
from hashlib import sha1
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bm_gitindex.errors import IndexDamagedError, IndexUnsupportedError
from bm_gitindex.index import codec, encoding
from bm_gitindex.index.codec import decode, is_valid_path
from bm_gitindex.index.encoding import encode, encode_entry, update
from bm_gitindex.index.entry import Entry, Index
from bm_gitindex.index.records import Records
from support import values
from support.values import compressed_record, entry, extension, header, record, sealed, updated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BAD_PATHS = [
    *(b".git/x", b"a/.git", b".git", b".GIT/x", b"a/.Git/b", b"../x", b"a/..", b"..", b"a//b", b"./a", b"a/.", b"."),
    *(b"/a", b"dir/", b"/", b"", b"a\0b"),
]


def listed(index: Index) -> list[Entry]:
    return [index[path] for path in index]


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda e: e.path)


def decode_in_python(data: bytes) -> Index:
    with mock.patch.object(codec, "native", None):
        return decode(data)


def decode_by_walking(data: bytes) -> Index:
    with mock.patch.object(codec, "_read_offset_table", return_value=None):
        return decode_in_python(data)


def outcome(read: Callable[[bytes], Index], data: bytes) -> object:
    """Return what a reader makes of the bytes: entries, or the class of the error."""
    try:
        return listed(read(data))
    except (IndexDamagedError, IndexUnsupportedError) as error:
        return type(error)


@given(values.entries(values.short_paths, max_size=8), values.short_paths, st.integers(0, 700), st.data())
def test_an_index_answers_as_a_dictionary_would(
    entries: list[Entry], path: bytes, second: int, data: st.DataObject
) -> None:
    entries = [e._replace(stat=e.stat._replace(ctime_s=data.draw(st.integers(0, 700)))) for e in entries]
    expected = {e.path: e for e in in_order(entries)}
    read = data.draw(st.sampled_from([decode, decode_in_python]))
    index = read(encode(entries))
    asked = data.draw(st.permutations([*expected, path, path + b"/x"]))
    assert [index.get(one) for one in asked] == [expected.get(one) for one in asked]
    assert index.below(path) == [one for one in expected if one.startswith(path + b"/")]
    assert index.changed_since(second, 0) == [e.path for e in expected.values() if e.stat.ctime_s >= second]
    assert (list(index), len(index), index.places) == (
        list(expected),
        len(expected),
        {p: n for n, p in enumerate(expected)},
    )


def test_an_index_beyond_32_bits_is_neither_read_nor_written(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode([entry(b"a")])
    for module in (codec, encoding):
        monkeypatch.setattr(module, "MOST_BYTES", len(data) - 1)
    with pytest.raises(IndexUnsupportedError, match="bytes is not supported"):
        decode(data)
    with pytest.raises(ValueError, match="too many entries"):
        encode([entry(b"a")])


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
    assert updated(decode(encode(base)), encoded) == encode([e for e in expected.values() if e])


def test_update_without_changes_gives_the_same_bytes() -> None:
    data = encode([entry(b"b"), entry(b"a")])
    assert updated(decode(data), {}) == data


def test_leaving_out_a_path_that_is_not_there_is_no_error() -> None:
    data = encode([entry(b"a")])
    assert updated(decode(data), {b"b": None}) == data


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
    assert decode(updated(extended, {b"a": encode_entry(entry(b"a"))})).version == 2  # R37
    assert decode(updated(extended, {b"a": None})).version == 2


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
        updated(decode(encode([entry(b"a")])), {b"a/b": encode_entry(entry(b"a/b"))})
    with pytest.raises(ValueError, match="folder"):
        updated(decode(encode([entry(b"a/b/c")])), {b"a": encode_entry(entry(b"a"))})


@pytest.mark.parametrize(("old", "new"), [(b"a", b"a/b"), (b"a/b/c", b"a")])
def test_f19_a_file_gives_way_to_a_folder_of_its_name_and_back(old: bytes, new: bytes) -> None:
    data = updated(decode(encode([entry(old)])), {old: None, new: encode_entry(entry(new))})
    assert list(decode(data)) == [new]


# --- version 4 -------------------------------------------------------------------------------------------------------


def test_f08_strip_length_301_is_81_2d() -> None:
    first = compressed_record(b"\0", b"a" * 302)
    data = sealed(header(2, 4) + first + compressed_record(b"\x81\x2d", b"b", kept=1))
    assert list(decode(data)) == [b"a" * 302, b"ab"]


@pytest.mark.parametrize("strip", [b"\x04", b"\x81\x2d", b"\xff" * 12 + b"\x00", b"\x80"])
def test_f33_a_strip_longer_than_the_name_before_is_damage(strip: bytes) -> None:
    with pytest.raises(IndexDamagedError):
        decode(sealed(header(2, 4) + compressed_record(b"\0", b"abc") + compressed_record(strip, b"d")))


def test_f33_a_strip_that_never_ends_is_damage() -> None:
    for tail in (b"\x80" * 40, b"\xff" * 40, b""):
        with pytest.raises(IndexDamagedError):
            decode(sealed(header(1, 4) + struct.pack(">10I20sH", *values.STAT, values.SOME_ID, 1) + tail))


# --- the table of offsets --------------------------------------------------------------------------------------------


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


def test_a_table_does_not_hide_a_path_that_is_longer_than_its_entry_says() -> None:
    data = encode(SMALL)
    longer = data.replace(SMALL[0].path + b"\0", SMALL[0].path + b"x", 1)
    with pytest.raises(IndexDamagedError, match="as long as"):
        decode(sealed(longer[:-20]))


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
    with mock.patch.object(codec, "native", None), mock.patch.object(codec, "_walk", wraps=codec._walk) as walk:
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
def test_all_readers_agree_on_damaged_bytes(
    entries: list[Entry], flips: list[tuple[int, int]], is_near_the_end: bool, is_resealed: bool
) -> None:
    whole = bytearray(encode(entries)[:-20])
    end = int.from_bytes(whole[-24:-20], "big")
    for at, mask in flips:
        whole[end + at % (len(whole) - end) if is_near_the_end else at % len(whole)] ^= mask
    if is_resealed and whole[end : end + 4] == b"IEOT":
        whole[-20:] = sha1(whole[end : end + 8], usedforsecurity=False).digest()
    data = sealed(bytes(whole))
    assert outcome(decode, data) == outcome(decode_in_python, data) == outcome(decode_by_walking, data)


@settings(max_examples=300)
@given(st.integers(2, 4), st.integers(0, 3), st.binary(max_size=300))
def test_no_bytes_whatsoever_raise_anything_but_the_two_errors(version: int, count: int, rest: bytes) -> None:
    data = sealed(header(count, version) + rest)
    assert outcome(decode, data) == outcome(decode_in_python, data)


@settings(max_examples=200)
@given(values.entries(values.short_paths, min_size=1, max_size=3), st.integers(0, 10**6), st.integers(1, 255))
def test_a_sealed_lie_raises_nothing_but_the_two_errors(entries: list[Entry], at: int, mask: int) -> None:
    body = bytearray(encode(entries)[:-20])
    body[at % len(body)] ^= mask
    data = sealed(bytes(body))
    assert outcome(decode, data) == outcome(decode_in_python, data)


# --- damage ----------------------------------------------------------------------------------------------------------

SAMPLES = {
    "version 2": encode(SMALL),
    "version 3": encode([SMALL[0]._replace(skip_worktree=True), SMALL[1]]),
    "version 4": sealed(header(2, 4) + compressed_record(b"\0", b"abc") + compressed_record(b"\1", b"d", kept=2)),
    "zero stat": encode([Entry(b"z", values.ZERO_STAT, values.SOME_ID)]),
    "empty": encode([]),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_f26_every_truncation_is_rejected(name: str) -> None:
    data = SAMPLES[name]
    decode(data)
    for length in range(len(data)):
        with pytest.raises(IndexDamagedError):
            decode(data[:length])


@pytest.mark.parametrize("name", SAMPLES)
def test_f04_every_flipped_byte_is_rejected(name: str) -> None:
    data = SAMPLES[name]
    for at in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            damaged = data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
            with pytest.raises(IndexDamagedError):
                decode(damaged)


@pytest.mark.parametrize("name", SAMPLES)
def test_an_end_of_zeros_is_damage_or_touches_no_entry(name: str) -> None:
    """What a crash leaves of a file that was not on disk yet; it looks as if the trailer had been left out."""
    data = SAMPLES[name]
    for zeros in range(1, len(data) + 1):
        with suppress(IndexDamagedError):
            index = decode(data[: len(data) - zeros] + bytes(zeros))
            assert not index.is_checked
            assert listed(index) == listed(decode(data))


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
        (sealed(header(0) + record(b"a")), IndexDamagedError, "extension"),
        (sealed(header(2) + record(b"b") + record(b"a")), IndexDamagedError, "order"),
        (sealed(header(2) + record(b"a") + record(b"a")), IndexDamagedError, "order"),
        (sealed(header(2) + record(b"a", 0x2000) + record(b"a", 0x1000)), IndexDamagedError, "order"),
        (sealed(header(1) + record(b"abcd").replace(b"\x04abcd", b"\x03abcd")), IndexDamagedError, "as long"),
        (sealed(header(1) + record(b"abcd").replace(b"\x04abcd", b"\x05abcd")), IndexDamagedError, "as long"),
        (sealed(header(1) + record(b"abcd", 0xFFF)), IndexDamagedError, "as long"),
        (sealed(header(1, 4) + compressed_record(b"\0", b"abcd", kept=-1)), IndexDamagedError, "as long"),
        (sealed(header(1) + record(b"a") + extension(b"TREE", b"abc")[:-1]), IndexDamagedError, "extension"),
        (sealed(header(1) + record(b"a") + b"TREE"), IndexDamagedError, "extension"),
        (sealed(header(1) + record(b"ab").replace(b"ab\0", b"abc")), IndexDamagedError, "as long as"),
        (sealed(header(1) + record(b"ab").replace(b"\0\x02ab", b"\0\x01ab")), IndexDamagedError, "as long as"),
        (sealed(header(1) + record(b"a" * 4094).replace(b"\x0f\xfe", b"\x0f\xff")), IndexDamagedError, "as long as"),
        (sealed(header(1, 4) + compressed_record(b"\0", b"abc", kept=1)), IndexDamagedError, "as long as"),
        (sealed(header(1) + record(b"a").replace(values.SOME_ID, bytes(20))), IndexDamagedError, "no blob id"),
        (header(1, 5) + record(b"a") + bytes(19) + b"x", IndexDamagedError, "checksum"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_f02_damage_is_named(data: bytes, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        decode(data)


def test_f05_an_all_zero_trailer_is_read_and_marked_unchecked() -> None:
    data = encode(SMALL)[:-20] + bytes(20)
    index = decode(data)
    assert not index.is_checked
    assert listed(index) == SMALL
    assert decode(encode(SMALL)).is_checked


def test_the_index_of_no_file_is_empty() -> None:
    assert list(Index.empty()) == []
    assert Index.empty().is_checked


def test_f12_an_unknown_extension_is_passed_over_if_upper_case_and_refused_if_lower() -> None:
    upper, lower = (sealed(header(1) + record(b"a") + extension(name, b"x")) for name in (b"XYZW", b"xyzw"))
    assert list(decode(upper)) == [b"a"]
    with pytest.raises(IndexUnsupportedError, match="xyzw"):
        decode(lower)


@pytest.mark.parametrize("bits", [0x8000, 0x0001, 0x1000])
def test_f14_an_unknown_extended_flag_is_refused(bits: int) -> None:
    with pytest.raises(IndexUnsupportedError, match="flags"):
        decode(sealed(header(1, 3) + record(b"a", extended=bits)))


def test_f14_extended_flags_in_version_2_are_refused() -> None:
    with pytest.raises(IndexUnsupportedError, match="flags"):
        decode(sealed(header(1, 2) + record(b"a", extended=0x4000)))


def test_in_blocks_an_index_is_the_same_and_no_block_is_larger_than_two_megabytes() -> None:
    entries = [entry(b"%06d/%s" % (number, b"n" * (1 + number % 900))) for number in range(4_000)]
    encoded = update(Index.empty(), Records({one.path: encode_entry(one) for one in entries}))
    blocks = list(encoded.blocks())
    assert len(blocks) == 2
    assert max(map(len, blocks)) < 2 * 2**20
    assert b"".join(blocks) == bytes(encoded)
    assert bytes(encoded)[-20:] == encoded.trailer
    assert list(decode(bytes(encoded)).values()) == entries
