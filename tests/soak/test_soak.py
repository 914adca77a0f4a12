"""A process that lives long holds no more after its thousandth sync than after its first ones."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from support.profile import NIGHTLY
from support.soak import WARM_UP, Sample, growth, soak
from support.writers import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = {
    # kind of work: by day, by night
    "sync": (40, 1000),
    "status": (60, 1000),
    "entities": (30, 300),
    "failures": (24, 200),
}
MOST_RSS_KIB = 4096
"""The C library returns freed memory late, and each thread has an arena of its own: that is a matter of a few hundred
KiB, and of no more. One sync of these takes tens of MiB at first: one in a thousand that was kept would show."""
MOST_BLOCKS = 1000
"""Of memory that Python hands out. Tables of weak references and free lists fill up over some hundred rounds, by a few
hundred blocks; a connection, a report or an index that was kept each time would be tens of thousands."""
MOST_THREADS = 2
"""A pool starts one more whenever none of those it has is idle yet, up to its limit."""


@pytest.mark.skipif(sys.platform != "linux", reason="memory and descriptors are read from /proc")
@pytest.mark.parametrize("work", ROUNDS)
def test_what_a_process_holds_does_not_grow(tmp_path: Path, work: str) -> None:
    samples = soak(tmp_path / "vault", work, ROUNDS[work][NIGHTLY], SOURCE)
    show(work, samples)
    grown = growth(samples)
    assert (grown.descriptors, grown.files) == (0, 0)
    assert grown.threads <= MOST_THREADS
    assert samples[-1].threads <= (os.cpu_count() or 1) + 5
    assert grown.rss_kib <= MOST_RSS_KIB
    assert grown.blocks <= MOST_BLOCKS


def show(work: str, samples: list[Sample]) -> None:
    """Print what belongs into the documentation: `pytest -s`."""
    print(f"\n{work}: {growth(samples)}")  # noqa: T201
    for sample in samples[:: max(1, len(samples) // 10)] + samples[-1:]:
        print(f"  {sample}")  # noqa: T201


@pytest.mark.parametrize("name", ["rss_kib", "blocks", "descriptors", "threads", "files"])
def test_growth_is_from_the_first_fifth_to_the_last(name: str) -> None:
    flat = {"rss_kib": 7, "blocks": 7, "descriptors": 7, "threads": 7, "files": 7, "milliseconds": 1.0}
    rising = [Sample(rounds=number, **flat | {name: number}) for number in range(1, WARM_UP + 51)]  # type: ignore[arg-type]
    assert getattr(growth(rising), name) == 40
    assert sum(vars(growth(rising)).values()) == 40
