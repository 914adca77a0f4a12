"""What is taken over from basic-memory, what is not, and that it stays."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from bm_gitindex import ImportRequest, NoteBounds, Options
from bm_gitindex.entities.adopting import Adopting
from bm_gitindex.errors import LockHeldError, NotFoundError
from bm_gitindex.indexlock import lock_index
from bm_gitindex.syncing import importing, session
from support.basicmemory import ELSEWHERE, GONE, NOTES, PROJECT
from support.importing import STORED, adopt, identities, permalinks

if TYPE_CHECKING:
    from support.basicmemory import TheirDatabase
    from support.vault import Vault


def test_every_file_is_known_afterwards_by_what_basic_memory_knew_it_by(garden: Vault, theirs: TheirDatabase) -> None:
    report = adopt(garden, theirs)
    known = theirs.identities()
    assert known.pop(GONE)
    assert identities(garden) == known
    assert (report.adopted, report.unchanged, report.conflicts, report.skipped) == (len(NOTES), 0, [], [])
    assert report.sync is not None
    assert report.sync.added == len(NOTES)


def test_what_only_basic_memory_has_is_told_and_what_only_we_have_stays(garden: Vault, theirs: TheirDatabase) -> None:
    garden.write("New.md", "new\n")
    garden.sync()
    before = identities(garden)["New.md"]
    report = adopt(garden, theirs)
    assert report.not_found == [GONE.encode()]
    assert identities(garden)["New.md"] == before


def test_a_second_import_changes_nothing_and_says_so(garden: Vault, theirs: TheirDatabase) -> None:
    adopt(garden, theirs)
    before = garden.rows(STORED)
    report = adopt(garden, theirs)
    assert (report.adopted, report.unchanged) == (0, len(NOTES))
    assert garden.rows(STORED) == before


def test_a_project_can_be_named_by_its_path(garden: Vault, theirs: TheirDatabase) -> None:
    theirs.execute("UPDATE project SET path = ? WHERE name = ?", str(garden.root), PROJECT)
    garden.project.import_basic_memory_blocking(ImportRequest(theirs.path, str(garden.root)))
    assert permalinks(garden)["Plan.md"] == "garden/plan"


@pytest.mark.parametrize("wait_s", [0.0, 0.2])
def test_a_rehearsal_waits_for_the_lock_as_long_as_it_was_told(
    garden: Vault, theirs: TheirDatabase, wait_s: float
) -> None:
    garden.sync()
    with lock_index(garden.project.state, 0, "another sync"), pytest.raises(LockHeldError, match="another sync"):
        adopt(garden, theirs, is_rehearsal=True, wait_s=wait_s)
    assert adopt(garden, theirs, is_rehearsal=True).adopted == len(NOTES)


def test_an_index_that_is_not_the_databases_is_not_built_upon(garden: Vault, theirs: TheirDatabase) -> None:
    garden.sync()
    garden.index_path.unlink()
    with pytest.raises(LockHeldError, match="a sync that did not finish"):
        adopt(garden, theirs, is_rehearsal=True)


def test_only_the_named_project_is_read(garden: Vault, theirs: TheirDatabase) -> None:
    report = garden.project.import_basic_memory_blocking(ImportRequest(theirs.path, ELSEWHERE))
    assert permalinks(garden)["Plan.md"] == "shed/plan"
    assert (report.adopted, report.not_found) == (1, [])


def test_what_a_note_states_is_not_overruled(garden: Vault, theirs: TheirDatabase) -> None:
    theirs.update("beds/North Bed.md", "permalink", "garden/elsewhere")
    theirs.update("beds/South Bed.md", "created_at", "2020-01-01 00:00:00.000000")
    report = adopt(garden, theirs)
    found = {(one.path, one.field, one.theirs, one.ours) for one in report.conflicts}
    stated = "2023-04-05T06:07:08+00:00"
    assert found == {
        (b"beds/North Bed.md", "permalink", "garden/elsewhere", "north"),
        (b"beds/South Bed.md", "created_at", "2020-01-01T00:00:00+00:00", stated),
    }
    known, ours = theirs.identities(), identities(garden)
    assert ours["beds/North Bed.md"] == (known["beds/North Bed.md"][0], "north", known["beds/North Bed.md"][2])
    assert ours["beds/South Bed.md"] == (*known["beds/South Bed.md"][:2], "2023-04-05 06:07:08.000000")


def test_times_are_those_of_this_machines_zone(
    garden: Vault, theirs: TheirDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    theirs.update("Soil.md", "created_at", "2024-07-01 08:00:00.000000")
    adopt(garden, theirs)
    assert identities(garden)["Soil.md"][2] == "2024-07-01 12:00:00.000000"


def test_links_lead_where_the_new_permalinks_say(garden: Vault, theirs: TheirDatabase) -> None:
    query = """SELECT target, aim.file_path FROM relation JOIN entity AS source ON source.id = from_id
               LEFT JOIN entity AS aim ON aim.id = to_id WHERE source.file_path = 'Soil.md'"""
    garden.sync()
    assert dict(garden.rows(query)) == {"garden/plan": None, "plan": "Plan.md"}  # type: ignore[arg-type]
    adopt(garden, theirs)
    assert dict(garden.rows(query)) == {"garden/plan": "Plan.md", "plan": "Plan.md"}  # type: ignore[arg-type]


def test_an_unchanged_sync_has_nothing_to_do_afterwards(garden: Vault, theirs: TheirDatabase) -> None:
    garden.settled_sync()
    adopt(garden, theirs)
    report = garden.sync()
    assert (report.counters.files_read, report.entities_written, report.notices) == (0, 0, [])
    assert report.counts["unchanged"] == len(NOTES)


@pytest.mark.parametrize("change", ["edit", "move", "paranoid", "touch"])
def test_what_was_adopted_is_kept(garden: Vault, theirs: TheirDatabase, change: str) -> None:
    adopt(garden, theirs)
    before = identities(garden)["Soil.md"]
    path = "Soil.md"
    if change == "edit":
        garden.write("Soil.md", "Quite another text.\n")
    elif change == "move":
        path = "Earth.md"
        (garden.root / "Soil.md").rename(garden.root / path)
    elif change == "touch":
        os.utime(garden.root / "Soil.md")
    garden.sync(paranoid=change == "paranoid")
    assert identities(garden)[path] == before


def test_a_rehearsal_says_what_an_import_does_and_changes_nothing(garden: Vault, theirs: TheirDatabase) -> None:
    garden.settled_sync()
    before, state = garden.rows(STORED), garden.state_bytes()
    rehearsed = adopt(garden, theirs, is_rehearsal=True)
    assert garden.rows(STORED) == before
    assert garden.state_bytes() == state
    done = adopt(garden, theirs)
    rehearsed.sync, rehearsed.seconds = done.sync, done.seconds
    assert rehearsed == done


def test_a_rehearsal_before_the_first_sync_creates_nothing(garden: Vault, theirs: TheirDatabase) -> None:
    with pytest.raises(NotFoundError, match="sync"):
        adopt(garden, theirs, is_rehearsal=True)
    assert not garden.state_path.exists()


@pytest.mark.parametrize("step", ["held", "stage", "settle", "finish", "_write"])
def test_an_import_that_fails_midway_has_taken_over_nothing(
    garden: Vault, theirs: TheirDatabase, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    garden.sync()
    before = garden.rows(STORED)
    whole = getattr(Adopting, step)

    async def failing(*arguments: object) -> None:
        await whole(*arguments)
        raise RuntimeError(step)

    with monkeypatch.context() as patched:
        patched.setattr(Adopting, step, failing)
        with pytest.raises(RuntimeError, match=step):
            adopt(garden, theirs)
    assert garden.rows(STORED) == before
    assert adopt(garden, theirs).adopted == len(NOTES)


async def test_a_cancelled_import_has_taken_over_nothing(
    garden: Vault, theirs: TheirDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await garden.project.sync()
    before = garden.rows(STORED)
    settle = Adopting.settle

    async def cancelling(adopting: Adopting) -> object:
        task.cancel()
        await asyncio.sleep(0)
        return await settle(adopting)

    monkeypatch.setattr(Adopting, "settle", cancelling)
    task = asyncio.ensure_future(garden.project.import_basic_memory(ImportRequest(theirs.path, PROJECT)))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert garden.rows(STORED) == before


def test_a_note_that_changes_under_the_import_is_left_for_the_next(
    garden: Vault, theirs: TheirDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    garden.sync()
    before = identities(garden)["Soil.md"]

    async def then_edit(*arguments: object) -> object:
        report = await session.sync(*arguments)  # type: ignore[arg-type]
        garden.write("Soil.md", "---\npermalink: mine\n---\n")
        return report

    monkeypatch.setattr(importing, "sync", then_edit)
    report = adopt(garden, theirs)
    assert [one.path for one in report.skipped] == [b"Soil.md"]
    assert identities(garden)["Soil.md"] == before


def test_a_note_too_large_to_be_parsed_has_no_permalink_to_give(garden: Vault, theirs: TheirDatabase) -> None:
    garden.options = Options(bounds=NoteBounds(note_max_bytes=60))
    report = adopt(garden, theirs)
    assert [(one.path, one.field) for one in report.conflicts if one.path == b"Plan.md"] == [(b"Plan.md", "permalink")]
    known = theirs.identities()["Plan.md"]
    assert identities(garden)["Plan.md"] == (known[0], None, known[2])


@pytest.mark.parametrize(("stored", "found"), [("\u00dcnder/e\u0301.md", 1), ("U\u0308nder/e\u0301.md", 1), ("x", 0)])
def test_a_path_in_another_spelling_of_unicode_is_the_same_file(
    garden: Vault, theirs: TheirDatabase, stored: str, found: int
) -> None:
    path = "\u00dcnder/\u00e9.md"
    theirs.update(path, "file_path", stored)
    report = adopt(garden, theirs)
    matched = identities(garden)[path][1] == "garden/under/e"
    # NFC and NFD of the whole path are tried, and no mixture of both.
    assert matched is bool(found)
    assert (stored.encode() in report.not_found) is not matched


def test_the_spelling_of_a_path_counts_where_both_are_there(garden: Vault, theirs: TheirDatabase) -> None:
    composed, decomposed = "\u00dcnder/\u00e9.md", "U\u0308nder/e\u0301.md"
    theirs.update("Soil.md", "file_path", decomposed)
    known = theirs.identities()
    report = adopt(garden, theirs)
    assert identities(garden)[composed][0] == known[composed][0]
    assert decomposed.encode() in report.not_found
    garden.write(decomposed, "another\n")
    adopt(garden, theirs)
    assert identities(garden)[decomposed][0] == known[decomposed][0]
    assert identities(garden)[composed][0] == known[composed][0]
