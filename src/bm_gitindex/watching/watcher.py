"""The watcher: it hears what changes, has that synced, and passes over everything now and then."""

from __future__ import annotations

import asyncio
import math
import os
import random
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from bm_gitindex.errors import BmGitIndexError
from bm_gitindex.filesystem import is_local
from bm_gitindex.memory import Memory
from bm_gitindex.statefolder import StateFolder
from bm_gitindex.syncing.cancellation import ended, in_thread
from bm_gitindex.syncing.report import SyncRequest
from bm_gitindex.syncing.session import sync
from bm_gitindex.watching.agenda import INTERVAL, Agenda
from bm_gitindex.watching.ears import Ears
from bm_gitindex.watching.folders import folders_of_index, has_other_names, is_below, is_utf8, same_files, stats_of
from bm_gitindex.watching.hearsay import Hearsay
from bm_gitindex.watching.notifier import Cookies, WatchLimitError
from bm_gitindex.watching.pulse import Pulse
from bm_gitindex.watching.report import WatchReport, WatchState
from bm_gitindex.watching.settings import Settings
from bm_gitindex.watching.surroundings import CONFIGURED, MOUNTED, Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from bm_gitindex.options import Options, WatchOptions
    from bm_gitindex.rules import Skipped
    from bm_gitindex.syncing.report import SyncReport
    from bm_gitindex.watching.agenda import Due

COMMAND = "bm-gitindex watch"
MARGIN_S = 2.2
"""After it a file that was young when it was stored can be settled."""
SETTLE_EVERY_S = 2.0
"""Files are settled together, so that those who edit all the time do not wait for it each time."""
_START = "start"
_AGAIN_S = 60.0
"""When a file that could not be read is tried again."""
_LONGEST_RETRY_S = 60.0
_LEAST_POLL_S = 1.0
_POLL_FOLDERS_S = 10.0
_POLLING_SHARE = 0.05
"""Of one core."""
_CATCH_UP_S = 2.0
_MOST_ROUNDS = 8
_JITTER = 0.1
_GRACE_S = 5.0
"""How long a look may still take when the watcher is to end."""
_NAMED = 20


