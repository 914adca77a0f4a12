from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex.errors import SafetyStopError
from bm_gitindex.syncing.safety import check_deletions, check_root
from support.values import survey_of

if TYPE_CHECKING:
    from bm_gitindex.survey import Survey

ROOT = Path("/notes")


@pytest.mark.parametrize(
    ("deletions", "before", "entries"),
    [(11, 0, 20), (1, 10, 20), (11, 0, 21), (16, 0, 30), (1, 15, 30), (20, 0, 20), (501, 0, 1000)],
)
def test_more_than_half_of_the_last_full_sync_stops(deletions: int, before: int, entries: int) -> None:
    with pytest.raises(SafetyStopError, match="--allow-mass-delete") as caught:
        check_deletions(deletions, before, entries)
    assert f"{deletions} of {entries} files are gone" in str(caught.value)
    assert (f"{before} more since" in str(caught.value)) is bool(before)


@pytest.mark.parametrize(
    ("deletions", "before", "entries"),
    [(10, 0, 20), (1, 9, 20), (10, 0, 21), (19, 0, 19), (0, 19, 20), (0, 0, 20), (500, 0, 1000), (0, 0, 0)],
)
def test_half_of_them_or_a_few_or_none_in_this_run_are_let_through(deletions: int, before: int, entries: int) -> None:
    check_deletions(deletions, before, entries)


def survey(files_seen: int = 0, **fields: Any) -> Survey:
    made = survey_of(**fields)
    made.counters.files_seen = files_seen
    return made


@pytest.mark.parametrize(
    "found",
    [
        survey(root_is_empty=True),
        survey(root_is_empty=True, is_whole=False),
        survey(is_whole=True),  # nothing but folders
    ],
)
def test_a_root_that_lost_everything_stops(found: Survey) -> None:
    with pytest.raises(
        SafetyStopError, match=r"/notes is empty, or all of it is ignored, and 1 files are known.*--allow-mass-delete"
    ):
        check_root(ROOT, found, 1)
    check_root(ROOT, found, 0)


@pytest.mark.parametrize(
    "found",
    [
        survey(files_seen=1),
        survey(is_whole=False),
        survey(unlooked=frozenset({b"folder"})),
    ],
)
def test_a_root_of_which_something_was_seen_or_not_all_could_be_is_not_empty(found: Survey) -> None:
    check_root(ROOT, found, 1)
