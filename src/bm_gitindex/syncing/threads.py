"""Blocking work beside an event loop, in a way that never leaves it running behind its caller's back."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Return what `work` returns, run in a thread. A cancelled caller waits for it: a thread cannot be ended.

    The thread uses what the caller holds, a lock or open folders, which must not be let go of before.
    """
    # Imported here: `sync_blocking` shares a module with the callers of this, and often needs no event loop.
    import asyncio

    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain of it
        raise
