"""Our parser against what basic-memory's is known to answer: for the corpus and for the fixtures, on every Python."""

from __future__ import annotations

from functools import cache

import pytest

from parity.cases import Case, themes, unescaped
from parity.deliberate import DELIBERATE, fields
from parity.known import FIXTURES_THEME, all_cases, file_name, load
from parity.shape import NO_KEYS, differences, our_answer
from support.profile import record_figures

# Reasons in basic-memory's words, and what we say of the same note.
DROPPED = {
    ("encodings", "caf\\xe9 #t"): ("UnicodeDecodeError", "not UTF-8: read as Windows-1252"),
    ("encodings", "\\xff\\xfe[\\x00c\\x00]\\x00 \\x00x\\x00"): ("UnicodeDecodeError", "not UTF-8: read as UTF-16"),
    ("header_dates", "created: yesterday"): ("ValueError: Invalid ISO 8601", "created ignored: not an ISO 8601 date"),
    ("header_dates", "modified: yesterday"): ("ValueError: Invalid ISO 8601", "modified ignored: not an ISO 8601 date"),
    ("header_values", "a: [a, b"): ("ParseError: Invalid YAML", "front matter is not readable, taken as text: "),
    ("header_values", "a: b: c"): ("ParseError: Invalid YAML", "front matter is not readable, taken as text: "),
    ("header_values", "a: !foo x"): ("ParseError: Invalid YAML", "front matter is not readable, taken as text: "),
    ("header_fences", "---\\n\\nA rule first.\\n\\n---\\n- [fact] kept"): ("ParseError", NO_KEYS),
    ("header_fences", "---\\n- a\\n- b\\n---\\n[c] x"): ("ParseError: Frontmatter must be", NO_KEYS),
}
AROUND = "---\\n{}\\n---\\nbody #z"


@cache
def known() -> dict[str, list[Case]]:
    return all_cases()


def test_the_corpus_is_large_and_says_nothing_twice() -> None:
    keys = [case.key for theme in themes() for case in known()[theme]]
    assert len(themes()) >= 25
    assert len(keys) >= 2_000
    for theme in themes():
        assert len({case.key for case in known()[theme]}) == len(known()[theme]), theme


@pytest.mark.parametrize("theme", [*themes(), FIXTURES_THEME])
def test_every_note_says_what_basic_memory_says(theme: str) -> None:
    answers = load(theme)
    cases = known()[theme]
    assert [case.key for case in cases] == list(answers), "run python -m parity.answers"
    for case in cases:
        found = differences(file_name(case), case.data, answers[case.key])
        assert {line.partition(":")[0] for line in found} == fields(theme, case.key), (case.key, found)
    record_figures(
        f"known answers: {theme}",
        notes=len(cases),
        dropped=sum("dropped" in answer for answer in answers.values()),
        observations=sum(len(answer.get("observations", ())) for answer in answers.values()),
        relations=sum(len(answer.get("relations", ())) for answer in answers.values()),
    )


def test_what_is_deliberate_is_in_the_corpus() -> None:
    for theme, lines in DELIBERATE.items():
        found = {case.key for case in known()[theme] if fields(theme, case.key)}
        assert len(found) == len(lines), theme


@pytest.mark.parametrize(("theme", "line"), DROPPED, ids=lambda part: part[:30])
def test_what_basic_memory_drops_is_a_note_with_a_warning(theme: str, line: str) -> None:
    key = AROUND.replace("{}", line) if f"---\\n{line}\\n---" in "".join(load(theme)) else line
    reason, words = DROPPED[theme, line]
    assert load(theme)[key]["dropped"].startswith(reason)
    answer, warnings = our_answer("note.md", unescaped(key))
    assert [warning.startswith(words) for warning in warnings] == [True]
    assert answer["observations"]


def test_everything_that_is_dropped_is_a_note_here() -> None:
    """With what it says: no observation that basic-memory's parser finds in such a note is missing."""
    count = 0
    for theme, cases in known().items():
        answers = load(theme)
        for case in cases:
            if "dropped" in answers[case.key]:
                answer, _ = our_answer(file_name(case), case.data)
                contents = {observation[1] for observation in answer["observations"]}
                assert {one[1] for one in answers[case.key].get("observations", ())} <= contents, case.key
                count += 1
    assert count >= 100
