"""What a note or a name may hold that a server's database takes differently: length, NUL, odd bytes, far times."""

from __future__ import annotations

import os
import random
import string
from contextlib import suppress

import pytest

from bm_gitindex.rules import SkipReason
from support.vault import Vault

RANDOM = random.Random(7)
RARE = "".join(chr(RANDOM.randrange(0x20000, 0x2A000)) for _ in range(30_000))
"""Four bytes each, and of no use to a compressor: PostgreSQL compresses what an index holds."""
LETTERS = "".join(RANDOM.choices(string.ascii_letters + string.digits, k=60_000))

NOTES: dict[str, str | bytes] = {
    "title": f"---\ntitle: {RARE[:1000]}\n---\ntext\n",
    "permalink": f"---\npermalink: {RARE[:1000]}\n---\ntext\n",
    "permalink that grows in lower case": f"---\npermalink: {'İ' * 890}\n---\ntext\n",
    "type": f"---\ntype: {RARE[:1000]}\n---\ntext\n",
    "tag": f"---\ntags: [{RARE[:1000]}, short]\n---\ntext\n",
    "tag of an observation": f"- [a] b #{RARE} #short\n",
    "link": f"[[{RARE}]]\n",
    "link of letters": f"[[{LETTERS}]]\n",
    "link with many levels": f"[[{'/'.join(LETTERS[:9000])}]]\n",
    "category, context and content": f"- [{RARE}] {RARE} ({RARE})\n- {RARE} [[x]] ({RARE})\n",
    "NUL": b'---\ntitle: "a\\0b"\nm: "a\\0\\ud801"\n---\n# a\0\xff\n- [c\0] d\0 #e\0 (f\0)\n- r\0 [[g\0]]\n',
    "half a character": b'---\ntitle: "\\ud800"\nx: ["\\udc00"]\n"\\ud800": 1\n---\n- [\xed\xa0\x80] x\n',
    "backslashes": '---\nx: "\\\\u0000 \\\\x00"\n---\n- [a] \\u0000 \\x00 \\\\ %s $1 :x\n',
    "far times": "---\ncreated: 0001-01-01T00:00:00+00:00\nmodified: 9999-12-31T23:59:59\n---\ntext\n",
    "numbers": "---\nx: [1e400, 123456789012345678901234567890, .nan, -0.0, 0x1F]\n---\ntext\n",
    "nested JSON": "---\nx: " + "[" * 30 + "]" * 30 + "\n---\ntext\n",
}


@pytest.mark.parametrize("what", NOTES)
def test_no_note_harms_the_rest(vault: Vault, what: str) -> None:
    vault.write("odd.md", NOTES[what])
    report = vault.settled_sync()
    assert (report.added, report.failed) == (4, [])
    assert vault.project.verify().ok
    again = vault.sync()
    assert (again.unchanged, again.counters.files_read) == (4, 0)
    local = Vault(vault.root.with_name("local"))
    for path in ("a.md", "b.md", "sub/c.md", "odd.md"):
        local.write(path, (vault.root / path).read_bytes())
        st = (vault.root / path).stat()
        os.utime(local.root / path, ns=(st.st_atime_ns, st.st_mtime_ns))
    local.sync()
    assert vault.meaning() == local.meaning()


def test_a_short_tag_beside_one_that_is_too_long_is_found(vault: Vault) -> None:
    vault.write("odd.md", NOTES["tag"])
    vault.sync()
    assert ("short",) in vault.rows("SELECT tag FROM entity_tag")
    assert vault.rows("SELECT max(octet_length(tag)) <= 1800 FROM entity_tag") == [(True,)]


@pytest.mark.parametrize("byte", [b"x", b"\xff", "字".encode()])
def test_a_path_that_is_too_long_is_told_and_the_rest_is_stored(vault: Vault, byte: bytes) -> None:
    name = byte * (200 // len(byte))
    _write_deep(vault, [name] * 5, b"short.md")
    _write_deep(vault, [b"y" + name] * 20, b"long.md")
    expected = 4 if byte != b"\xff" else 3
    report = vault.settled_sync()
    assert report.added == expected
    assert {skipped.reason for skipped in report.skipped} == {SkipReason.TOO_LONG}
    assert vault.project.verify().ok
    assert vault.sync().unchanged == expected
    assert {skipped.reason for skipped in vault.status().skipped} == {SkipReason.TOO_LONG}


def test_a_permalink_that_is_longer_than_its_path_is_cut(vault: Vault) -> None:
    """A syllable of Hangul takes three bytes, and its transliteration up to seven."""
    syllables = [chr(RANDOM.randrange(0xAC00, 0xD7A3)) for _ in range(84 * 7)]
    folders = ["".join(syllables[start : start + 84]).encode() for start in range(0, len(syllables), 84)]
    for name in (b"a.md", b"b.md"):
        _write_deep(vault, folders, name)
    assert vault.settled_sync().added == 5
    permalinks = [text for (text,) in vault.rows("SELECT permalink FROM entity WHERE octet_length(permalink) > 1000")]
    assert len(set(permalinks)) == 2
    assert vault.project.verify().ok


def test_in_a_file_no_path_is_too_long(vault: Vault) -> None:
    local = Vault(vault.root)
    _write_deep(local, [b"x" * 200] * 20, b"long.md")
    assert local.sync().added == 4
    assert local.project.verify().ok
    assert [skipped.reason for skipped in vault.sync().skipped] == [SkipReason.TOO_LONG]
    assert vault.project.verify().ok


@pytest.mark.parametrize("mtime_ns", [-(2**62), -1, 0, 2**33 * 10**9])
def test_far_mtimes_are_stored(vault: Vault, mtime_ns: int) -> None:
    try:
        os.utime(vault.root / "a.md", ns=(mtime_ns, mtime_ns))
    except OSError:
        pytest.skip("the file system has no such time")
    vault.sync()
    assert vault.project.verify().ok


def test_names_of_any_bytes_are_stored(vault: Vault) -> None:
    for name in (b"caf\xe9.md", b"a\nb.md", b"a\\b.md", b"'; DROP TABLE entity; --.md", b"\x01.md", b"$1 %s :x.md"):
        (vault.root / os.fsdecode(name)).write_text("[[a]]\n")
    vault.settled_sync()
    assert vault.project.verify().ok
    assert vault.sync().unchanged == 9


def _write_deep(vault: Vault, folders: list[bytes], name: bytes) -> None:
    """Write a file whose path is longer than a system call takes."""
    fd = os.open(vault.root, os.O_RDONLY)
    for folder in folders:
        with suppress(FileExistsError):
            os.mkdir(folder, dir_fd=fd)
        below = os.open(folder, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    file = os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd)
    os.write(file, b"text\n")
    os.close(file)
    os.close(fd)
