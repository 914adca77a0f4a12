from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bm_gitindex.notes.parser import parse_note
from bm_gitindex.options import NoteBounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bm_gitindex.notes.model import ParsedNote

BOUNDS = NoteBounds()

# fmt: off
YAML_PIECES = [
    "a", "title", "tags", "created", "permalink", ": ", ":\n", "- ", "\n", "  ", "[", "]", "{", "}", ", ",
    '"', "'", "#", "|", ">", "1", "2024-01-02", "true", "~", "&x ", "*x", "<<: ", "!!str ", "!!binary ", ".nan",
    "0x1", "? ", "---\n", '"\\ud800"', '"\\0"', "\t", "é", "=",
]
MARKDOWN_PIECES = [
    "[c] ", "[[A]]", "[[", "]]", "#tag ", "(ctx)", "(", "word ", "\n", "\n\n", "- ", "1. ", "> ", "  ", "    ",
    "\t", "`", "```\n", "**", "# ", "---\n", "===\n", "<div>\n", "<!--", "[a]: /u\n", "](u)", "\\", "&amp;",
    "::", "|", "\u3000",
]
# fmt: on


def parse(text: str) -> ParsedNote:
    return parse_note(text.encode(), BOUNDS)


def strings_in(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, item in value.items():
                yield from strings_in(key)
                yield from strings_in(item)
        case list() | tuple():
            for item in value:
                yield from strings_in(item)
        case _:
            assert value is None or isinstance(value, date)


def assert_storable(note: ParsedNote) -> None:
    for text in strings_in(note):
        assert "\x00" not in text
        text.encode()
    json.dumps(note.metadata, allow_nan=False)
    assert all("\n" not in warning for warning in note.warnings)
    for time in (note.created, note.modified):
        assert time is None or time.tzinfo is UTC


def pieces(vocabulary: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(vocabulary), max_size=20).map("".join)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_note(data: bytes) -> None:
    assert_storable(parse_note(data, BOUNDS))


@settings(max_examples=300)
@given(pieces(YAML_PIECES), pieces(MARKDOWN_PIECES))
def test_any_text_is_a_note(header: str, body: str) -> None:
    assert_storable(parse(f"---\n{header}\n---\n{body}"))


@given(pieces(['"', "a", ":", ",", "[", "]", "{", "}", "1", "\\ud800", "\\u0000", "NaN", "null", "\n"]))
def test_any_json_like_text_is_a_note(header: str) -> None:
    assert_storable(parse(f"{{\n{header}\n}}\nbody"))


def test_an_empty_file_is_a_note() -> None:
    note = parse_note(b"", BOUNDS)
    assert (note.title, note.type, note.permalink, note.tags) == (None, "note", None, ())
    assert (note.created, note.modified, note.metadata) == (None, None, {})
    assert (note.observations, note.relations, note.warnings) == ((), (), ())


@pytest.mark.parametrize(
    ("header", "title"),
    [
        ("title: A title", "A title"),
        ("type: x", None),
        ("title:", None),
        ("title: None", None),
        ("title: ''", None),
        ("title: []", None),
        ("title: 2024", "2024"),
        ("title: no", "False"),
        ("title: [a,b]", "a, b"),
        ("title: {a: b}", "{'a': 'b'}"),
        ('title: " a "', " a "),
        ('title: "a\\0b"', "ab"),
    ],
)
def test_title(header: str, title: str | None) -> None:
    assert parse(f"---\n{header}\n---\n").title == title


@pytest.mark.parametrize(
    ("header", "note_type"),
    [
        ("a: b", "note"),
        ("type:", "note"),
        ("type: ~", "note"),
        ("type: x", "x"),
        ("type: [a, 1]", "a, 1"),
        ("type: 1", "1"),
    ],
)
def test_type(header: str, note_type: str) -> None:
    assert parse(f"---\n{header}\n---\n").type == note_type


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("a: b", ()),
        ("tags:", ()),
        ("tags: ''", ()),
        ("tags: []", ()),
        ("tags: a, b", ("a", "b")),
        ("tags: a, #b", ("a",)),
        ("tags: '#a, #b'", ("a", "b")),
        ("tags: [a, '#b', b c]", ("a", "b", "b c")),
        ("tags: [2024, true, ~]", ("2024", "True")),
        ("tags:\n- a\n- 'b, c'", ("a", "b", "c")),
        ('tags: \'["a", "b"]\'', ("a", "b")),
        ("tags: '[]'", ()),
        ("tags: '[a, b]'", ("[a", "b]")),
        ("tags: 5", ("5",)),
    ],
)
def test_tags(header: str, tags: tuple[str, ...]) -> None:
    assert parse(f"---\n{header}\n---\n").tags == tags


