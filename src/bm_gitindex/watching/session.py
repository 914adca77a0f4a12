"""Watching, from the lock to the last report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.errors import StateWriteError
from bm_gitindex.statefolder import checked_root
from bm_gitindex.syncing.cancellation import in_thread
from bm_gitindex.watching.presence import hold_watch
from bm_gitindex.watching.serving import Service
from bm_gitindex.watching.watcher import COMMAND

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from bm_gitindex.watching.presence import Watch
    from bm_gitindex.watching.report import WatchReport
    from bm_gitindex.watching.watcher import Watcher


def watch(watcher: Watcher) -> AsyncGenerator[WatchReport]:
    """Watch a project until `Watcher.stop`, answer questions meanwhile, and return a generator of what is done.

    Raises LockHeldError where the project is watched already, StateFolderError, StateWriteError and RootMissingError.
    """
    return watch_made(lambda: watcher)


async def watch_made(make: Callable[[], Watcher]) -> AsyncGenerator[WatchReport]:
    """Do as `watch` does, by a watcher that is made at the first step; what making it raises is raised there.

    An event loop that ends closes all async generators at once, and complains of each that another one waits for. This
    is the only one, therefore: it waits for none, and is waited for by none.
    """
    watcher = make()
    checked_root(watcher.root)
    await in_thread(watcher.folder.ensure)
    service = Service(watcher)
    with hold_watch(watcher.folder, COMMAND) as held:
        _require(held, watcher)  # before what may be another one's socket is removed
        async with service:
            watcher.begin(held.is_lost)
            try:
                while (report := await watcher.next_report()) is not None:
                    service.tell(report)
                    yield report
            finally:
                await watcher.end()
        _require(held, watcher)


def _require(held: Watch, watcher: Watcher) -> None:
    """Raise StateWriteError where the watch was lost."""
    if held.is_lost():
        raise StateWriteError(f"{watcher.folder.path} was removed or replaced; start the watcher anew")
