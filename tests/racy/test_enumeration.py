"""The racy rule, exhaustively: every interleaving of editor, clock, git, backups and syncs, up to seven steps.

The decisions are made by the functions of the product, as they are. That the enumeration can fail is shown by git's own
rule, whose hole it finds, and by dropping each clause of ours in turn.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from bm_gitindex.entities.records import ProjectState
from bm_gitindex.index import compare
from bm_gitindex.index.draft import Draft
from bm_gitindex.indexfile import snapshot_of
from bm_gitindex.worktree.reading import Reading
from racy import ours
from racy.enumeration import CLOCK_LIMIT, MTIME_LIMIT, Enumeration, judge_git, judge_ours
from racy.steps import ELSEWHERE_MARK, Ours
from racy.world import OTHER_DEVICE, Setting, content_id, stat_of
from support.profile import NIGHTLY, record_figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from racy.enumeration import Findings

LOCAL = Setting()
NETWORK = Setting(trusts_ctime=False)
AHEAD = Setting(state_clock_ahead=4)
ELSEWHERE = Setting(state_clock_ahead=20, state_device=OTHER_DEVICE)
SETTINGS = {
    "local": LOCAL,
    "network": NETWORK,
    "state folder two seconds ahead": AHEAD,
    "state folder two seconds behind": Setting(state_clock_ahead=-4),
    "network, state folder two seconds ahead": Setting(trusts_ctime=False, state_clock_ahead=4),
    "state folder on a device ten seconds ahead": ELSEWHERE,
    "state folder on a device ten seconds behind": Setting(state_clock_ahead=-20, state_device=OTHER_DEVICE),
    "network, state folder on a device ten seconds ahead": ELSEWHERE._replace(trusts_ctime=False),
    "files that are never opened": Setting(opens_files=False),
    "network, files that are never opened": Setting(trusts_ctime=False, opens_files=False),
}


def depth_of(setting: Setting) -> int:
    if NIGHTLY:
        return 7 if setting in {LOCAL, NETWORK} else 5
    return 3


def enumerated(setting: Setting, depth: int, steps: str = "") -> Findings:
    """Return what all steps, or those named, come to."""
    world = Ours(setting)
    every = world.steps()
    chosen = {name: every[name] for name in steps.split()} if steps else every
    return Enumeration(chosen, judge_ours(world)).run(world.start(), depth)


@pytest.mark.no_cover
@pytest.mark.parametrize("name", SETTINGS)
def test_no_edit_is_missed_whatever_happens_in_whatever_order(name: str) -> None:
    depth = depth_of(SETTINGS[name])
    findings = enumerated(SETTINGS[name], depth)
    assert findings.misses == {}
    assert findings.states > 3_000
    limits = dict(findings.verdicts)
    record_figures(name, steps=depth, interleavings=findings.interleavings, states=findings.states, limits=limits)


@pytest.mark.parametrize(
    ("setting", "limit", "steps"),
    [
        (LOCAL, CLOCK_LIMIT, ("start", "set_clock_back", "edit_same_size")),
        (NETWORK, MTIME_LIMIT, ("start", "edit_same_size", "put_mtime_back")),
    ],
)
def test_the_limits_are_where_they_are_said_to_be(setting: Setting, limit: str, steps: tuple[str, ...]) -> None:
    assert enumerated(setting, 2).examples[limit] == steps


def test_with_ctime_trusted_an_mtime_put_back_hides_nothing() -> None:
    assert set(enumerated(LOCAL, 3).examples) == {CLOCK_LIMIT}


# --- the enumeration can fail ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_first_index", "expected"),
    [
        (True, ("start", "edit_same_size", "git_hashes", "edit_same_size", "long_tick", "git_writes")),
        (False, ("start", "edit_same_size", "git_hashes", "git_checks", "edit_same_size", "long_tick", "git_writes")),
    ],
    ids=["first index", "later index"],
)
def test_the_hole_that_git_leaves_is_found(is_first_index: bool, expected: tuple[str, ...]) -> None:
    world = Ours(LOCAL)
    every = world.steps()
    names = ("edit_same_size", "tick", "long_tick", "git_hashes", "git_checks", "git_writes")
    new = world.start()[0]
    known = next(world.git_writes(next(world.git_hashes(new))))
    later = known._replace(now=known.now + 20)
    enumeration = Enumeration({name: every[name] for name in names}, judge_git)
    findings = enumeration.run([new if is_first_index else later], 6)
    assert findings.misses["missed: diff-files"] == expected


class Dropped(NamedTuple):
    """A clause, how to do without it, and steps that are enough to miss an edit then."""

    clause: str
    drop: Callable[[pytest.MonkeyPatch], None]
    setting: Setting
    steps: str
    depth: int


def _everywhere(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], other: Callable[..., Any]) -> None:
    """Put another function in a function's place, wherever it was imported."""
    for module in list(sys.modules.values()):
        is_ours = getattr(module, "__name__", "").startswith(("bm_gitindex.", "racy."))
        if is_ours and getattr(module, function.__name__, None) is function:
            monkeypatch.setattr(module, function.__name__, other)


