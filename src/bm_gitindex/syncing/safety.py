"""Stops before what looks like an accident: an emptied root, or too many files gone at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.errors import SafetyStopError

if TYPE_CHECKING:
    from pathlib import Path

    from bm_gitindex.survey import Survey

OVERRIDE = "--allow-mass-delete"

_FEWEST_ENTRIES = 20
"""A smaller project is not guarded: half of it is soon deleted on purpose."""


def check_root(root: Path, survey: Survey, known_count: int) -> None:
    """Raise SafetyStopError where a root that had files has none: a disk that is not mounted looks like that."""
    has_nothing = survey.root_is_empty or (survey.is_whole and not survey.counters.files_seen and not survey.unlooked)
    if known_count and has_nothing:
        raise SafetyStopError(
            f"{root} is empty, and {known_count} files are known; nothing was changed. "
            f"If it is meant to be empty: bm-gitindex sync {OVERRIDE}"
        )


def check_deletions(deletions: int, before: int, entries_at_full_sync: int) -> None:
    """Raise SafetyStopError where deletions exceed half of the entries of the last full sync.

    `deletions` are those of this run, `before` those of partial syncs since then.
    """
    if deletions and entries_at_full_sync >= _FEWEST_ENTRIES and 2 * (deletions + before) > entries_at_full_sync:
        since = f", {before} more since the last full sync" if before else ""
        raise SafetyStopError(
            f"{deletions} of {entries_at_full_sync} files are gone{since}; nothing was changed. "
            f"If they are meant to be: bm-gitindex sync {OVERRIDE}"
        )
