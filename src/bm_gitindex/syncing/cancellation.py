"""Work that is never left running behind its caller's back, and never cut off in the middle.

A thread cannot be ended, and a database should not be interrupted between two steps of a transaction. What they use, a
lock, open folders, a connection, must not be let go of before they are done: a cancelled caller waits for them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def _nothing() -> None:
    pass


async def in_thread(work: Callable[[], T]) -> T:
    """Return what `work` returns, run in a thread. A cancelled caller waits for it."""
    # Imported here: `sync_blocking` shares a module with the callers of this, and often needs no event loop.
    import asyncio

    return await to_end(asyncio.to_thread(work))


def run_in_loop(begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return what a coroutine returns, run in an event loop of its own; where there can be none, it is not begun.

    Raises OSError for want of descriptors.
    """
    # Imported here: an unchanged project pays for no event loop.
    import asyncio

    _require_descriptors()
    with asyncio.Runner() as runner:
        runner.get_loop()
        return runner.run(begin())


def _require_descriptors() -> None:
    """Raise OSError unless there are as many descriptors as a loop needs; half of them, and asyncio is not quiet."""
    pipes: list[int] = []
    try:
        for _ in range(2):
            pipes += os.pipe()
    finally:
        for fd in pipes:
            os.close(fd)


async def to_end(work: Coroutine[Any, Any, T], stop: Callable[[], object] = _nothing) -> T:
    """Return what `work` returns. A cancelled caller calls `stop`, waits for the end, and is cancelled then."""
    import asyncio

    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop()
        await ended(task)
        raise


async def ended(task: asyncio.Future[Any]) -> None:
    """Wait for the end of a task, however often the caller is cancelled meanwhile; how it ended is of no interest."""
    import asyncio

    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not complain of it
