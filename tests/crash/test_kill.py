"""A sync may be killed at every system call that reaches the disk: one more sync, and nothing shows that it was.

SIGKILL comes at the entry of a call, which then is not made: the disk is as the calls before it have left it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.profile import NIGHTLY, record_figures, sample
from support.stage import EDITS, FIRST_SYNC, SCENARIOS, Point, Scenario, Stage, sites_of

if TYPE_CHECKING:
    from pathlib import Path

    from support.strace import Tracer

SAMPLED = 3
SAMPLED_FIRST = 4 if NIGHTLY else 1


@pytest.fixture(params=sample(SCENARIOS, 4), ids=lambda scenario: scenario.name)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    scenario: Scenario = request.param
    return Stage(scenario, tmp_path)


def kill(tracer: Tracer, stage: Stage, point: Point) -> bool:
    """Run the command and kill it at a call. Returns whether it was that call."""
    for _ in range(3):  # which thread of a pool makes a call is not always the same
        stage.reset()
        ended = tracer.inject(stage.argv, point.injection("signal=KILL"), point.gate)
        if ended.was_killed and sites_of(stage.about_state(ended))[-1][0] == point.site:
            return True
    return False


def test_a_kill_at_any_durable_call_is_recovered_from_in_one_sync(tracer: Tracer, stage: Stage) -> None:
    points = sample(stage.points(tracer), SAMPLED)
    missed, wrongs = [], {}
    for point in points:
        if not kill(tracer, stage, point):
            missed.append(str(point.site))
        elif found := stage.wrongs_after_crash() + stage.wrongs_after_sync():
            wrongs[str(point.site)] = found
    record_figures(f"kills: {stage.scenario.name}", kill_points=len(points))
    assert wrongs == {}
    assert missed == []


@pytest.mark.parametrize("scenario", sample([EDITS, FIRST_SYNC], 1), ids=lambda scenario: scenario.name)
def test_a_recovery_may_be_killed_as_well(tracer: Tracer, scenario: Scenario, tmp_path: Path) -> None:
    stage = Stage(scenario, tmp_path)
    first_points = stage.points(tracer)
    count = 0
    wrongs = {}
    before = stage.saved
    for first in first_points[5 :: len(first_points) // SAMPLED_FIRST]:
        stage.saved = before
        assert kill(tracer, stage, first)
        stage.saved = stage.snapshot()
        for point in sample(stage.points(tracer), SAMPLED):
            count += 1
            assert kill(tracer, stage, point), point.site
            if found := stage.wrongs_after_crash() + stage.wrongs_after_sync():
                wrongs[f"{first.site}, {point.site}"] = found
    record_figures(f"kills of a recovery: {scenario.name}", kill_points=count)
    assert wrongs == {}
