"""Random lives of a project: whatever happens to it, the next undisturbed sync leaves what a first one would.

`BM_GITINDEX_MACHINE_STEPS` and `BM_GITINDEX_MACHINE_SEED` in the environment say how long, and along which way;
`BM_GITINDEX_MACHINE_RECORD` names a file to which a run adds what it has done.
"""

from __future__ import annotations

import os
import time
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from machine import tally
from machine.rules import KernelTime, OwnTime
from support.profile import NIGHTLY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine.rules import Project

STEPS = int(os.environ.get("BM_GITINDEX_MACHINE_STEPS", "100000" if NIGHTLY else "500"))
SEED = int(os.environ.get("BM_GITINDEX_MACHINE_SEED", "0"))
RECORD = os.environ.get("BM_GITINDEX_MACHINE_RECORD")
MACHINES: dict[type[Project], float] = {OwnTime: 0.8, KernelTime: 0.2}
"""Which share of the steps each has."""
_STEPS_IN_A_LIFE = 60
_LIVES_IN_A_ROUND = 5 if not NIGHTLY else 50


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A folder in memory, where there is such a thing: each step writes durably."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(os.path.realpath(folder))


@pytest.mark.no_cover
@pytest.mark.parametrize("machine", MACHINES)
def test_next_undisturbed_sync_leaves_what_a_first_one_would(machine: type[Project], base: Path) -> None:
    """The state machine itself: rounds of lives, until the steps are done."""
    started_s = time.perf_counter()
    tally.steps.clear()
    tally.seconds.clear()
    machine.base = base
    for number in count(SEED * 1_000_000):
        lives = settings(
            max_examples=_LIVES_IN_A_ROUND,
            stateful_step_count=_STEPS_IN_A_LIFE,
            deadline=None,
            database=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(seed(number)(machine), settings=lives)
        if tally.steps.total() >= STEPS * MACHINES[machine]:
            break
    if RECORD:
        with open(RECORD, "a", encoding="utf-8") as record:
            record.write(f"{machine.__name__}, seed {SEED}: {tally.summary(started_s)}\n")
