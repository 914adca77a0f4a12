"""A status from a watcher: what a full pass would find, without one.

It is given only where it is certain that the watcher has heard of everything up to the question, and has synced what it
heard before; what it has heard and not looked at yet is looked at for the answer.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.changes import Status, status
from bm_gitindex.errors import BmGitIndexError
from bm_gitindex.statefolder import stamp
from bm_gitindex.survey import Counters
from bm_gitindex.syncing.cancellation import in_thread
from bm_gitindex.watching.folders import has_other_names, is_below, stats_of
from bm_gitindex.watching.hearsay import is_of_rules

if TYPE_CHECKING:
    from bm_gitindex.changes import Change
    from bm_gitindex.watching.watcher import Watcher

_CATCH_UP_S = 0.2
_BUSY_S = 0.1
_MOST_PENDING = 200
"""A full pass takes no longer than looking at more paths one by one."""


class Doubt(NamedTuple):
    """Why a watcher does not answer."""

    reason: str


class Answer(NamedTuple):
    """What a watcher knows."""

    status: Status
    token: str
    """Of the cookie whose event was heard after the question: all that happened before it was heard as well."""


class Answers:
    """Answers for one watcher."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    async def status(self) -> Answer | Doubt:
        """Return how the project differs from its index, as it was at some time after this was called."""
        found = await self._status()
        self._watcher.state.questions += 1
        self._watcher.state.doubts += isinstance(found, Doubt)
        return found

    async def _status(self) -> Answer | Doubt:
        watcher, began_s = self._watcher, time.perf_counter()
        if watcher.is_polling:
            return Doubt("files are polled")
        if watcher.pulse.is_late:
            return Doubt("the watcher was not run for a while")
        token = await watcher.ears.caught_up(_CATCH_UP_S)
        if token is None:
            return Doubt("what happened up to now was not heard in time")
        try:
            async with asyncio.timeout(_BUSY_S):
                await watcher.work.acquire()
        except TimeoutError:
            return Doubt("the watcher is busy")
        try:
            return await self._known(token, began_s)
        finally:
            watcher.work.release()

    async def _known(self, token: str, began_s: float) -> Answer | Doubt:
        watcher = self._watcher
        pending = watcher.agenda.unsettled | watcher.ears.polled
        doubt = self._doubt() or await in_thread(lambda: self._doubt_about(pending))
        if doubt:
            return Doubt(doubt)
        changes: tuple[Change, ...] = ()
        skipped, counters = dict(watcher.skipped), Counters()
        if pending:
            try:
                part = await in_thread(lambda: self._part(pending))
            except BmGitIndexError as error:
                return Doubt(str(error))
            changes = part.changes
            counters.files_read, counters.bytes_read = part.counters.files_read, part.counters.bytes_read
            skipped = {path: one for path, one in skipped.items() if not any(is_below(path, it) for it in pending)}
            skipped |= {one.path: one for one in part.skipped}
        counters.files_seen = watcher.files_seen
        counters.dirs_seen = len(watcher.ears.armed) + len(watcher.ears.polled)
        listed = tuple(sorted(skipped.values(), key=lambda one: one.path))
        return Answer(Status(watcher.root, changes, listed, counters, time.perf_counter() - began_s), token)

    def _doubt(self) -> str:
        """Return why what is known may be wrong; empty where it is not."""
        watcher = self._watcher
        watcher.notice()
        if not watcher.is_certain or watcher.agenda.awaits_pass or watcher.last_pass is None:
            return "a pass over everything is to come"
        if watcher.settings.are_own():
            return "the watcher has options of its own"
        if watcher.index_stamp is None or stamp(watcher.folder.index) != watcher.index_stamp:
            watcher.note_foreign_change("the index was changed by another process")
            return "the index was changed by another process"
        return ""

    def _doubt_about(self, pending: frozenset[bytes]) -> str:
        """Return why a look at what has changed is not enough; empty where it is."""
        if len(pending) > _MOST_PENDING or b"" in pending or any(map(is_of_rules, pending)):
            return "much has changed"
        has_others = any(map(has_other_names, stats_of(self._watcher.root, pending).values()))
        return "a file was changed that has other names" if has_others else ""

    def _part(self, pending: frozenset[bytes]) -> Status:
        watcher = self._watcher
        return status(watcher.root, watcher.folder, watcher.options, sorted(pending), memory=watcher.memory)
