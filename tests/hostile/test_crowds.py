"""Thousands of files that are alike: of one content, one title, one permalink, in one folder."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from support.profile import NIGHTLY
from support.vault import Vault, never_young

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CROWD = 10_000 if NIGHTLY else 600


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    never_young(monkeypatch)
    vault = Vault(tmp_path / "vault")
    vault.write("good.md", "- [c] neighbour\n")
    return vault


def names_of_one_permalink() -> Iterator[str]:
    """`a!b`, `a+b`, `a!!b` and so on: all of them give `a-b`."""
    marks = ("".join(some) for length in itertools.count(1) for some in itertools.product("!+=,", repeat=length))
    return (f"a{some}b.md" for some in marks)


def assert_sound(vault: Vault) -> None:
    vault.age_index()
    assert vault.sync().counters.files_read == 0
    assert vault.project.verify().ok
    assert vault.rows(
        "SELECT content FROM observation JOIN entity ON entity.id = entity_id WHERE file_path = 'good.md'"
    )


@pytest.mark.parametrize("header", ["title: Same\npermalink: same", "permalink: good"])
def test_notes_that_state_the_same_names(vault: Vault, header: str) -> None:
    for number in range(CROWD):
        vault.write(f"{number % 50}/n{number}.md", f"---\n{header}\n---\n")
    assert vault.settled_sync().added == CROWD + 1
    assert vault.rows("SELECT count(*), count(DISTINCT permalink) FROM entity") == [(CROWD + 1, CROWD + 1)]
    assert_sound(vault)


def test_permalinks_of_one_base_are_asked_for_once_each(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bm_gitindex.syncing.intake.BATCH_FILES", CROWD // 12)
    for name in itertools.islice(names_of_one_permalink(), CROWD):
        vault.write(name)
    asked = 0

    def count(_connection: object, _cursor: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        nonlocal asked
        if statement.startswith("SELECT entity.permalink"):
            asked += len(parameters) - 1

    event.listen(Engine, "before_cursor_execute", count)
    try:
        vault.settled_sync()
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    expected = {"good", "a-b", *(f"a-b-{number}" for number in range(1, CROWD))}
    assert {permalink for (permalink,) in vault.rows("SELECT permalink FROM entity")} == expected
    # One for each note, and some ahead; if each batch began anew, there would be six for each note.
    assert asked < 2 * CROWD
    assert_sound(vault)


def test_links_to_an_ambiguous_title_are_free_and_taken_together(vault: Vault) -> None:
    links = 100_000 if NIGHTLY else 10_000
    vault.write("one.md", "---\ntitle: Same\n---\n[[Same]] [[one]]")
    vault.write("two.md", "---\ntitle: Same\n---\n[[two]]")
    for number in range(4):
        vault.write(f"links{number}.md", "[[Same]] " * (links // 4))
    vault.settled_sync()
    resolved = "SELECT count(*) FROM relation WHERE to_id IS NOT NULL"
    assert vault.rows(resolved) == [(2,)]  # each to itself
    (vault.root / "two.md").unlink()
    vault.settled_sync()
    assert vault.rows(resolved) == [(links + 2,)]
    assert_sound(vault)


@pytest.mark.parametrize("content", ["", "all the same\n"])
def test_a_moved_folder_of_files_alike(vault: Vault, content: str) -> None:
    for number in range(CROWD):
        vault.write(f"old/{number % 50}/n{number}.md", content)
    vault.settled_sync()
    ids = vault.ids()
    (vault.root / "old").rename(vault.root / "new")
    report = vault.sync()
    assert (report.moved, report.counters.files_read, report.deleted, report.added) == (CROWD, 0, 0, 0)
    assert {str(path).replace("new/", "old/"): row for path, row in vault.ids().items()} == ids
    assert_sound(vault)


def test_files_alike_that_were_moved_one_by_one_keep_their_names_apart(vault: Vault) -> None:
    """One of them is gone, so that a pairing in order would give each of the rest the id of its neighbour."""
    count = 5_000 if NIGHTLY else 300
    for number in range(count):
        vault.write(f"old/n{number:05}.md", "all the same\n")
    vault.settled_sync()
    ids = vault.ids()
    (vault.root / "new").mkdir()
    for number in range(1, count):
        (vault.root / f"old/n{number:05}.md").rename(vault.root / f"new/n{number:05}.md")
    (vault.root / "old/n00000.md").unlink()
    report = vault.sync()
    assert (report.moved, report.deleted) == (count - 1, 1)
    kept = {f"old/n{number:05}.md": vault.ids()[f"new/n{number:05}.md"] for number in range(1, count)}
    assert kept == {path: row for path, row in ids.items() if path in kept}
    assert_sound(vault)


@pytest.mark.skipif(not NIGHTLY, reason="takes minutes; BM_GITINDEX_NIGHTLY=1 runs it")
def test_a_folder_with_fifty_thousand_notes(vault: Vault) -> None:
    for number in range(50_000):
        vault.write(f"crowd/n{number}.md", f"# {number}\n")
    assert vault.settled_sync().added == 50_001
    assert_sound(vault)
