"""A live watcher in the test's own event loop, and waiting for what it does."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

from bm_gitindex.watching import agenda, pulse
from bm_gitindex.watching.session import watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bm_gitindex import Project, WatchOptions, WatchReport
    from bm_gitindex.watching.watcher import Watcher

NEVER_COMES_AFTER_S = 120.0
"""No measure of anything: what takes this long does not come."""
_LOOK_EVERY_S = 0.005


async def eventually(condition: Callable[[], object], what: object = "") -> None:
    """Wait until something holds, however long that takes within reason."""
    deadline_s = time.monotonic() + NEVER_COMES_AFTER_S
    while not condition():
        assert time.monotonic() < deadline_s, what or "it does not come about"
        await asyncio.sleep(_LOOK_EVERY_S)


def eventually_without_loop(condition: Callable[[], object], what: object = "") -> None:
    """Do as `eventually` does, where there is no event loop."""
    asyncio.run(eventually(condition, what))


class Watch:
    """A watcher that runs, and what it told after its first pass."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.reports: list[WatchReport] = []
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for report in watch(self.watcher):
            self.reports.append(report)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        await eventually(lambda: condition() or self._task.done(), self.reports)
        assert condition(), (self.reports, self._task)

    async def heard(self) -> None:
        """Wait until all that happened so far was heard."""
        token = None
        while token is None:
            token = await self.watcher.ears.caught_up(NEVER_COMES_AFTER_S)
            await self.until(lambda: self.watcher.ears.are_open)

    async def settled(self) -> None:
        """Wait until all that happened so far was heard and looked at."""
        await self.heard()
        await self.until(lambda: self.is_idle)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for a look, but for what is looked at once more."""
        agenda = self.watcher.agenda
        return not (agenda.unsettled or agenda.awaits_pass or self.watcher.work.locked())

    @property
    def counts(self) -> list[tuple[int, int, int, int]]:
        """Added, modified, deleted and moved, of each report."""
        syncs = [report.sync for report in self.reports if report.sync is not None]
        return [(sync.added, sync.modified, sync.deleted, sync.moved) for sync in syncs]

    @property
    def total(self) -> tuple[int, ...]:
        """Added, modified, deleted and moved, of all reports."""
        return tuple(map(sum, zip(*self.counts, strict=True))) or (0, 0, 0, 0)

    @property
    def changed(self) -> set[bytes]:
        """What was reported as changed."""
        return {path for report in self.reports if report.sync is not None for path in report.sync.changed.paths}

    @property
    def missed(self) -> set[bytes]:
        """What was reported as missed."""
        return {path for report in self.reports for path in report.missed}

    async def end(self) -> None:
        """End it, and raise what it raised."""
        self.watcher.stop()
        await self._task


@asynccontextmanager
async def watching(project: Project, how: WatchOptions | None = None) -> AsyncIterator[Watch]:
    """Let a project be watched; the body begins after the first pass, whose report is left out.

    However long a busy machine does not run this process, that is no reason for a pass: tests count them. Nor is it one
    for a rest, which after a pass is as long as several of them.
    """
    with patch.object(pulse, "MOST_LATE_S", float("inf")), patch.object(agenda, "REST", 0):
        live = Watch(project.watcher(how))
        try:
            await live.until(lambda: live.watcher.last_pass is not None and live.is_idle)
            live.reports.clear()
            yield live
        finally:
            await live.end()
