"""What a watcher hears: the present watches, and what they told, as paths of the project."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from bm_gitindex.rules import GITIGNORE
from bm_gitindex.syncing.cancellation import in_thread
from bm_gitindex.watching.agenda import MOST_PATHS
from bm_gitindex.watching.folders import watchable
from bm_gitindex.watching.notifier import ALERT_S, Notifier
from bm_gitindex.worktree.walk import parents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from bm_gitindex.watching.agenda import Agenda
    from bm_gitindex.watching.notifier import Cookies, Events
    from bm_gitindex.watching.report import WatchState

QUEUE_LIMIT = "/proc/sys/fs/inotify/max_queued_events"
_QUEUE_SHARE = 4
"""With a quarter as many paths as the kernel's queue holds events, some may be lost: each takes several."""
_MOST_ATTEMPTS = 5
_DRAIN_S = 5.0
_MOST_UNANSWERED = 3
"""So many cookies in a row that are not heard of mean that their folder is another one now."""


class Ears:
    """Watches the folders that it is told of. Used by one event loop, in which all but the watching is done."""

    def __init__(self, root: Path, cookies: Cookies, agenda: Agenda, state: WatchState) -> None:
        self.armed: frozenset[bytes] = frozenset()
        """The folders that are watched."""
        self.polled: frozenset[bytes] = frozenset()
        """Those that cannot be, and are asked for instead."""
        self.added: set[bytes] = set()
        """What is said to have come since this was last emptied: a hint."""
        self.are_stale = False
        """Whether folders may have been swapped without a word of it, so that they are watched under wrong names."""
        self.wake: Callable[[], object] = lambda: None
        """Called when something was heard."""
        self._root = root
        self._base = os.fsencode(root)
        self._arming: frozenset[bytes] = frozenset()
        self._doubted: set[bytes] = set()
        """Folders that were told of since they are watched: others may have their names by now."""
        self._cookies = cookies
        self._agenda = agenda
        self._state = state
        self._notifier: Notifier | None = None
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._told: set[bytes] = set()
        self._told_before: set[bytes] = set()
        self._unanswered = 0
        self._calming: asyncio.TimerHandle | None = None
        self._expected_s = 0.0

    @property
    def are_open(self) -> bool:
        """Whether anything is watched."""
        return self._notifier is not None

    def unwatched(self, folders: Iterable[bytes]) -> frozenset[bytes]:
        """Return those of some folders that are not watched, or were replaced since, or one above them was."""
        return frozenset(folder for folder in folders if folder not in self.armed or self._is_doubted(folder))

    def _is_doubted(self, folder: bytes) -> bool:
        doubted = self._doubted
        return bool(doubted) and (folder in doubted or b"" in doubted or not doubted.isdisjoint(parents(folder)))

    def was_told_of(self, path: bytes) -> bool:
        """Return whether a path, a folder above it, or rules there, were told of in this turn or the one before."""
        above = (*parents(path), b"")
        hints = (path, *above, *(os.path.join(folder, GITIGNORE) for folder in above))
        return any(hint in told for hint in hints for told in (self._told, self._told_before))

    def turn(self) -> None:
        """Begin to forget what was told of so far, and is settled: at the end of each look."""
        self._told_before, self._told = self._told, set(self._agenda.unsettled)

    async def arm(self, folders: Iterable[bytes]) -> None:
        """Watch these folders, and no others; what is told of the ones watched so far is heard to its end.

        Raises WatchLimitError, and OSError where nothing can be watched at all.
        """
        self._arming = wanted = frozenset(folders)
        failure: OSError | None = None
        for _ in range(_MOST_ATTEMPTS):
            self._doubted.clear()  # all are watched by their names, anew
            found = await in_thread(lambda: watchable(self._root, wanted))
            try:
                notifier = await self._new_notifier(list(found.absolute.values()))
            except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
                failure = error  # it has just gone, or was replaced
                continue
            if self._calming is not None:
                notifier.alert_until_s = self._expected_s
            old, self._notifier = self._notifier, notifier
            self.armed, self.polled = frozenset(found.absolute), found.polled
            if old is not None and not await in_thread(partial(_drained, old)):
                self._agenda.demand_pass("watches that were replaced were not heard to their end", time.monotonic())
            if notifier.failure:
                self._failed(notifier, notifier.failure)  # before it was known here
            return
        assert failure is not None
        raise failure

    async def caught_up(self, timeout_s: float) -> str | None:
        """Return a token once all that happened before this call was heard; None where that takes too long."""
        notifier = self._notifier
        if notifier is None:
            return None
        name = self._cookies.new()
        heard = self._waiting[name] = asyncio.get_running_loop().create_future()
        notifier.alert_until_s = self._calm_later()
        try:
            self._cookies.make(name)
            async with asyncio.timeout(timeout_s):
                await heard
        except TimeoutError:
            self._unanswered += 1
            if self._unanswered >= _MOST_UNANSWERED:
                self._failed(notifier, "nothing is heard any more")
            return None
        except OSError as error:
            self._failed(notifier, str(error))
            return None
        finally:
            self._waiting.pop(name, None)
        self._unanswered = 0
        return name

    def _calm_later(self) -> float:
        """Return until when more is expected; then the watches look for events less often: an event tells them."""
        self._expected_s = time.monotonic() + ALERT_S
        if self._calming is None:
            self._calming = asyncio.get_running_loop().call_later(ALERT_S + 1, self._calm)
        return self._expected_s

    def _calm(self) -> None:
        rest_s = self._expected_s - time.monotonic()
        if rest_s > 0:
            self._calming = asyncio.get_running_loop().call_later(rest_s + 1, self._calm)
            return
        self._calming = None
        if self._notifier is not None:
            with suppress(OSError):
                self._cookies.make(self._cookies.new())

    async def close(self) -> None:
        """Watch nothing any more."""
        if self._calming is not None:
            self._calming.cancel()
            self._calming = None
        notifier, self._notifier = self._notifier, None
        self.armed, self.are_stale = frozenset(), False
        self._doubted.clear()
        if notifier is not None:
            await in_thread(notifier.close)

    async def _new_notifier(self, folders: list[str]) -> Notifier:
        loop = asyncio.get_running_loop()
        if self._notifier is None:
            await in_thread(self._cookies.prepare)

        def on_events(events: Events) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._heard, events)

        made: list[Notifier] = []  # until there is one, `arm` sees to its failure

        def failed(reason: str) -> None:
            for notifier in made:
                self._failed(notifier, reason)

        def on_failure(reason: str) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(failed, reason)

        try:
            await in_thread(lambda: made.append(Notifier(folders, self._cookies, on_events, on_failure)))
        except BaseException:
            for notifier in made:  # by the time that nobody wants it any more
                notifier.abandon()
            raise
        return made[0]

    def _heard(self, events: Events) -> None:
        cookies, others = self._cookies.found_in(events.paths)
        now_s = time.monotonic()
        paths = [relative for path in others if (relative := self._relative(path)) is not None]
        added = [relative for path in events.added & others if (relative := self._relative(path)) is not None]
        self._agenda.changed(paths, events.last_s)
        self.added.update(added)
        self._doubted.update(path for path in paths if path in self.armed or path in self._arming)
        self._told.update(paths if len(self._told) <= MOST_PATHS else (b"",))
        if paths:
            self._state.events += len(paths)
            self._state.last_event_s = time.time()
            if self._notifier is not None:
                self._notifier.alert_until_s = self._calm_later()
        if len(others) > _most_at_once():
            self.are_stale = True
            self._agenda.demand_pass("so many changes at once that some may not have been told", now_s)
        for name in cookies & self._waiting.keys():
            if not self._waiting[name].done():
                self._waiting[name].set_result(None)
        if paths:
            self.wake()

    def _failed(self, notifier: Notifier, reason: str) -> None:
        if notifier is self._notifier:
            self._unanswered = 0
            self._notifier = None
            self.armed = frozenset()
            notifier.abandon()
            self._agenda.demand_pass(f"watching failed ({reason})", time.monotonic())
            self.wake()

    def _relative(self, path: str) -> bytes | None:
        raw = os.fsencode(path)
        if raw == self._base:
            return b""
        within = os.path.join(self._base, b"")
        return raw[len(within) :] if raw.startswith(within) else None


def _drained(notifier: Notifier) -> bool:
    try:
        return notifier.drain(_DRAIN_S)
    except OSError:
        notifier.close()
        return False


def _most_at_once() -> int:
    try:
        with open(QUEUE_LIMIT, "rb") as file:
            return max(1, min(MOST_PATHS, int(file.read()) // _QUEUE_SHARE))
    except (OSError, ValueError):
        return MOST_PATHS
