"""Our parser beside basic-memory's, wherever there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bm_gitindex.notes.permalink import generate_permalink
from parity import grammar, paths
from parity.known import FIXTURES
from parity.live import Figures, compare, different_permalinks, folder_notes, generated_notes, smallest
from parity.oracle import MISSING, VERSION, Oracle, oracle_python
from parity.shape import differences
from support.profile import NIGHTLY, record_figures

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTES = 20_000 if NIGHTLY else 1_000


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    python = oracle_python()
    if python is None:
        pytest.skip(MISSING)
    with Oracle(python) as oracle:
        yield oracle


def figures(test: str, found: Figures) -> None:
    record_figures(test, figures=found.line())
    assert [(place, lines) for place, _, lines in found.findings] == []


def test_the_version_is_the_one_that_is_documented(oracle: Oracle) -> None:
    assert oracle.version == VERSION


def test_the_known_answers_are_those_of_today(oracle: Oracle) -> None:
    from parity.answers.__main__ import stale

    assert stale(oracle) == []


def test_the_fixtures_say_the_same(oracle: Oracle) -> None:
    found = compare(oracle, folder_notes(FIXTURES))
    assert (found.notes, found.dropped) == (66, 5)
    figures("fixtures", found)


def test_generated_notes_say_the_same(oracle: Oracle) -> None:
    found = compare(oracle, generated_notes(range(NOTES)))
    assert found.observations > NOTES // 2
    assert found.relations > NOTES // 2
    figures("generated notes", found)


def test_the_same_seed_is_the_same_note() -> None:
    assert grammar.note(7) == grammar.note(7) != grammar.note(8)


def test_a_difference_is_seen_and_cut_down(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"---\ntitle: T\n---\n# Heading\n\n- [c] x #t (y)\n- rel [[T]]\n"
    assert differences("note.md", data, oracle.answer(data)) == []
    monkeypatch.setattr("bm_gitindex.notes.relations.PLAIN_LINK_TYPE", "is_broken")
    data += b"\n[[U]]\n"
    (line,) = differences("note.md", data, oracle.answer(data))
    assert line.startswith("relations: ours [['is_broken', 'U', None]]")
    assert smallest(oracle, data) == b"[[U]]"


@pytest.mark.parametrize(
    "path", ["API (v2).md", "CamelCase", "don't", "Café.md", "тест", "v1.2.3.md", "中文/测试A.md", "ノート", "한글"]
)
def test_permalinks_are_the_same(oracle: Oracle, path: str) -> None:
    assert oracle.permalinks([path]) == [generate_permalink(path)]


def test_permalinks_of_generated_paths_are_the_same(oracle: Oracle) -> None:
    given = paths.generated(5_000 if NIGHTLY else 500, seed=0) + list(paths.WORDS)
    assert different_permalinks(oracle, given) == {}
