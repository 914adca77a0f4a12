"""The bytes of an index: header, entries and checksum, as either side reads them."""

from __future__ import annotations

import os
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.errors import IndexDamagedError, IndexUnsupportedError
from bm_gitindex.index.codec import decode
from bm_gitindex.index.encoding import encode
from support.beside import CLEAN, as_we_read, git_version, paths_read
from support.values import SOME_ID, STAT, compressed_record, entry, header, record, sealed, updated

if TYPE_CHECKING:
    from support.beside import Beside

DAMAGED = IndexDamagedError
UNSUPPORTED = IndexUnsupportedError
SMALL = [entry(b"a.md"), entry(b"b/c.md"), entry(b"b/d.md"), entry(b"e" * 30)]
SOME = SOME_ID.hex().encode()


def refused(said_by_git: object, reason: str) -> bool:
    return isinstance(said_by_git, str) and reason in said_by_git


# --- header ----------------------------------------------------------------------------------------------------------


def test_f01_no_index_is_an_empty_one_and_a_file_of_no_bytes_is_damage(both: Beside) -> None:
    assert both.as_git_reads() == []
    snapshot = both.project.read()
    assert (len(snapshot.index), snapshot.exists, snapshot.baseline.is_trusted) == (0, False, False)
    read = both.read(b"")
    assert refused(read.git, "smaller than expected")
    assert read.ours is DAMAGED


@pytest.mark.parametrize(
    ("data", "reason", "error"),
    [
        pytest.param(sealed(b"CRID" + header(0)[4:]), "bad signature", DAMAGED, id="signature"),
        pytest.param(sealed(header(0, 1)), "bad index version 1", UNSUPPORTED, id="version 1"),
        pytest.param(sealed(header(0, 5)), "bad index version 5", UNSUPPORTED, id="version 5"),
    ],
)
def test_f02_another_signature_or_version_is_refused(
    both: Beside, data: bytes, reason: str, error: type[Exception]
) -> None:
    read = both.read(data)
    assert refused(read.git, reason)
    assert read.ours is error


def test_f34_more_entries_than_there_are_is_damage(both: Beside) -> None:
    read = both.read(sealed(header(2) + record(b"a")))
    assert read.ours is DAMAGED
    assert paths_read(read.git)[0] == b"a"  # and then takes the checksum for an entry


def test_f35_fewer_entries_than_there_are_is_refused(both: Beside) -> None:
    read = both.read(sealed(header(1) + record(b"a") + record(b"b")))
    assert refused(read.git, "extension")
    assert read.ours is IndexDamagedError


def test_f41_the_empty_index_that_git_writes_is_read(both: Beside) -> None:
    both.git("read-tree", "--empty")
    data = both.git.index.read_bytes()
    assert both.read(data) == ([], [])
    assert both.read(updated(decode(data), {})) == ([], [])
    assert both.git_verifies() == ""


# --- checksum --------------------------------------------------------------------------------------------------------


def test_f04_a_wrong_checksum_is_damage_and_git_looks_only_in_fsck(both: Beside) -> None:
    data = encode(SMALL)
    assert both.read(data) == (SMALL, SMALL)
    assert both.git_verifies() == ""
    assert both.read(data[:-1] + bytes([data[-1] ^ 1])) == (SMALL, DAMAGED)
    assert "bad" in both.git_verifies()
    assert both.read(data[:40] + b"\x55" + data[41:]).ours is DAMAGED
    assert "bad" in both.git_verifies()


def test_f05_an_all_zero_trailer_is_read_and_proves_nothing(both: Beside) -> None:
    both.by_mtime().write("f.md")
    both.index()
    assert both.answers() == (CLEAN, CLEAN, 0)
    data = both.project.state.index.read_bytes()
    both.project.commit_bytes(data[:-20] + bytes(20))
    assert both.answers() == (CLEAN, CLEAN, 1)


@pytest.mark.skipif(git_version() < (2, 40), reason="git knows index.skipHash from 2.40 on")
def test_f43_an_index_that_git_wrote_without_a_hash_is_read(both: Beside) -> None:
    both.write("f.md")
    both.git.add("f.md", index_skipHash="true")
    data = both.git.index.read_bytes()
    assert data[-20:] == bytes(20)
    assert not decode(data).is_checked
    assert as_we_read(data) == both.git.entries()


@pytest.mark.parametrize("length", [1, 8, 19, 20, 21, 25])
def test_f26_a_truncated_index_is_damage_and_git_reads_it(both: Beside, length: int) -> None:
    assert both.read(encode(SMALL)[:-length]) == (SMALL, DAMAGED)


def test_f42_bytes_after_the_checksum_are_damage(both: Beside) -> None:
    data = encode(SMALL)
    read = both.read(data + bytes(8))
    assert refused(read.git, "extension")
    assert read.ours is DAMAGED


