"""What a watcher tells: what it synced, and how it fares."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bm_gitindex.rules import Skipped
    from bm_gitindex.syncing.report import SyncReport


class WatchReport(NamedTuple):
    """One look of a watcher's at what has changed, or at everything, that had something to tell."""

    sync: SyncReport | None
    """What was done; None where nothing could be."""
    paths: tuple[bytes, ...] = ()
    """What was looked at; none where everything was."""
    reason: str = ""
    """Why everything was looked at."""
    missed: tuple[bytes, ...] = ()
    """What a pass found changed though no event had told of it: named up to a bound."""
    skipped: tuple[Skipped, ...] = ()
    """What was passed over, and was not before."""
    notes: tuple[str, ...] = ()
    """What is new about how the project is watched."""
    error: str = ""
    """Why nothing could be done. It is tried again."""
    at_s: float = 0.0
    """When this was told, in seconds since the epoch."""

    @property
    def tells_something(self) -> bool:
        """Whether anything changed, failed, or was out of the ordinary."""
        sync = self.sync
        if sync is None:
            return bool(self.error)
        changed = sync.added + sync.modified + sync.deleted + sync.moved
        return bool(changed or sync.failed or sync.notices or self.missed or self.skipped)


@dataclass(slots=True)
class WatchState:
    """How a watcher fares."""

    started_s: float
    """Seconds since the epoch, as all times here; 0 is never."""
    mode: str = "starting"
    """`events`, `polling`, or `starting`."""
    folders: int = 0
    """How many are watched."""
    polled_folders: int = 0
    queue: int = 0
    """Paths that are yet to be looked at."""
    last_event_s: float = 0.0
    last_sync_s: float = 0.0
    last_pass_s: float = 0.0
    last_pass_took_s: float = 0.0
    next_pass_s: float = 0.0
    passes: int = 0
    syncs: int = 0
    events: int = 0
    missed: int = 0
    """Changes that passes found, and no event had told of."""
    questions: int = 0
    doubts: int = 0
    """Questions that were left to a full pass."""
    failures: int = 0
    """Looks that ended in an error."""
    last_error: str = ""
    unreadable: list[str] = field(default_factory=list)
    """Files that the last look could not read, up to a bound."""
    notes: list[str] = field(default_factory=list)
    """What a user should know of how the project is watched."""


def names_of(paths: tuple[bytes, ...], most: int = 5) -> str:
    """Return some paths in one line, for people."""
    shown = ", ".join(os.fsdecode(path) or "." for path in paths[:most])
    return f"{shown} and {len(paths) - most:,} more" if len(paths) > most else shown
