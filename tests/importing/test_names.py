"""Permalinks and external ids that are held by another entity: swaps, chains, circles, and what cannot be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.importing import adopt, identities, permalinks

if TYPE_CHECKING:
    from support.basicmemory import TheirDatabase
    from support.vault import Vault

A, B, C = "Plan.md", "Soil.md", "beds/south-bed.md"


@pytest.fixture
def mapped(garden: Vault) -> Vault:
    """With one note that basic-memory does not have."""
    garden.write("Own.md", "mine\n")
    garden.sync()
    return garden


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param({A: "soil", B: "plan"}, {A: "soil", B: "plan"}, id="swap"),
        pytest.param({A: "soil", B: "beds/south-bed-1", C: "plan"}, None, id="circle"),
        pytest.param({A: "soil", B: "beds/south-bed-1", C: "free"}, None, id="chain"),
        pytest.param({A: "soil", B: "own"}, {A: "plan", B: "soil"}, id="chain that ends at one of ours"),
        pytest.param({A: "new", B: "new"}, {A: "plan", B: "soil"}, id="given twice"),
        pytest.param(
            {A: "soil", B: "x", C: "x"}, {A: "plan", B: "soil", C: "beds/south-bed-1"}, id="held by one of two"
        ),
        pytest.param({A: "soil", B: None}, {A: "plan", B: "soil"}, id="holder has none there"),
        pytest.param({A: "north"}, {A: "plan"}, id="stated by its holder"),
    ],
)
def test_permalinks_stay_unique(
    mapped: Vault, theirs: TheirDatabase, wanted: dict[str, str | None], expected: dict[str, str] | None
) -> None:
    theirs.without_indexes()
    for path, permalink in wanted.items():
        theirs.update(path, "permalink", permalink)
    report = adopt(mapped, theirs)
    ours = permalinks(mapped)
    expected = expected or {path: permalink or "" for path, permalink in wanted.items()}
    assert {path: ours[path] for path in expected} == expected
    refused = {one.path.decode() for one in report.conflicts}
    assert refused == {path for path, permalink in wanted.items() if permalink and expected[path] != permalink}
    again = adopt(mapped, theirs)
    assert (again.adopted, permalinks(mapped)) == (0, ours)


def test_external_ids_can_go_round(mapped: Vault, theirs: TheirDatabase) -> None:
    adopt(mapped, theirs)
    known = theirs.identities()
    theirs.without_indexes()
    for path, other in ((A, B), (B, C), (C, A)):
        theirs.update(path, "external_id", known[other][0])
    report = adopt(mapped, theirs)
    ours = identities(mapped)
    assert report.adopted == 3
    assert [ours[path][0] for path in (A, B, C)] == [known[path][0] for path in (B, C, A)]


def test_an_external_id_that_went_with_a_moved_note_stays_there(mapped: Vault, theirs: TheirDatabase) -> None:
    adopt(mapped, theirs)
    theirs_of_a = theirs.identities()[A][0]
    (mapped.root / A).rename(mapped.root / "Moved.md")
    mapped.sync()
    mapped.write(A, "a new note in its place\n")
    report = adopt(mapped, theirs)
    assert identities(mapped)["Moved.md"][0] == theirs_of_a
    held = [(one.path, one.field) for one in report.conflicts]
    assert held == [(A.encode(), "external_id"), (A.encode(), "permalink")]
    assert "Moved.md" in report.conflicts[0].reason


def test_an_external_id_given_twice_is_nobodys(mapped: Vault, theirs: TheirDatabase) -> None:
    before = identities(mapped)
    theirs.update(A, "external_id", theirs.identities()[B][0])
    report = adopt(mapped, theirs)
    assert {one.path.decode() for one in report.conflicts} == {A, B}
    assert [identities(mapped)[path][0] for path in (A, B)] == [before[path][0] for path in (A, B)]