def test_f40_an_index_of_sha_256_ids_is_refused(both: Beside) -> None:
    other = both.git.index.with_name("sha-256")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(["git", "init", "-q", "--object-format=sha256", other], env=plain, check=True)
    (other / "a.md").write_text("x")
    subprocess.run(["git", "add", "a.md"], cwd=other, env=plain, check=True)
    read = both.read((other / ".git" / "index").read_bytes())
    assert isinstance(read.git, str)
    assert read.ours is DAMAGED


# --- entries ---------------------------------------------------------------------------------------------------------


def test_f06_names_are_padded_with_one_to_eight_nul(both: Beside) -> None:
    for length in range(1, 17):
        name = b"n" * length
        both.git.index.unlink(missing_ok=True)
        both.git.cacheinfo(b"100644 %s 0\t%s" % (SOME, name))
        data = both.git.index.read_bytes()
        assert paths_read(as_we_read(data)) == [name]
        # git writes no extension beside a single entry: the bytes are ours but for our two.
        ours = updated(decode(data), {})
        assert ours[12:].startswith(data[12:-20])
        assert 1 <= len(data) - 32 - 62 - length <= 8


@pytest.mark.parametrize("version", [2, 4])
def test_f07_a_path_of_5026_bytes_is_read(both: Beside, version: int) -> None:
    path = b"/".join([b"p" * 250] * 20)[:5026].ljust(5026, b"q")
    names = [path, path[:-1] + b"r", path[:-1] + b"r2"]
    both.git.cacheinfo(*(b"100644 %040x 0\t%s" % (9, name) for name in names))
    both.git("update-index", "--index-version", str(version))
    read = both.read(both.git.index.read_bytes())
    assert read.git == read.ours
    assert paths_read(read.ours) == names


def test_f38_names_about_the_4095_bytes_that_the_length_field_holds(both: Beside) -> None:
    entries = [entry(b"n" * length) for length in (4094, 4095, 4096)]
    assert both.read(encode(entries)) == (entries, entries)
    assert both.git_verifies() == ""


@pytest.mark.parametrize("length", [1, 127, 128, 301, 16_511, 16_512])
def test_f08_a_strip_length_of_any_size_is_read(both: Beside, length: int) -> None:
    names = [b"a" + b"x" * length, b"ab" + b"y" * length, b"b"]
    both.git.cacheinfo(*(b"100644 %040x 0\t%s" % (9, name) for name in sorted(names)))
    both.git("update-index", "--index-version", "4")
    assert paths_read(as_we_read(both.git.index.read_bytes())) == sorted(names)


def test_f08_strip_length_301_is_81_2d(both: Beside) -> None:
    first = compressed_record(b"\0", b"a" * 302)
    read = both.read(sealed(header(2, 4) + first + compressed_record(b"\x81\x2d", b"b", kept=1)))
    assert paths_read(read.git) == paths_read(read.ours) == [b"a" * 302, b"ab"]


@pytest.mark.parametrize("strip", [b"\x04", b"\x81\x2d", b"\x80"])
def test_f33_a_strip_longer_than_the_name_before_is_damage(both: Beside, strip: bytes) -> None:
    read = both.read(sealed(header(2, 4) + compressed_record(b"\0", b"abc") + compressed_record(strip, b"d")))
    assert refused(read.git, "malformed name")
    assert read.ours is DAMAGED


def test_f10_order_is_by_bytes(both: Beside) -> None:
    names = [b"a-b", b"a.md", b"a/b", b"a0", b"b\x7f", b"b\xff"]
    both.git.cacheinfo(*(b"100644 %s 0\t%s" % (SOME, name) for name in reversed(names)))
    assert [e.path for e in both.git.entries()] == names
    assert paths_read(as_we_read(both.git.index.read_bytes())) == names
    assert paths_read(both.read(encode([entry(name) for name in reversed(names)])).git) == names


def test_f36_entries_out_of_order_are_damage_and_git_looks_only_in_fsck(both: Beside) -> None:
    read = both.read(sealed(header(2) + record(b"b") + record(b"a")))
    assert paths_read(read.git) == [b"b", b"a"]
    assert "unordered stage entries" in both.git_verifies()
    assert read.ours is DAMAGED


def test_f37_an_entry_that_is_there_twice_is_damage_and_git_looks_only_in_fsck(both: Beside) -> None:
    read = both.read(sealed(header(2) + record(b"a") + record(b"a")))
    assert paths_read(read.git) == [b"a", b"a"]
    assert "multiple stage entries" in both.git_verifies()
    assert read.ours is DAMAGED


