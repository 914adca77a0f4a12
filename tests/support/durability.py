"""The order in which state files must reach the disk, held against a trace: a power failure must not reorder them.

A file is synced when an fsync of it has ended after its last write has begun. A name is synced when an fsync of its
folder has ended after it was given. Until then the disk may have either state of it, in any order.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from support.trace import LINKING, MAKING, RENAMING, SYNCING, UNLINKING, WRITING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from support.trace import Call

_JOURNALS = ("-wal", "-journal")
_LOCK_FILES = ("lock", "index.lock", "index.new")
"""Names that mean something to running processes, or after a kill, and nothing after a power failure."""


class Problem(NamedTuple):
    """What is not safe against a power failure, and where in the trace."""

    line: int
    what: str


def problems(calls: Iterable[Call], state: str) -> list[Problem]:
    """Return what is wrong in the order of calls of a run that went well; `state` is the state folder."""
    trace = _Trace([call for call in calls if not call.has_failed], state)
    rules = (
        trace.renamed_unsynced,
        trace.names_unsynced,
        trace.names_overtaken,
        trace.names_reused,
        trace.direct_writes,
        trace.owner_too_late,
        trace.database_too_early,
        trace.journal_too_early,
    )
    return sorted(problem for rule in rules for problem in rule())


class _Trace:
    def __init__(self, calls: Sequence[Call], state: str) -> None:
        self._calls = calls
        self._state = state

    def renamed_unsynced(self) -> list[Problem]:
        """A file that takes another's place must be on the disk before it does."""
        return [
            Problem(rename.began, f"{_short(rename)}: the file was not synced before")
            for rename in self._renames()
            if not self._is_synced(rename.paths[0], rename.began)
        ]

    def names_unsynced(self) -> list[Problem]:
        """At the end of the run every name must be on the disk."""
        return [
            Problem(naming.began, f"{_short(naming)}: the folder was not synced after")
            for naming in self._namings()
            if not self._folder_synced_between(naming, None)
        ]

    def names_overtaken(self) -> list[Problem]:
        """What was put aside, or put in place before the index, must be on the disk before the new index is."""
        return [
            Problem(index.began, f"{_short(index)}: overtakes {_short(earlier)}")
            for index in self._renames_to("index")
            for earlier in self._renames()
            if earlier.ended < index.began and not self._folder_synced_between(earlier, index)
        ]

    def names_reused(self) -> list[Problem]:
        """A file that is set aside must have its new name on the disk before another one gets its old name."""
        return [
            Problem(call.began, f"{_short(call)}: reuses the name of {_short(aside)}")
            for aside in self._renames()
            if ".corrupt-" in aside.paths[1]
            for call in self._calls
            if aside.ended < call.began and call.paths[:1] == aside.paths[:1] and "O_CREAT" in call.arguments
            if not self._folder_synced_between(aside, call)
        ]

    def owner_too_late(self) -> list[Problem]:
        """`index.own` says whose the index is before that index is there."""
        owners = self._renames_to("index.own")
        return [
            Problem(index.began, f"{_short(index)}: index.own was not stored before")
            for index in self._renames_to("index")
            if not any(owner.ended < index.began for owner in owners)
        ]

    def direct_writes(self) -> list[Problem]:
        """What readers read is replaced, never written to."""
        names = ("index", "index.own", "config.toml", ".gitignore")
        return [
            Problem(call.began, f"{_short(call)}: written in place")
            for call in self._calls
            if (call.name in WRITING or call.is_writable_opening)
            and any(path == self._path(name) for path in call.paths for name in names)
        ]

    def database_too_early(self) -> list[Problem]:
        """A page of the database is overwritten when the journal that can put it right is on the disk."""
        return [
            Problem(call.began, f"{_short(call)}: before {journal} was synced")
            for call in self._calls
            if call.name in WRITING and call.paths[0] == self._path("entities.db")
            for journal in (f"entities.db{ending}" for ending in _JOURNALS)
            if not self._is_synced(self._path(journal), call.began)
        ]

    def journal_too_early(self) -> list[Problem]:
        """A journal is let go of when the database no longer needs it."""
        return [
            Problem(call.began, f"{_short(call)}: before entities.db was synced")
            for call in self._calls
            if (call.name in UNLINKING or call.name == "ftruncate")
            and call.paths[0].endswith(tuple(f"/entities.db{ending}" for ending in _JOURNALS))
            and not self._is_synced(self._path("entities.db"), call.began)
        ]

    def _renames(self) -> list[Call]:
        return [call for call in self._calls if call.name in RENAMING]

    def _renames_to(self, name: str) -> list[Call]:
        return [call for call in self._renames() if call.paths[1] == self._path(name)]

    def _namings(self) -> list[Call]:
        """Calls by which a name of a state file, or the state folder, comes to be."""
        namings = [call for call in self._calls if call.name in RENAMING | MAKING | LINKING]
        return [call for call in namings if os.path.basename(call.paths[-1]) not in _LOCK_FILES]

    def _is_synced(self, path: str, before: int) -> bool:
        """Return whether the file that has this name at a line of the trace is on the disk as it then is."""
        gone = [call.ended for call in self._calls if call.name in UNLINKING | RENAMING and call.paths[0] == path]
        since = max((ended for ended in gone if ended < before), default=-1)
        writes = [call.began for call in self._calls if call.name in WRITING and call.paths[0] == path]
        last = max((began for began in writes if since < began < before), default=None)
        return last is None or any(
            call.name in SYNCING and call.paths[0] == path and last < call.began and call.ended < before
            for call in self._calls
        )

    def _folder_synced_between(self, naming: Call, later: Call | None) -> bool:
        folder = os.path.dirname(naming.paths[-1])
        return any(
            call.name in SYNCING
            and call.paths[0] == folder
            and naming.ended < call.began
            and (later is None or call.ended < later.began)
            for call in self._calls
        )

    def _path(self, name: str) -> str:
        return f"{self._state}/{name}"


def _short(call: Call) -> str:
    return f"{call.name} {' -> '.join(os.path.basename(path) for path in call.paths)}"
