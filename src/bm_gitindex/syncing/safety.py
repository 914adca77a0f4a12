"""Stops before what looks like an accident: an emptied root, or too many files gone at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.errors import SafetyStopError
from bm_gitindex.syncing.findings import is_tied

if TYPE_CHECKING:
    from pathlib import Path

    from bm_gitindex.changes import Examination
    from bm_gitindex.entities.records import ProjectState
    from bm_gitindex.survey import Survey

OVERRIDE = "--allow-mass-delete"

_FEWEST_ENTRIES = 20
"""A smaller project is not guarded: half of it is soon deleted on purpose."""


def check_root(root: Path, survey: Survey, known_count: int) -> None:
    """Raise SafetyStopError where a root that had files has none: a disk that is not mounted looks like that."""
    has_nothing = survey.root_is_empty or (survey.is_whole and not survey.counters.files_seen and not survey.unlooked)
    if known_count and has_nothing:
        raise SafetyStopError(
            f"{root} is empty, or all of it is ignored, and {known_count} files are known; nothing was changed. "
            f"If that is meant: bm-gitindex sync {OVERRIDE}"
        )


def check_rehearsal(examination: Examination, deletions: int, project: ProjectState | None, stored_count: int) -> None:
    """Raise SafetyStopError where a sync that finds this, and `deletions` by the index, would be stopped.

    Without an index the rows decide, of which only the number is known here, `stored_count`: as many are gone as there
    are fewer files.
    """
    survey, snapshot = examination.survey, examination.snapshot
    known_count = len(snapshot.index) if snapshot.exists else stored_count
    check_root(examination.status.root, survey, known_count)
    before, entries_at_full_sync = 0, known_count
    if project is not None:
        before, entries_at_full_sync = project.deleted_since_full_sync, project.entries_at_full_sync
        if not is_tied(project, snapshot):
            entries_at_full_sync = max(known_count, entries_at_full_sync)
    if snapshot.exists:
        check_deletions(deletions, before, entries_at_full_sync)
    elif survey.is_whole and not survey.unlooked:
        check_deletions(max(known_count - survey.counters.files_seen, 0), before, entries_at_full_sync)


def check_deletions(deletions: int, before: int, entries_at_full_sync: int) -> None:
    """Raise SafetyStopError where deletions exceed half of the entries of the last full sync.

    `deletions` are those of this run, `before` those of partial syncs since then, without what came back.
    """
    if deletions and entries_at_full_sync >= _FEWEST_ENTRIES and 2 * (deletions + before) > entries_at_full_sync:
        since = f", {before} more since the last full sync" if before else ""
        raise SafetyStopError(
            f"{deletions} of {entries_at_full_sync} files are gone{since}; nothing was changed. "
            f"If they are meant to be: bm-gitindex sync {OVERRIDE}"
        )
