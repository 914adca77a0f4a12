"""Whether this process was run all the time: who was not may have been told less than what happened."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bm_gitindex.syncing.cancellation import ended

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT_S = 1.0
MOST_LATE_S = 3.0
CLOCK_SLACK_S = 0.5


class Pulse:
    """Beats every second, and tells when a beat comes late, or the clock was set."""

    def __init__(self, on_gap: Callable[[str], object], on_beat: Callable[[], object] = lambda: None) -> None:
        """`on_gap` is told in words what happened; `on_beat` is called with each beat."""
        self._on_gap = on_gap
        self._on_beat = on_beat
        self._beats: asyncio.Task[None] | None = None
        self._begin(time.monotonic(), time.time())

    @property
    def is_late(self) -> bool:
        """Whether the next beat is overdue."""
        return time.monotonic() - self._beat_s > MOST_LATE_S

    def start(self) -> None:
        """Beat until `stop`, in the present event loop."""
        self._begin(time.monotonic(), time.time())
        self._beats = asyncio.ensure_future(self._go_on())

    async def stop(self) -> None:
        """Beat no more."""
        beats, self._beats = self._beats, None
        if beats is not None:
            beats.cancel()
            await ended(beats)

    def beat(self, now_s: float, clock_s: float) -> None:
        """Take note that this process is run at this time, by a clock that nobody sets and by the system's."""
        late_s, set_by_s = now_s - self._beat_s, clock_s - now_s - self._ahead_s
        self._begin(now_s, clock_s)
        if late_s > MOST_LATE_S:
            self._on_gap(f"this process was not run for {late_s:.0f} s")
        elif abs(set_by_s) > CLOCK_SLACK_S:
            self._on_gap("the clock was set, or the machine slept")

    def _begin(self, now_s: float, clock_s: float) -> None:
        self._beat_s, self._ahead_s = now_s, clock_s - now_s

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self.beat(time.monotonic(), time.time())
            self._on_beat()
