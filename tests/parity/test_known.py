"""What basic-memory's parser made of many notes, held against ours, without basic-memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from parity import known
from support.parity import ABSENT, Tally, differences, open_oracle, parsed

if TYPE_CHECKING:
    from pathlib import Path

DELIBERATE = {
    "created: 0001-01-01T00:00:00+14:00": "UTC cannot express it: ignored with a warning, kept as metadata",
    "created: 9999-12-31T23:59:59-14:00": "UTC cannot express it: ignored with a warning, kept as metadata",
    "a: !!pairs [a: 1, a: 2]": "scalars are text here too",
    "a: !!omap [a: 1, b: 2]": "scalars are text here too",
    "a: {1: b, ~: c, true: d}": "no value is lost because its key equals another one in Python",
    'title: "a\\0b"': "no database but SQLite stores NUL",
}
"""Front matter of which we say something else than basic-memory, and why; the list in docs/compatibility.md."""
LEFT_OUT = {
    "a note that is Latin-1": b"- [fact] caf\xe9 #x\n",
    "a note that is UTF-16": "- [fact] plain #x\n".encode("utf-16"),
    "bad YAML": b"---\ntitle: [unclosed\n---\n- [a] b\n",
    "a rule as the first line": b"---\nA rule.\n\n---\n- [a] b\n",
    "a list between two rules": b"---\n- [a] b\n---\n- [c] d\n",
    "a date that is none": b"---\ncreated: 2024-13-45\n---\n- [a] b\n",
    "a time of change that is none": b"---\ntitle: x\nmodified: soon\n---\n- [a] b\n",
}
"""What basic-memory drops without a word."""


@pytest.mark.parametrize("theme", known.themes(), ids=lambda theme: theme.stem)
def test_constructed_notes_say_what_they_say_in_basic_memory(theme: Path) -> None:
    tally = Tally()
    for case in known.constructed(theme):
        if not _is_deliberate(case):
            tally.compare(*case)
    assert tally.differences == []


@pytest.mark.parametrize("header", DELIBERATE)
def test_what_is_deliberately_otherwise_is_otherwise(header: str) -> None:
    cases = [case for theme in known.themes() for case in known.constructed(theme)]
    (case,) = (case for case in cases if _is_deliberate(case) and header in case.content.decode())
    assert differences(case.path, parsed(case.content), case.answer) != []


@pytest.mark.parametrize("content", LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_basic_memory_leaves_out_is_a_note_here_with_a_warning_and_its_facts(content: bytes) -> None:
    (case,) = (case for theme in known.themes() for case in known.constructed(theme) if case.content == content)
    assert case.answer.keys() == {"dropped"}
    note = parsed(content)
    assert len(note.warnings) == 1
    assert note.observations


def test_the_notes_of_the_fixtures_say_what_they_say_in_basic_memory() -> None:
    tally = Tally()
    for case in known.of_fixtures():
        tally.compare(*case)
    assert tally.differences == []
    assert [case.path for case in known.of_fixtures()] == list(known.fixture_paths())


def test_there_are_many_of_them_and_no_note_twice() -> None:
    notes = [case.content for theme in known.themes() for case in known.constructed(theme)]
    assert len(notes) == len(set(notes)) > 1_500


def test_the_answers_are_what_basic_memory_says_now() -> None:
    with open_oracle() as oracle:
        if oracle is None:
            pytest.skip(ABSENT)
        cases = [*known.of_fixtures(), *(case for theme in known.themes() for case in known.constructed(theme))]
        changed = [case.content for case in cases if oracle.note(case.path, case.content) != case.answer]
    assert changed == []


def test_one_wrong_answer_is_found() -> None:
    case = known.of_fixtures()[0]
    for name, value in (("title", "x"), ("tags", ["x"]), ("observations", []), ("relations", []), ("metadata", {})):
        wrong = json.loads(json.dumps(case.answer)) | {name: value}
        tally = Tally()
        tally.compare(case.path, case.content, wrong)
        assert len(tally.differences) == (wrong != case.answer)


def _is_deliberate(case: known.Case) -> bool:
    return any(case.content.startswith(f"---\n{header}\n---\n".encode()) for header in DELIBERATE)
