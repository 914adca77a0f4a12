"""Whether this process was run all the time: who was not may have been told less than what happened."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bm_gitindex.syncing.cancellation import ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

BEAT_S = 1.0
MOST_LATE_S = 3.0
CLOCK_SLACK_S = 0.5


class Pulse:
    """Beats every second, and tells when a beat comes late, or the clock was set."""

    def __init__(self, on_gap: Callable[[str], object]) -> None:
        """`on_gap` is told in words what happened."""
        self._on_gap = on_gap
        self._beat_s = time.monotonic()

    @property
    def is_late(self) -> bool:
        """Whether the next beat is overdue."""
        return time.monotonic() - self._beat_s > MOST_LATE_S

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Beat while the body runs."""
        self._beat_s = time.monotonic()
        beats = asyncio.ensure_future(self._beat())
        try:
            yield
        finally:
            beats.cancel()
            await ended(beats)

    async def _beat(self) -> None:
        ahead_s = time.time() - self._beat_s
        while True:
            await asyncio.sleep(BEAT_S)
            now_s, ahead_before_s = time.monotonic(), ahead_s
            late_s, self._beat_s, ahead_s = now_s - self._beat_s, now_s, time.time() - now_s
            if late_s > MOST_LATE_S:
                self._on_gap(f"this process was not run for {late_s:.0f} s")
            elif abs(ahead_s - ahead_before_s) > CLOCK_SLACK_S:
                self._on_gap("the clock was set, or the machine slept")
