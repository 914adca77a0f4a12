"""Watching, from the lock to the last report."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from bm_gitindex.statefolder import checked_root
from bm_gitindex.syncing.cancellation import in_thread
from bm_gitindex.watching.presence import hold_watch
from bm_gitindex.watching.serving import Service
from bm_gitindex.watching.watcher import COMMAND

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from bm_gitindex.watching.report import WatchReport
    from bm_gitindex.watching.watcher import Watcher


async def watch(watcher: Watcher) -> AsyncGenerator[WatchReport]:
    """Watch a project until `Watcher.stop`, answer questions meanwhile, and yield what is done.

    Raises LockHeldError where the project is watched already, StateFolderError, StateWriteError and RootMissingError.
    """
    checked_root(watcher.root)
    await in_thread(watcher.folder.ensure)
    service = Service(watcher)
    with hold_watch(watcher.folder, COMMAND):
        async with service.open(), aclosing(watcher.reports()) as reports:
            async for report in reports:
                service.tell(report)
                yield report