@pytest.mark.parametrize(
    ("header", "permalink"),
    [("permalink: A B/c", "A B/c"), ("permalink: 123", "123"), ("permalink:", None), ("permalink: ''", None)],
)
def test_permalink(header: str, permalink: str | None) -> None:
    note = parse(f"---\n{header}\n---\n")
    assert (note.permalink, note.metadata, note.warnings) == (permalink, {}, ())


def test_a_list_as_permalink_is_ignored_and_kept_as_metadata() -> None:
    note = parse("---\npermalink: [a]\n---\n")
    assert (note.permalink, note.metadata) == (None, {"permalink": ["a"]})
    assert note.warnings == ("permalink ignored: not a text",)


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2024-01-02", datetime(2024, 1, 2, tzinfo=UTC)),
        ("2024-01-02 03:04:05", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02T03:04:05+02:00", datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("'2024-01-02 03:04'", datetime(2024, 1, 2, 3, 4, tzinfo=UTC)),
        ("20240102", datetime(2024, 1, 2, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("key", ["created", "modified"])
def test_iso_dates_are_times_in_utc(key: str, value: str, time: datetime) -> None:
    note = parse(f"---\n{key}: {value}\n---\n")
    assert getattr(note, key) == time
    assert (note.metadata, note.warnings) == ({}, ())


@pytest.mark.parametrize(
    "value", ["yesterday", "2024-13-45", "5", "''", "[a]", "true", "2024/01/02", "0001-01-01T00:00:00+14:00"]
)
def test_a_bad_date_is_a_warning(value: str) -> None:
    note = parse(f"---\ncreated: {value}\ntitle: T\n---\n- [c] x\n")
    assert note.created is None
    assert note.warnings == ("created ignored: not an ISO 8601 date",)
    assert "created" in note.metadata
    assert (note.title, len(note.observations)) == ("T", 1)


def test_other_keys_are_metadata() -> None:
    note = parse(
        "---\ntitle: T\ntype: t\ntags: a\npermalink: p\ncreated: 2024-01-01\nstatus: open\nn: {a: [1, ~]}\n---\n"
    )
    assert note.metadata == {"status": "open", "n": {"a": ["1", None]}}


@pytest.mark.parametrize("bad", ["a: [", "a: b: c", "a: !!python/object:os.system x", "a: !foo x", "a: 1\n\tb: 2"])
def test_bad_yaml_is_a_warning_and_the_file_plain_markdown(bad: str) -> None:
    note = parse(f"---\ntitle: T\n{bad}\n---\n- [c] x\n")
    assert (note.title, note.metadata) == (None, {})
    assert [observation.category for observation in note.observations] == ["c"]
    assert len(note.warnings) == 1
    assert note.warnings[0].startswith("front matter is not readable, taken as text: ")


def test_only_the_body_is_scanned() -> None:
    note = parse("---\na: '[[A]]'\nb: '#t'\n---\n[[B]]\n")
    assert [relation.target for relation in note.relations] == ["B"]
    assert note.observations == ()


@pytest.mark.parametrize(
    ("data", "title", "warnings"),
    [
        ("---\r\ntitle: Café\r\n---\r\n- [c] x\r\n".encode(), "Café", ()),
        ("\ufeff---\ntitle: Café\n---\n- [c] x".encode(), "Café", ()),
        ("\x00---\ntitle: Ca\x00fé\n---\n- [c] \x00x".encode(), "Café", ("NUL characters left out",)),
        ("---\ntitle: Café\n---\n- [c] x".encode("latin-1"), "Café", ("not UTF-8: read as Windows-1252",)),
        ("---\ntitle: Café\n---\n- [c] x\n\n\x81".encode("latin-1"), "Café", ("not UTF-8: read as Latin-1",)),
        ("---\ntitle: Café\n---\n- [c] x".encode("utf-16"), "Café", ("not UTF-8: read as UTF-16",)),
        ("\ufeff---\ntitle: Café\n---\n- [c] x".encode("utf-16-be"), "Café", ("not UTF-8: read as UTF-16",)),
    ],
)
def test_encodings_and_line_ends(data: bytes, title: str, warnings: tuple[str, ...]) -> None:
    note = parse_note(data, BOUNDS)
    assert (note.title, note.warnings) == (title, warnings)
    assert [(o.category, o.content) for o in note.observations] == [("c", "x")]


def test_half_a_surrogate_pair_is_replaced() -> None:
    note = parse_note(b"\xff\xfe" + b"#\x00\x00\xd8x\x00", BOUNDS)
    assert [observation.tags for observation in note.observations] == [("\ufffdx",)]


def test_warnings_of_all_kinds_come_together() -> None:
    note = parse_note(b"---\ncreated: x\npermalink: []\n---\n- [c] \xe9\n- [d] y", NoteBounds(max_items=1))
    assert [warning.partition(" ")[0] for warning in note.warnings] == ["not", "permalink", "created", "more"]
