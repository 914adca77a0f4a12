"""What the fuzzers begin with: small inputs that reach far, and the words of each format."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING

from bm_gitindex.index.encoding import encode
from bm_gitindex.index.entry import Entry, Tracking
from support import values
from support.values import compressed_record, entry, extension, header, record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WITHOUT_TRAILER = slice(None, -20)


@cache
def seeds() -> Mapping[str, Sequence[bytes]]:
    """Return inputs by the name of the target that they are for."""
    return {
        "index_reader": _indexes(),
        "note_parser": [note.encode() for note in _NOTES] + _UNDECODED,
        "ignore_rules": [b"\n".join(_PATTERNS), *_PATTERNS],
        "configuration": [text.encode() for text in _CONFIGURATIONS],
        "names": [name.encode() for name in _NAMES] + [b"caf\xe9/\xff.md", b"a//80.md"],
    }


def _indexes() -> list[bytes]:
    small = [entry(b"a.md"), entry(b"a/b.md"), entry(b"a0"), entry(b"b\x7f")]
    flagged = [Entry.of(b"big.pdf", values.STAT, values.SOME_ID, Tracking.STAT), *small]
    other_blocks = struct.pack(">3I", 1, 12, 3) + struct.pack(">2I", 12 + 3 * 72, 1)
    records = b"".join(map(record, (b"a", b"b", b"c", b"d")))
    bodies = [encode(entries)[_WITHOUT_TRAILER] for entries in ([], small[:1], small, flagged)]
    return [
        *bodies,
        encode([entry(b"l" * 4100)])[_WITHOUT_TRAILER],
        header(2, 4) + compressed_record(b"\0", b"abc/d") + compressed_record(b"\1", b"e", kept=4),
        header(2, 4) + compressed_record(b"\0", b"f" * 400) + compressed_record(b"\x81\x2d", b"g", kept=99),
        header(4) + records + extension(b"IEOT", other_blocks) + extension(b"TREE", b"\x00-1 0\n"),
        header(2) + record(b"m", 0x1000) + record(b"m", 0x2000),
        header(1, 3) + record(b"e", extended=0x2000),
    ]


_NOTES = [
    "",
    "plain",
    """---
title: A note
type: note
permalink: notes/a-note
tags: [one, 'two', "#three"]
created: 2024-02-30
modified: 2024-05-01T10:00:00+02:00
base: &base {a: 1, b: [x, y]}
more: {<<: *base, c: ~}
---
# Heading #tag

- [fact] It is so #tag (because)
- [ ] a task
- part_of [[Other Note|alias]] (context)
- 'is part of' [[project::name#heading]]
> quoted [[Link]]

1. one
   - [deep] two
     three #four

    code [[not a link]]

```
[[nor this]]
```
""",
    '{\n"title": "JSON", "tags": ["a", 1.5, null, {"b": []}]\n}\n\n[[a]] [[b [[c]] ]]',
    "---\na: !!binary aGVsbG8=\nb: !!timestamp 2024-01-01\nc: !!set {x, y}\nd: !!omap [a: 1]\ne: 0x1F\nf: .nan\n---\nx",
    "---\na: |\n  block\nb: >-\n  folded\n? key\n: value\n'\\u0000': \"\\ud800\"\n---\n- [x] #done\n",
    "* a\n\n  b\n\n\tc\n\n\t- d #e\n+ [f] g\n- - - [h] i\n",
    "[category] content (context\n[a]: b 'c'\n[[\n]]\n\\[[d]]\n<div>\n[[e]]\n</div>\n***\n",
    "> > - [a] b #c\nlazy [[d]]\n\n&amp; &#0; \\# `[[e]]` <http://f> ![g](h)\n",
]
_UNDECODED = [b"\xff\xfeh\0i\0", b"\xfe\xff\0h", b"\xef\xbb\xbf---\na: b\n---\nc", b"caf\xe9 [[x]]", b"a\0b [[c\0d]]"]
_PATTERNS = [
    b"# comment",
    b"*.log",
    b"!keep.log",
    b"/top",
    b"folder/",
    b"a/**/b",
    b"**/c",
    b"d/**",
    b"[a-z[:digit:]]?\\*\\",
    b"[!]a-]",
    b"trailing\\ ",
    b"a*b*c*d*e*f",
    b"**/a/**/b/**/c",
    b"\xef\xbb\xbfmarked\r",
]
_CONFIGURATIONS = [
    'note_suffixes = [".md"]\nignore = ["*.log", "!a"]\ninclude_hidden = true\nlarge_file_bytes = 1_000\n',
    'large_file_policy = "sample"\ntrust_ctime = false\ntrust_filemode = true\ncheck_stat = "minimal"\n',
    'state_dir = "../elsewhere"\n[bounds]\nnote_max_bytes = 10\nmax_nesting = 3\n',
    'bounds.max_items = 5\ninclude_temporary = false\n"odd.key" = 0x1F\na = 1979-05-27T07:32:00Z\nb = inf\n',
    'a = [[1, 2], ["x"]]\nb = {c = \'d\', e.f = """g\\u0000"""}\n[[h]]\n[h.i]\n',
]
_NAMES = [
    "Notes/API (v2).md",
    "camelCase",
    "日本語 note.md",
    "Ünïcode — ж/ß.markdown",
    ".md",
    "a|b#c",
    "[[x]]",
    "..//.",
]

DICTIONARIES: Mapping[str, Sequence[bytes]] = {
    "index_reader": [
        *(b"DIRC", b"IEOT", b"EOIE", b"TREE", b"link", b"sdir", b"\0\0\0\2", b"\0\0\0\3", b"\0\0\0\4", b"\0\0\0\x0c"),
        *(b"\x81\xa4", b"\x40\0", b"\x0f\xff", b".git", b"..", b"//", b"\x80\0", b"\xff\xff\xff\xff", bytes(20)),
    ],
    "note_parser": [
        *(b"---\n", b"- ", b"[[", b"]]", b"[a] ", b" #b", b" (c)", b"> ", b"1. ", b"```\n", b"\n\n", b"\t", b"    "),
        *(
            b": ",
            b"&a ",
            b"*a",
            b"<<: *a",
            b"!!set ",
            b"!!binary ",
            b"{",
            b"}",
            b"[",
            b"]",
            b'"',
            b"'",
            b"|",
            b"\\u0000",
        ),
        *(b"title: ", b"tags: ", b"created: ", b"permalink: ", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf"),
        *(b"\xc2\x85", b"<!--", b"-->", b"&#0;", b"::", b"|", b"\x0c", b"\xe2\x80\xa8", b"\\"),
    ],
    "ignore_rules": [
        b"**/",
        b"/**",
        b"*",
        b"?",
        b"[",
        b"]",
        b"[!",
        b"[:alpha:]",
        b"\\",
        b"!",
        b"/",
        b"\n",
        b"a-",
        b"#",
    ],
    "configuration": [
        b"[bounds]\n",
        b" = ",
        b'"',
        b"'''",
        b"[",
        b"]",
        b"{",
        b"}",
        b"\n",
        b"true",
        b"\\u0000",
        b"0x",
        b"-",
    ],
    "names": [b"/", b"//", b".md", b"|", b"#", b"::", b"\xe6\x97\xa5", b"\xff", b"\0", b" ", b"_", b"-", b"A"],
}
