from __future__ import annotations

import time

import pytest

from bm_gitindex.watching.pulse import Pulse

_NOW_S, _CLOCK_S = 1_000.0, 1_700_000_000.0


@pytest.mark.parametrize(
    ("later_s", "clock_later_s", "told"),
    [
        (1.0, 1.0, []),
        (2.9, 2.9, []),
        (1.0, 1.4, []),
        (40.0, 40.0, ["this process was not run for 40 s"]),
        (40.0, 0.0, ["this process was not run for 40 s"]),
        (1.0, 3_601.0, ["the clock was set, or the machine slept"]),
        (1.0, -3_599.0, ["the clock was set, or the machine slept"]),
    ],
)
def test_a_gap_is_told_once(later_s: float, clock_later_s: float, told: list[str]) -> None:
    gaps: list[str] = []
    pulse = Pulse(gaps.append)
    pulse.beat(_NOW_S, _CLOCK_S)
    gaps.clear()
    pulse.beat(_NOW_S + later_s, _CLOCK_S + clock_later_s)
    assert gaps == told
    pulse.beat(_NOW_S + later_s + 1, _CLOCK_S + clock_later_s + 1)
    assert gaps == told


def test_a_beat_that_does_not_come_is_seen_by_who_asks() -> None:
    pulse = Pulse(lambda why: None)
    assert not pulse.is_late
    pulse.beat(time.monotonic() - 60, time.time() - 60)
    assert pulse.is_late