def _drop_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_look(intake: Any, path: bytes, kind: object) -> Reading:
        look = intake.looks[path]
        st: Any = stat_of(path, look.closed)
        return Reading(st, content_id(*look.content), b"", look.content[0])

    monkeypatch.setattr(ours.GivenIntake, "_read", one_look)


def _drop_young(monkeypatch: pytest.MonkeyPatch) -> None:
    _everywhere(monkeypatch, compare.is_young, lambda *_: False)


def _drop_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "YOUNG_MARGIN_S", 0)


def _drop_other_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    real = compare.is_young
    _everywhere(monkeypatch, real, lambda stat, *rest: real(stat._replace(dev=OTHER_DEVICE), *rest))


def _drop_size_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    _everywhere(monkeypatch, compare.is_smudged, lambda _: False)


def _drop_racy(monkeypatch: pytest.MonkeyPatch) -> None:
    _everywhere(monkeypatch, compare.is_racy, lambda stat, baseline, trust: not baseline.is_trusted)


def _drop_no_blessing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Draft, "_racy", lambda _: ())


def _drop_our_own_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(data: bytes, timestamp_s: int, owner: bytes) -> Any:
        found = snapshot_of(data, timestamp_s, owner)
        return type(found)(found.index, found.baseline._replace(is_trusted=True), exists=True)

    monkeypatch.setattr(ours, "snapshot_of", trusting)


def _drop_written_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def dated(data: bytes, timestamp_s: int, owner: bytes) -> Any:
        found = snapshot_of(data, timestamp_s, owner)
        return type(found)(found.index, found.baseline._replace(timestamp_s=timestamp_s), exists=True)

    monkeypatch.setattr(ours, "snapshot_of", dated)


def _drop_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(data: bytes, timestamp_s: int, owner: bytes) -> Any:
        return snapshot_of(data, timestamp_s, owner.replace(ELSEWHERE_MARK, b""))

    monkeypatch.setattr(ours, "snapshot_of", trusting)


def _drop_clock_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare.Baseline, "seen_at", lambda baseline, _: baseline)


def _drop_tie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProjectState, "is_tied_to", lambda *_: True)


def _drop_tie_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProjectState, "is_tied_to", lambda state, trailer: state.index_trailer == trailer)


def _drop_tie_trailer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProjectState, "is_tied_to", lambda state, _: state.tie_closed)


DROPPED = [
    Dropped("1 one reading", _drop_one_reading, NETWORK, "read edit_other_size put_mtime_back write", 4),
    Dropped("2 young", _drop_young, LOCAL, "edit_same_size close long_tick write", 5),
    Dropped("2 young, margin", _drop_margin, AHEAD, "edit_same_size write", 3),
    Dropped("2 young, other devices", _drop_other_devices, ELSEWHERE, "edit_same_size write", 3),
    Dropped("3 size 0", _drop_size_zero, LOCAL, "edit_same_size close truncate long_tick write", 5),
    Dropped("4 racy", _drop_racy, LOCAL, "close set_clock_back edit_same_size write", 4),
    Dropped(
        "5 no blessing",
        _drop_no_blessing,
        LOCAL,
        "close set_clock_back edit_same_size write long_tick sync_partly",
        6,
    ),
    Dropped("6 our own writing", _drop_our_own_writing, LOCAL, "edit_same_size git_hashes long_tick git_writes", 5),
    Dropped("6 on this machine", _drop_this_machine, NETWORK, "edit_same_size sync_elsewhere", 3),
    Dropped(
        "6 as it was written",
        _drop_written_time,
        LOCAL,
        "begin set_clock_back write edit_same_size long_tick back_up restore_index",
        7,
    ),
    Dropped("7 clock set back", _drop_clock_set_back, LOCAL, "set_clock_back edit_same_size", 2),
    Dropped("the tie", _drop_tie, LOCAL, "restore_database", 1),
    Dropped("the tie, closed", _drop_tie_closed, LOCAL, "edit_same_size set_clock_back crash", 4),
    Dropped("the tie, trailer", _drop_tie_trailer, LOCAL, "edit_same_size git_hashes git_writes", 3),
]


@pytest.mark.no_cover
@pytest.mark.parametrize("dropped", DROPPED, ids=[dropped.clause for dropped in DROPPED])
def test_without_any_one_clause_an_edit_is_missed(monkeypatch: pytest.MonkeyPatch, dropped: Dropped) -> None:
    assert enumerated(dropped.setting, dropped.depth, dropped.steps).misses == {}
    dropped.drop(monkeypatch)
    assert enumerated(dropped.setting, dropped.depth, dropped.steps).misses


def test_the_files_that_are_never_opened_are_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    never_opened = SETTINGS["files that are never opened"]
    _everywhere(monkeypatch, compare.examine_pointer, lambda *_: compare.Verdict.CLEAN)
    assert enumerated(never_opened, 2, "edit_same_size write").misses
