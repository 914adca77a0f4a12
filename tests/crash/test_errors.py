"""The system may refuse any call: a clear line, a documented exit code, the old state as readable as before.

The same for all errors: whatever was refused, one undisturbed sync afterwards brings everything in order.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.profile import record_figures, sample
from support.stage import EDITS, FIRST_SYNC, SCENARIOS, Point, Saved, Scenario, Stage
from support.strace import Injection
from support.trace import DURABLE, OPENING, SYNCING, WRITING, below

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.strace import Ended, Tracer

SAMPLED = 6
_REPAIRS = {"damaged index", "damaged database", "rotten database", "part of the vault", "an option is set"}
REPAIRS = [scenario for scenario in SCENARIOS if scenario.name in _REPAIRS]
READING = frozenset({"read", "pread64"})
DONE, UNREADABLE, STOPPED, DAMAGED = 0, 3, 5, 6


def errors_for(name: str) -> tuple[str, ...]:
    """What can be said to a call of this name."""
    if name in OPENING:
        return "ENOSPC", "EIO", "EACCES", "EMFILE"
    if name in WRITING:
        return "ENOSPC", "EIO"
    if name in SYNCING:
        return "EIO", "ENOSPC"
    return ("EIO",) if name in READING else ("EACCES", "EIO", "ENOSPC")


def wrongs_of(ended: Ended, stage: Stage) -> list[str]:
    """Return what is wrong with how a run told of an error."""
    lines = ended.err.splitlines()
    if "Traceback" in ended.err:
        return [f"traceback: {ended.err}"]
    if ended.status == DONE:
        return []
    wrongs = [] if ended.status == DAMAGED else [f"exit code {ended.status}"]
    if len(lines) != 1 or not lines[0].startswith("bm-gitindex: "):
        wrongs.append(f"not one line: {ended.err!r}")
    return wrongs if str(stage.state_path) in ended.err else [*wrongs, f"names no file: {ended.err!r}"]


def lock_wrongs(stage: Stage, injection: Injection) -> list[str]:
    """Return what is left of the lock, unless it was its removal that was refused."""
    if injection.name in {"unlink", "unlinkat"}:
        return []
    left = {"index.lock", "index.new"} & {path.name for path in stage.state_path.glob("*")}
    return [f"left behind: {name}" for name in sorted(left)]


def done_wrongs(stage: Stage) -> list[str]:
    """Return what is wrong although the run has said that it is done."""
    stage.age_index()
    verification = stage.project_vault.project.verify()
    wrongs = [f"said to be done, but: {one}" for one in verification.mismatches]
    return wrongs + [f"said to be done, but pending: {path!r}" for path in verification.pending]


@pytest.mark.parametrize("scenario", [FIRST_SYNC, EDITS], ids=lambda scenario: scenario.name)
def test_any_error_at_any_call_about_the_state_is_told_and_recovered_from(
    tracer: Tracer, scenario: Scenario, tmp_path: Path
) -> None:
    stage = Stage(scenario, tmp_path)
    points = stage.points(tracer, DURABLE | READING)
    cases = [(point, error) for point in points for error in errors_for(point.site.name)]
    check_all(tracer, stage, cases)


@pytest.mark.parametrize("scenario", sample(REPAIRS, 1), ids=lambda scenario: scenario.name)
def test_an_error_during_a_repair_is_told_and_recovered_from(
    tracer: Tracer, scenario: Scenario, tmp_path: Path
) -> None:
    stage = Stage(scenario, tmp_path)
    cases = [(point, errors_for(point.site.name)[0]) for point in stage.points(tracer)]
    check_all(tracer, stage, cases)


def test_errors_that_do_not_end_are_told_and_recovered_from(tracer: Tracer, tmp_path: Path) -> None:
    """From a call on, each of its kind fails; what can never be read is another matter, see below."""
    stage = Stage(EDITS, tmp_path)
    cases = [(point, errors_for(point.site.name)[0]) for point in stage.points(tracer)]
    check_all(tracer, stage, cases, "+")


def check_all(
    tracer: Tracer,
    stage: Stage,
    cases: Sequence[tuple[Point, str]],
    and_after: str = "",
) -> None:
    """Let the command meet each error; a sample of them by day."""
    wrongs, missed = {}, []
    cases = sample(cases, SAMPLED)
    for point, error in cases:
        found = refuse(tracer, stage, point, point.injection(f"error={error}", and_after))
        if found is None:
            missed.append(f"{point.site} {error}")
        elif found:
            wrongs[f"{point.site} {error}"] = found
    record_figures(f"errors{and_after}: {stage.scenario.name}", error_points=len(cases))
    assert wrongs == {}
    assert missed == []


def refuse(tracer: Tracer, stage: Stage, point: Point, injection: Injection) -> list[str] | None:
    """Run the command with a call refused. Returns what is wrong; None if the call did not come."""
    stage.reset()
    ended = tracer.inject(stage.argv, injection, point.gate)
    if not any(call.is_injected for call in stage.about_state(ended)):
        return None
    wrongs = wrongs_of(ended, stage) + lock_wrongs(stage, injection)
    if ended.status == DONE and stage.scenario.arguments == ("sync",):
        wrongs += done_wrongs(stage)
    else:
        wrongs += stage.wrongs_after_crash()
    return wrongs + stage.wrongs_after_sync()


@pytest.mark.parametrize("name", ["index", "entities.db", "config.toml"])
def test_state_that_the_disk_does_not_deliver_is_not_taken_for_damaged(
    tracer: Tracer, tmp_path: Path, name: str
) -> None:
    stage = Stage(EDITS, tmp_path)
    stage.saved["config.toml"] = Saved(b"[bounds]\nmax_nesting = 150\n", 0)
    for call in ("read", "pread64"):
        stage.reset()
        ended = tracer.inject(stage.argv, Injection(call, (str(stage.state_path / name),), "error=EIO", "1+"))
        if any(call.is_injected for call in ended.calls) and (call, name) != ("pread64", "entities.db"):
            assert (ended.status, wrongs_of(ended, stage)) == (DAMAGED, [])
        assert not list(stage.state_path.glob("*.corrupt-*"))


# --- the user's files ------------------------------------------------------------------------------------------------

_USER_CALLS = frozenset({"openat", "read", "getdents64", "newfstatat", "fstat", "statx"})


def test_an_error_at_any_call_about_a_users_file_is_told_with_its_name_and_loses_nothing(
    tracer: Tracer, tmp_path: Path
) -> None:
    stage = Stage(EDITS, tmp_path)
    ended = tracer.trace(stage.argv)
    state = str(stage.state_path)
    calls = [call for call in below(ended.calls, str(stage.root)) if call.name in _USER_CALLS]
    calls = [call for call in calls if not below([call], state)]
    pairs = list(dict.fromkeys((call.name, call.paths[0]) for call in calls))
    cases = [(name, path, error) for name, path in pairs for error in ("EIO", "EACCES", "EMFILE")]
    assert {"openat", "read", "getdents64"} <= {name for name, _, _ in cases}
    wrongs = {}
    cases = list(sample(cases, SAMPLED))
    for name, path, error in cases:
        stage.reset()
        stage.scenario = EDITS
        if name not in {"openat", "read"} or os.path.isdir(path):
            stage.expect_no_moves()
        injection = Injection(name, (path, os.path.basename(path)), f"error={error}", "1+")
        ended = tracer.inject(stage.argv, injection)
        found = stage.wrongs_after_crash()
        if ended.status not in {DONE, UNREADABLE, STOPPED} or "Traceback" in ended.err:
            found.append(f"exit code {ended.status}: {ended.err!r}")
        relative = os.path.relpath(path, stage.root)
        if ended.status != DONE and f"bm-gitindex: {relative}: " not in ended.err and path not in ended.err:
            found.append(f"not named: {ended.err!r}")
        found += stage.wrongs_after_sync()
        if found:
            wrongs[f"{name} {relative} {error}"] = found
    record_figures("errors about a user's file", error_points=len(cases))
    assert wrongs == {}


# --- descriptors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", [FIRST_SYNC, EDITS], ids=lambda scenario: scenario.name)
def test_with_too_few_descriptors_a_run_ends_with_a_clear_line_and_loses_nothing(
    tracer: Tracer, scenario: Scenario, tmp_path: Path
) -> None:
    stage = Stage(scenario, tmp_path)
    stage.expect_no_moves()
    limits = sample(range(4, 40), 6)
    wrongs, statuses = {}, set()
    for limit in limits:
        stage.reset()
        ended = tracer.run(stage.argv, files=limit)
        statuses.add(ended.status)
        found = [] if ended.status in {DONE, UNREADABLE, DAMAGED} else [f"exit code {ended.status}"]
        if "Traceback" in ended.err or (ended.status == DAMAGED and len(ended.err.splitlines()) != 1):
            found.append(f"not one line: {ended.err}")
        found += [f"left behind: {path.name}" for path in stage.state_path.glob("index.[ln]*")]
        found += stage.wrongs_after_crash() + stage.wrongs_after_sync()
        if found:
            wrongs[limit] = found
    record_figures(f"few descriptors: {scenario.name}", limits=len(limits))
    assert wrongs == {}
    assert {DONE, DAMAGED} <= statuses