@pytest.mark.parametrize("length", [3, 5, 0xFFF])
def test_f39_a_name_that_is_not_as_long_as_its_entry_says_is_damage(both: Beside, length: int) -> None:
    lying = record(b"abcd")
    lying = lying[:60] + length.to_bytes(2, "big") + lying[62:]
    read = both.read(sealed(header(2) + lying + record(b"z")))
    assert paths_read(read.git) == [b"abcd", b"z"]
    assert read.ours is DAMAGED
    honest = encode([entry(b"abcd"), entry(b"z")])
    assert as_we_read(sealed(honest[:12] + lying + honest[84:-20])) is DAMAGED  # nor does the table of offsets hide it


@pytest.mark.parametrize("length", [1, 3, 0xFFF])
def test_f46_a_compressed_name_that_is_not_as_long_as_its_entry_says_is_damage(both: Beside, length: int) -> None:
    data = sealed(header(2, 4) + compressed_record(b"\0", b"abc") + compressed_record(b"\1", b"xy", length - 2))
    assert as_we_read(data) is DAMAGED
    right = sealed(header(2, 4) + compressed_record(b"\0", b"abc") + compressed_record(b"\1", b"xy", kept=2))
    assert paths_read(both.read(right).git) == paths_read(as_we_read(right)) == [b"abc", b"abxy"]


def test_f44_padding_that_is_not_nul_is_passed_over(both: Beside) -> None:
    padded = record(b"abcd")[:-1] + b"\1"
    read = both.read(sealed(header(2) + padded + record(b"z")))
    assert read.git == read.ours == [entry(b"abcd"), entry(b"z")]


@pytest.mark.parametrize("bits", [0x8000, 0x0001, 0x1000])
def test_f14_an_unknown_extended_flag_is_refused(both: Beside, bits: int) -> None:
    read = both.read(sealed(header(1, 3) + record(b"a", extended=bits)))
    assert refused(read.git, "unknown index entry format")
    assert read.ours is UNSUPPORTED


def test_f14_extended_flags_in_version_2_are_refused_and_git_reads_them(both: Beside) -> None:
    read = both.read(sealed(header(1, 2) + record(b"a", extended=0x4000)))
    assert paths_read(read.git) == [b"a"]
    assert read.ours is UNSUPPORTED


@pytest.mark.parametrize("extended", [None, 0])
def test_f47_version_3_without_any_extended_flag_is_read(both: Beside, extended: int | None) -> None:
    read = both.read(sealed(header(1, 3) + record(b"a", extended=extended)))
    assert read.git == read.ours == [entry(b"a")]


# --- versions --------------------------------------------------------------------------------------------------------

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
def test_f48_what_git_writes_is_read_in_every_version(both: Beside, version: int, threads: int) -> None:
    lines = [b"100%s %040x 0\t%s" % (b"755" if n % 3 else b"644", n + 1, name) for n, name in enumerate(GIT_NAMES)]
    both.git.cacheinfo(*lines)
    both.git("update-index", "--index-version", str(version), index_threads=threads)
    both.git("update-index", "--assume-unchanged", "a.md", index_threads=threads)
    if version != 2:
        both.git("update-index", "--skip-worktree", "a0", index_threads=threads)
    data = both.git.index.read_bytes()
    read = both.read(data)
    assert decode(data).version == version
    assert read.git == read.ours
    assert len(paths_read(read.ours)) == len(GIT_NAMES)


def test_f49_an_index_of_many_files_is_read_and_written_in_our_version(both: Beside) -> None:
    """feature.manyFiles turns on version 4 and the untracked cache."""
    for name in ("f.md", "sub/f.md", "sub/g.md"):
        both.write(name, name.encode())
    both.git("add", "--all", feature_manyFiles="true")
    data = both.git.index.read_bytes()
    assert decode(data).version == 4
    assert b"UNTR" in data
    both.adopt()
    before = both.git.entries()
    assert as_we_read(data) == before
    both.by_mtime().sync()
    both.lend()
    assert decode(both.git.index.read_bytes()).version == 2
    assert both.git.entries() == before


def test_f50_ids_are_gits_and_no_filter_is_applied(both: Beside) -> None:
    both.by_mtime().write("f.md", b"one\r\ntwo\r\n")
    both.git.add("f.md")
    assert both.stored_by_git("f.md") == both.entry("f.md")
    os.unlink(both.git.index)
    both.git.add("f.md", core_autocrlf="input")
    both.adopt()
    assert both.stored("f.md").blob_id != both.entry("f.md").blob_id
    both.touch("f.md", 1)
    assert both.project.changes() == {b"f.md": "modified"}
    assert both.git.changed(core_autocrlf="input") == CLEAN


def test_f51_stat_fields_stand_in_gits_order(both: Beside) -> None:
    fields = STAT._replace(**{name: number for number, name in enumerate(STAT._fields, 1) if name != "mode"})
    data = encode([entry()._replace(stat=fields)])
    assert struct.unpack_from(">10I", data, 12) == tuple(fields)
    read = both.read(data)
    assert read.git == read.ours == [entry()._replace(stat=fields)]
