"""The table of what basic-memory finds in a note, row by row."""

from __future__ import annotations

import json

import pytest

from parity.known import PATH
from support.parity import ABSENT, differences, open_oracle, parsed

LINKS_TO = "links_to"
Fact = tuple[str | None, str, list[str], str | None]
Link = tuple[str, str, str | None]

OBSERVATIONS: dict[str, list[Fact]] = {
    "- [tech] Use X #a #b-c (why)": [("tech", "Use X #a #b-c", ["a", "b-c"], "why")],
    "- Something #tag (ctx)": [(None, "Something #tag", ["tag"], "ctx")],
    "[decision] x": [("decision", "x", [], None)],
    "## Heading #tag": [(None, "Heading #tag", ["tag"], None)],
    "- [ ] t #tag": [],
    "- [x] t #tag": [],
    "- [-] t #tag": [],
    "- [X] done #tag": [(None, "[X] done #tag", ["tag"], None)],
    "- [>] later #tag": [(None, "[>] later #tag", ["tag"], None)],
    "- [/] y": [],
    "- [!] y": [],
    "- [00:00:11] y": [],
    "- [00:00:11] y #tag": [(None, "[00:00:11] y #tag", ["tag"], None)],
    "- [1] y": [("1", "y", [], None)],
    "- [^1] y": [("^1", "y", [], None)],
    "- [a] y": [("a", "y", [], None)],
    "- [cat]y": [],
    "- [a(b)] y": [],
    "- [c] (only)": [],
    "- [t](u)": [],
    "- [t](u) more #tag": [(None, "[t](u) more #tag", ["tag"], None)],
    "- use # here": [(None, "use # here", [""], None)],
    "- color #ff0000": [(None, "color #ff0000", ["ff0000"], None)],
    "x #tag,": [(None, "x #tag,", ["tag,"], None)],
    "- [c] t (a (b))": [("c", "t (a", [], "b)")],
    "- [c] l1 #t\n  l2 (ctx)": [("c", "l1 #t", ["t"], None)],
    "| a | b |\n|---|---|\n| x #t | y |": [(None, "| a | b |\n|---|---|\n| x #t | y |", ["t"], None)],
    "```\n[c] x #t\n```": [],
    "> [c] x #t": [],
    "<!-- [c] x #t -->": [],
    "`[c] x #t`": [(None, "`[c] x #t`", ["t`"], None)],
}
RELATIONS: dict[str, list[Link]] = {
    "- implements [[T]] (c)": [("implements", "T", "c")],
    "- depends on [[T]]": [(LINKS_TO, "T", None)],
    '- "depends on" [[T]]': [("depends on", "T", None)],
    "- uses [[A]] for [[B]]": [(LINKS_TO, "A", None), (LINKS_TO, "B", None)],
    "- relates_to: [[A]]": [("relates_to:", "A", None)],
    "- [fact] [[A]]": [("[fact]", "A", None)],
    "[[B|al]]": [(LINKS_TO, "B|al", None)],
    "[[A#H]]": [(LINKS_TO, "A#H", None)],
    "![[i.png]]": [(LINKS_TO, "i.png", None)],
    "`[[A]]`": [(LINKS_TO, "A", None)],
    "> [[A]]": [(LINKS_TO, "A", None)],
    "```\n[[A]]\n```": [],
    "[[proj::N]]": [(LINKS_TO, "proj/N", None)],
    "[[]]": [],
    "[[unclosed": [],
}
FRONT_MATTER: dict[str, dict[str, object]] = {
    "": {"title": "Some Note", "type": "note", "tags": []},
    "title:": {"title": "Some Note"},
    "title: None": {"title": "Some Note"},
    "title: [a,b]": {"title": "a, b"},
    "type:": {"type": "note"},
    "type: [a, b]": {"type": "a, b"},
    "tags: a, #b": {"tags": ["a"]},
    "tags: [a, '#b']": {"tags": ["a", "b"]},
    "tags: 'a, #b'": {"tags": ["a", "b"]},
    "year: 2024": {"metadata": {"year": "2024"}},
    "open: no": {"metadata": {"open": "False"}},
    "permalink: 123": {"permalink": "123"},
    "permalink: As/It Stands": {"permalink": "As/It Stands"},
}


@pytest.mark.parametrize("text", OBSERVATIONS)
def test_observations(text: str) -> None:
    found = [(one.category, one.content, list(one.tags), one.context) for one in parsed(text.encode()).observations]
    assert found == OBSERVATIONS[text]


@pytest.mark.parametrize("text", RELATIONS)
def test_relations(text: str) -> None:
    assert [(one.type, one.target, one.context) for one in parsed(text.encode()).relations] == RELATIONS[text]


def test_a_relation_may_be_an_observation_too() -> None:
    note = parsed(b"- [fact] [[A]]\n")
    assert [(one.category, one.content) for one in note.observations] == [("fact", "[[A]]")]


@pytest.mark.parametrize("header", FRONT_MATTER)
def test_front_matter(header: str) -> None:
    note = parsed(f"---\n{header}\n---\n".encode())
    found = {
        "title": note.title or "Some Note",
        "type": note.type,
        "tags": list(note.tags),
        "permalink": note.permalink,
        "metadata": dict(note.metadata),
    }
    assert {name: found[name] for name in FRONT_MATTER[header]} == FRONT_MATTER[header]
    assert note.warnings == ()


def test_a_permalink_that_is_a_list_is_ignored_with_a_warning() -> None:
    note = parsed(b"---\npermalink: [a]\n---\n")
    assert (note.permalink, note.warnings) == (None, ("permalink ignored: not a text",))


@pytest.mark.parametrize("header", ["title: [unclosed", "a: !!python/object:os.system x"])
def test_front_matter_that_cannot_be_read_is_text(header: str) -> None:
    note = parsed(f"---\n{header}\n---\n- [fact] kept\n".encode())
    assert (note.title, [one.content for one in note.observations]) == (None, ["kept"])
    assert note.warnings[0].startswith("front matter is not readable, taken as text")


@pytest.mark.parametrize(
    "content", [b"- [a] b #c\r\n- d [[E]]\r\n", b"\xef\xbb\xbf- [a] b #c\n- d [[E]]\n", b"- [a] b\0 #c\n- d [[E]]\n"]
)
def test_line_ends_mark_and_nul_make_no_difference(content: bytes) -> None:
    plain = parsed(b"- [a] b #c\n- d [[E]]\n")
    assert (parsed(content).observations, parsed(content).relations) == (plain.observations, plain.relations)


def test_a_header_may_be_json() -> None:
    note = parsed(json.dumps({"title": "T", "tags": ["a"], "n": 1}, indent=1).encode() + b"\nbody\n")
    assert (note.title, note.tags, dict(note.metadata)) == ("T", ("a",), {"n": "1"})


def test_the_table_is_what_basic_memory_says() -> None:
    with open_oracle() as oracle:
        if oracle is None:
            pytest.skip(ABSENT)
        texts = [*OBSERVATIONS, *RELATIONS, *(f"---\n{header}\n---\n" for header in FRONT_MATTER)]
        for text in texts:
            content = text.encode()
            assert differences(PATH, parsed(content), oracle.note(PATH, content)) == [], text
