"""What a note says, row by row: the rules of basic-memory's parser, each with its example.

`- [c] x` stands for a note of that line alone; a header stands above the body `body`.
"""

from __future__ import annotations

from typing import Any

import pytest

from parity.shape import our_answer

Observation = tuple[str | None, str, list[str], str | None]
Relation = tuple[str, str, str | None]

OBSERVATIONS: list[tuple[str, list[Observation]]] = [
    ("- [tech] Use X #a #b-c (why)", [("tech", "Use X #a #b-c", ["a", "b-c"], "why")]),
    ("- Something #tag (ctx)", [(None, "Something #tag", ["tag"], "ctx")]),
    ("[decision] x", [("decision", "x", [], None)]),
    ("## Heading #tag", [(None, "Heading #tag", ["tag"], None)]),
    ("- [ ] t #tag", []),
    ("- [x] t #tag", []),
    ("- [-] t #tag", []),
    ("- [X] done #tag", [(None, "[X] done #tag", ["tag"], None)]),
    ("- [>] later #tag", [(None, "[>] later #tag", ["tag"], None)]),
    ("- [/] y", []),
    ("- [!] y", []),
    ("- [00:00:11] y", []),
    ("- [00:00:11] y #tag", [(None, "[00:00:11] y #tag", ["tag"], None)]),
    ("- [1] y", [("1", "y", [], None)]),
    ("- [^1] y", [("^1", "y", [], None)]),
    ("- [a] y", [("a", "y", [], None)]),
    ("- [cat]y", []),
    ("- [a(b)] y", []),
    ("- [c] (only)", []),
    ("- [t](u)", []),
    ("- [t](u) more #tag", [(None, "[t](u) more #tag", ["tag"], None)]),
    ("- use # here", [(None, "use # here", [""], None)]),
    ("- color #ff0000", [(None, "color #ff0000", ["ff0000"], None)]),
    ("x #tag,", [(None, "x #tag,", ["tag,"], None)]),
    ("- [c] t (a (b))", [("c", "t (a", [], "b)")]),
    ("- [c] l1 #t\n  l2 (ctx)", [("c", "l1 #t", ["t"], None)]),
    ("|a|b|\n|-|-|\n| #t |x|", [(None, "|a|b|\n|-|-|\n| #t |x|", ["t"], None)]),
    ("```\n- [c] x #t\n```", []),
    ("> - [c] x #t", []),
    ("<!-- [c] x #t -->", []),
    ("`[c] x #t`", [(None, "`[c] x #t`", ["t`"], None)]),
    ("- [fact] [[A]]", [("fact", "[[A]]", [], None)]),
]

RELATIONS: list[tuple[str, list[Relation]]] = [
    ("- implements [[T]] (c)", [("implements", "T", "c")]),
    ("- depends on [[T]]", [("links_to", "T", None)]),
    ('- "depends on" [[T]]', [("depends on", "T", None)]),
    ("- uses [[A]] for [[B]]", [("links_to", "A", None), ("links_to", "B", None)]),
    ("- relates_to: [[A]]", [("relates_to:", "A", None)]),
    ("- [fact] [[A]]", [("[fact]", "A", None)]),
    ("implements [[T]]", [("links_to", "T", None)]),
    ("[[B|al]]", [("links_to", "B|al", None)]),
    ("[[A#H]]", [("links_to", "A#H", None)]),
    ("![[i.png]]", [("links_to", "i.png", None)]),
    ("`[[A]]`", [("links_to", "A", None)]),
    ("> [[A]]", [("links_to", "A", None)]),
    ("```\n[[A]]\n```", []),
    ("[[proj::N]]", [("links_to", "proj/N", None)]),
    ("[[]]", []),
    ("[[A", []),
]

HEADERS: list[tuple[str, dict[str, Any]]] = [
    ("a: b", {"title": "note", "type": "note", "tags": [], "permalink": None}),
    ("title:\ntype:", {"title": "note", "type": "note"}),
    ("title: None", {"title": "note"}),
    ("title: [a,b]", {"title": "a, b"}),
    ("type: [a, b]", {"type": "a, b"}),
    ("tags: [a, '#b']", {"tags": ["a", "b"]}),
    ("tags: a, b", {"tags": ["a", "b"]}),
    ("tags: a, #b", {"tags": ["a"]}),
    ("n: 2024\nb: no\nkey: {d: 1.5}", {"metadata": {"n": "2024", "b": "False", "key": {"d": "1.5"}}}),
    ("permalink: 123", {"permalink": "123"}),
    ("permalink: [a]", {"permalink": None}),
    ("created: 2024-01-02", {"created": "2024-01-02T00:00:00+00:00", "modified": None}),
    ("modified: 2024-01-02T03:04:05Z", {"created": None, "modified": "2024-01-02T03:04:05+00:00"}),
    ("about: '[[A]] #t'", {"observations": [], "relations": []}),
]

# Bytes; title; the beginning of each warning.
FILES: list[tuple[bytes, str, list[str]]] = [
    (b"---\ntitle: [T\n---\n[c] x", "note", ["front matter is not readable, "]),
    (b"---\ntitle: T\na: !!python/name:os.system x\n---\n[c] x", "note", ["front matter is not readable, "]),
    (b"---\n\nprose\n\n---\n[c] x", "note", ["front matter has no keys, taken as text: "]),
    (b"---\ntitle: T\ncreated: yesterday\n---\n[c] x", "T", ["created ignored: not an ISO 8601 date"]),
    ("---\ntitle: Café\n---\n[c] x".encode("latin-1"), "Café", ["not UTF-8: read as Windows-1252"]),
    ("---\ntitle: Café\n---\n[c] x".encode("utf-16"), "Café", ["not UTF-8: read as UTF-16"]),
    (b"---\r\ntitle: T\r\n---\r\n[c] x\r\n", "T", []),
    (b"\xef\xbb\xbf---\ntitle: T\n---\n[c] x", "T", []),
    (b"---\ntitle: T\x00\n---\n[c] x", "T", ["NUL characters left out"]),
    (b'{\n"title": "T"\n}\n[c] x', "T", []),
]


@pytest.mark.parametrize(("markdown", "expected"), OBSERVATIONS)
def test_observations(markdown: str, expected: list[Observation]) -> None:
    answer, _ = our_answer("note.md", markdown.encode())
    assert [tuple(one) for one in answer["observations"]] == expected


@pytest.mark.parametrize(("markdown", "expected"), RELATIONS)
def test_relations(markdown: str, expected: list[Relation]) -> None:
    answer, _ = our_answer("note.md", markdown.encode())
    assert [tuple(one) for one in answer["relations"]] == expected


@pytest.mark.parametrize(("header", "expected"), HEADERS)
def test_headers(header: str, expected: dict[str, Any]) -> None:
    answer, _ = our_answer("note.md", f"---\n{header}\n---\nbody".encode())
    assert {key: answer.get(key) for key in expected} == expected


@pytest.mark.parametrize(("data", "title", "warnings"), FILES)
def test_files(data: bytes, title: str, warnings: list[str]) -> None:
    answer, found = our_answer("note.md", data)
    assert (answer["title"], len(found)) == (title, len(warnings))
    assert all(one.startswith(words) for one, words in zip(found, warnings, strict=True))
    assert [one[:2] for one in answer["observations"]] == [["c", "x"]]