class Watcher:
    """Watches one project. Making one touches nothing; it is used by one event loop."""

    def __init__(self, root: Path, options: Options | None, how: WatchOptions) -> None:
        """`options` None takes those of the configuration file, and those that it has later."""
        self.root = root
        self.how = how
        self.settings = Settings(root, options)
        self.folder = StateFolder(root, self.options.state_dir)
        self.state = WatchState(started_s=time.time())
        self.agenda = Agenda()
        self.ears = Ears(root, Cookies(self.folder.cookies), self.agenda, self.state)
        self.memory = Memory()
        self.work = asyncio.Lock()
        """Held while something is looked at, and while a question is answered."""
        self.last_pass: SyncReport | None = None
        self.skipped: dict[bytes, Skipped] = {}
        """What is passed over in the project, as the last looks found it."""
        self.index_stamp: tuple[int, ...] | None = None
        """Of the index as the last sync left it."""
        self.files_seen = 0
        """How many files the project has, as the last pass and the looks since have it."""
        self._is_certain = False
        self._unread: frozenset[bytes] = frozenset()
        """What could not be read when it was last looked at."""
        self.pulse = Pulse(self.distrust, self.notice)
        self._surroundings = Surroundings(root)
        self._is_lost: Callable[[], bool] = lambda: False
        self._hearsay = Hearsay(self.options)
        self._stop = asyncio.Event()
        self._woken = asyncio.Event()
        self._retry_s = 0.0
        self._told_error = ""
        self._told_notes = 0
        self.ears.wake = self._woken.set

    @property
    def options(self) -> Options:
        """By which it watches."""
        return self.settings.options

    @property
    def is_certain(self) -> bool:
        """Whether the files are as the index has them, but for what the agenda knows of."""
        return self._is_certain and not self._unread

    @property
    def is_polling(self) -> bool:
        """Whether files are asked for again and again, since nobody tells of changes."""
        return self.state.mode == "polling"

    def stop(self) -> None:
        """Let it end after what it is doing."""
        self._stop.set()
        self._woken.set()

    def begin(self, is_lost: Callable[[], bool] = lambda: False) -> None:
        """Watch until `end`. Whoever calls holds the project's watch; it stops where that `is_lost`."""
        self._is_lost = is_lost
        self._choose_mode()
        self.agenda.demand_pass(_START, time.monotonic())
        self.pulse.start()

    async def next_report(self) -> WatchReport | None:
        """Return what was done next, None after `stop`. An error of a look is a report, and the look is tried again."""
        while await self._is_due():
            async with self.work:  # what is due is taken out here, lest a question miss it meanwhile
                due = self.agenda.due(time.monotonic())
                report = await self._looked(due) if due is not None else None
            notes = tuple(self.state.notes[self._told_notes :])
            self._told_notes += len(notes)
            report = report or WatchReport(None)
            if report.tells_something or notes:
                return report._replace(notes=notes, at_s=time.time())
        return None

    async def end(self) -> None:
        """Watch nothing any more."""
        self.stop()
        try:
            await self.ears.close()
        finally:
            await self.pulse.stop()

    def note_foreign_change(self, what: str) -> None:
        """Pass over everything, since something was changed behind the watcher's back."""
        self._is_certain = False
        self.agenda.demand_pass(what, time.monotonic())
        self._woken.set()

    def distrust(self, why: str) -> None:
        """Take what is watched for stale, since more may have happened than was told, and pass over everything."""
        self.ears.are_stale = True
        self.note_foreign_change(why)

    def notice(self) -> None:
        """Pass over everything where something was changed that no event tells of: once, since that may fail."""
        if self._is_lost():
            self.stop()
            return
        what = self._surroundings.change()
        if what == MOUNTED:
            self.distrust(what)
        elif what == CONFIGURED and self.settings.are_outdated():
            self.note_foreign_change(what)

    def _choose_mode(self) -> None:
        if self.how.is_polled:
            self._poll("polling was asked for")
        elif not is_local(self.root):
            self._poll("this file system does not tell of changes made elsewhere")
        elif not all(map(is_utf8, map(os.fsencode, (self.root, self.folder.path)))):
            self._poll("the name of a folder on the way to the project is not UTF-8")
        else:
            self.state.mode = "events"

    def _poll(self, why: str) -> None:
        self.state.mode = "polling"
        self.state.notes.append(f"files are polled: {why}")

    async def _is_due(self) -> bool:
        """Wait until something is due; return whether it is, and the watcher is not to end."""
        while not self._stop.is_set():
            self.state.queue = len(self.agenda.unsettled)
            wait_s = self.agenda.next_s() - time.monotonic()
            if wait_s <= 0:
                return True
            self._woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait_s, 3600.0)):
                    await self._woken.wait()
        return False

    async def _looked(self, due: Due) -> WatchReport | None:
        """Do what is due. Let go of it where the watcher is to end, and it takes long: what was committed is kept."""
        look = asyncio.ensure_future(self._look(due))
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({look, stopped}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({look}, timeout=_GRACE_S)
        finally:
            for task in (look, stopped):
                task.cancel()
                await ended(task)
        return None if look.cancelled() else look.result()

    async def _look(self, due: Due) -> WatchReport | None:
        """Do what is due; an error is told, and what was due is due once more."""
        try:
            if self.settings.are_outdated():
                self.settings.update()
                self._hearsay = Hearsay(self.options)
                due = due._replace(paths=frozenset(), reason=CONFIGURED)
            elif self._told_error and not due.is_pass:
                return None  # a pass is to come: what was refused is not to be taken in piece by piece
            report = await (self._pass(due.reason) if due.is_pass else self._look_at(due))
        except (BmGitIndexError, OSError) as error:
            return self._failed(due, error)  # what was told of is not settled, and is not forgotten
        self.ears.turn()
        self._retry_s, self._told_error = 0.0, ""
        return report

    def _failed(self, due: Due, error: Exception) -> WatchReport | None:
        """Plan to try again; return what is to be told, None where that was told before."""
        self._is_certain = False
        self._retry_s = min(max(2 * self._retry_s, 1.0), _LONGEST_RETRY_S)
        reason = due.reason or "something could not be synced"
        self.agenda.demand_pass(reason, time.monotonic() + self._retry_s)
        self.state.failures += 1
        self.state.last_error = str(error)
        if str(error) == self._told_error:
            return None
        self._told_error = str(error)
        paths = tuple(sorted(self._hearsay.worth_a_look(due.paths)))
        return WatchReport(None, paths, due.reason, error=str(error))

    async def _pass(self, reason: str) -> WatchReport:
        """Look at everything, with all folders watched before that."""
        began_s, cpu_s = time.monotonic(), time.process_time()
        self._is_certain = False
        self._hearsay.forget()
        if self.ears.are_stale:
            await self.ears.close()
        if self.state.mode == "events" and not self.ears.are_open:
            await self._arm(await in_thread(lambda: folders_of_index(self.folder)))
        report = await self._sync(())
        files_seen = report.counters.files_seen - report.added + report.deleted
        await self._watch_new(report)
        missed = await self._missed(report) if reason not in (_START, CONFIGURED) else ()
        ended_s = time.monotonic()
        self.agenda.passed(began_s, ended_s)
        self._plan_pass(report, time.process_time() - cpu_s)
        skipped = self._take_in_skipped(report, frozenset({b""}))
        self.last_pass = report
        self.files_seen = files_seen + report.added - report.deleted
        self._is_certain = not missed
        if missed:  # who did not hear of them may watch folders that are others by now
            await self.ears.close()
            self.agenda.demand_pass("changes were missed", time.monotonic())
        self.state.passes += 1
        self.state.missed += len(missed)
        self.state.last_pass_s = time.time()
        self.state.last_pass_took_s = ended_s - began_s
        return WatchReport(report, (), reason, missed, skipped)

    def _plan_pass(self, report: SyncReport, cpu_s: float) -> None:
        if self.is_polling:
            rest_s = max(_LEAST_POLL_S, cpu_s / _POLLING_SHARE - cpu_s)
            if self.how.most_stats_per_s:
                rest_s = max(rest_s, report.counters.files_seen / self.how.most_stats_per_s)
        else:
            rest_s = self.how.interval_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
            self._poll_folders()
        self.agenda.demand_pass(INTERVAL, time.monotonic() + rest_s)
        self.state.next_pass_s = time.time() + rest_s

    def _poll_folders(self) -> None:
        """Have the folders looked at again that cannot be watched."""
        self.agenda.look_again(self.ears.polled, time.monotonic() + _POLL_FOLDERS_S)

    async def _missed(self, report: SyncReport) -> tuple[bytes, ...]:
        """Return what a pass found changed though nothing had told of it, by the time that it was found or since."""
        if self.is_polling or not report.changed.paths:
            return ()
        await self.ears.caught_up(_CATCH_UP_S)
        return tuple(path for path in report.changed.paths if not self.ears.was_told_of(path))

    async def _look_at(self, due: Due) -> WatchReport | None:
        """Look at some paths."""
        if self._hearsay.changes_rules(due.paths):
            return await self._pass("ignore rules were changed")
        if b"" in due.paths:
            await self.ears.close()
            return await self._pass("the root was changed")
        stats = await in_thread(lambda: stats_of(self.root, due.paths))
        if any(map(has_other_names, stats.values())):
            return await self._pass("a file was changed that has other names")
        self._hearsay.forget_below(path for path, st in stats.items() if stat.S_ISDIR(st.st_mode))
        paths = self._hearsay.worth_a_look(due.paths)
        paths = self._without_held(paths, gone=paths - due.overdue - stats.keys())
        if not paths:
            return None
        report = await self._sync(paths)
        await self._watch_new(report)
        if not report.counters.files_seen and not report.skipped:
            looked_at = {path: st for path, st in stats.items() if path in paths}
            self._hearsay.is_ignored(await in_thread(lambda: same_files(self.root, looked_at)))
        self.files_seen += report.added - report.deleted
        self._poll_folders()
        skipped = self._take_in_skipped(report, paths)
        return WatchReport(report, tuple(sorted(paths)), skipped=skipped)

    def _without_held(self, paths: frozenset[bytes], gone: frozenset[bytes]) -> frozenset[bytes]:
        """Return what is to be looked at now: what is gone waits for a while, unless something has come."""
        added, self.ears.added = self.ears.added, self.ears.added & self.agenda.unsettled
        if not added.isdisjoint(paths - gone):
            return paths | self.agenda.release()
        self.agenda.hold(gone, time.monotonic())
        return paths - gone

    async def _watch_new(self, report: SyncReport) -> None:
        """Watch the folders that were found besides those watched, and look at them once more then: in this order."""
        if not self.ears.are_open:
            return
        found = report
        for _ in range(_MOST_ROUNDS):
            fresh = self.ears.unwatched(found.folders) - self.ears.polled
            if not fresh or not await self._arm(self.ears.armed | fresh):
                return
            # Together with what has happened since: what comes into a folder may have come out of another one.
            found = await self._sync(fresh | self.agenda.unsettled)
            report.take_in(found)
        self.agenda.demand_pass("folders come faster than they are looked at", time.monotonic())

    async def _arm(self, folders: Iterable[bytes]) -> bool:
        """Watch these folders; return whether that could be done, or files are polled from now on."""
        why = ""
        try:
            await self.ears.arm(folders)
        except WatchLimitError as error:
            why = str(error)
        strange = [folder for folder in sorted(self.ears.polled) if not is_utf8(folder)]
        if strange:  # each look into it is told of, and ends all watches
            why = f"the name of a folder is not UTF-8: {os.fsdecode(strange[0])!r}"
        if why:
            await self.ears.close()
            self._poll(why)
            self.agenda.demand_pass("files are polled from now on", time.monotonic())
        self.state.folders = len(self.ears.armed)
        self.state.polled_folders = len(self.ears.polled)
        return not self.is_polling

    async def _sync(self, paths: frozenset[bytes] | tuple[()]) -> SyncReport:
        request = SyncRequest(paths=tuple(sorted(paths)), command=COMMAND)
        report = await sync(self.root, self.folder, self.options, request, self.memory)
        now_s = time.monotonic()
        self.index_stamp = report.index_stamp
        settled_s = _next_turn(now_s + MARGIN_S)
        if report.young.is_complete:
            self.agenda.look_again(report.young.paths, settled_s)
        else:
            self.agenda.demand_pass("many young files", settled_s)
        self.agenda.look_again((skipped.path for skipped in report.failed), now_s + _AGAIN_S)
        self.state.syncs += 1
        self.state.last_sync_s = time.time()
        kept = (path for path in self._unread if paths and not any(is_below(path, look) for look in paths))
        self._unread = frozenset(kept).union(skipped.path for skipped in report.failed)
        self.state.unreadable = [os.fsdecode(path) for path in sorted(self._unread)[:_NAMED]]
        return report

    def _take_in_skipped(self, report: SyncReport, paths: frozenset[bytes]) -> tuple[Skipped, ...]:
        """Replace what is known to be passed over in the part that was looked at; return what is new of it."""
        before = self.skipped
        kept = {path: one for path, one in before.items() if not any(is_below(path, look) for look in paths)}
        self.skipped = kept | {skipped.path: skipped for skipped in report.skipped}
        return tuple(one for path, one in self.skipped.items() if before.get(path) != one and not one.reason.is_failure)


def _next_turn(at_s: float) -> float:
    """Return a time not before this one, which is the same for all that is young at nearly the same time."""
    return math.ceil(at_s / SETTLE_EVERY_S) * SETTLE_EVERY_S
