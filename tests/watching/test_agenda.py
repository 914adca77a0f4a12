from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bm_gitindex.watching.agenda import (
    HELD_S,
    INTERVAL,
    LONGEST_S,
    MOST_PATHS,
    PATIENCE_S,
    QUIET_S,
    REST,
    Agenda,
    Due,
)

A, B, C = b"a.md", b"b.md", b"c.md"
NEVER = float("inf")
TICK_S = 0.001

paths = st.frozensets(st.sampled_from([A, B, C, b"sub", b""]), max_size=3)
spans = st.sampled_from([0.0, TICK_S, QUIET_S / 2, QUIET_S, 0.3, HELD_S, LONGEST_S, PATIENCE_S, 20.0])
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["changed", "hold", "again"]), paths, spans),
        st.tuples(st.sampled_from(["pass", "interval", "passed", "due", "release", "wait"]), st.none(), spans),
        st.tuples(st.just("flood"), st.none(), spans),
    ),
    max_size=30,
)


class Model:
    """An agenda, what must still come out of it, and a clock."""

    def __init__(self) -> None:
        self.agenda = Agenda()
        self.now_s = 100.0
        self.owed: set[bytes] = set()
        self.rested_s = -NEVER

    def do(self, what: str, named: frozenset[bytes] | None, span_s: float) -> None:
        if named is not None:
            self._name(what, named, span_s)
        else:
            self._go_on(what, span_s)

    def _name(self, what: str, names: frozenset[bytes], span_s: float) -> None:
        agenda, now_s = self.agenda, self.now_s
        self.owed |= names
        match what:
            case "changed":
                agenda.changed(names, now_s)
            case "hold":
                agenda.hold(names, now_s)
            case "again":
                agenda.look_again(names, now_s + span_s)

    def _go_on(self, what: str, span_s: float) -> None:
        agenda, now_s = self.agenda, self.now_s
        match what:
            case "flood":
                many = {b"%d" % number for number in range(MOST_PATHS + 1)}
                agenda.changed(many, now_s)
                self.owed |= many
                assert agenda.awaits_pass
            case "pass":
                agenda.demand_pass("wanted", now_s + span_s)
                assert agenda.awaits_pass
            case "interval":
                agenda.demand_pass(INTERVAL, now_s + span_s)
            case "passed":
                agenda.passed(now_s, now_s + span_s)
                self.now_s += span_s
                self.rested_s = self.now_s + REST * span_s - 1e-6
            case "release":
                self.owed -= agenda.release()
            case "due":
                self.take()
            case "wait":
                self.now_s += span_s

    def take(self) -> Due | None:
        expected_s = self.agenda.next_s()
        due = self.agenda.due(self.now_s)
        if due is None:
            return None
        assert expected_s <= self.now_s
        if due.is_pass:
            assert self.now_s >= self.rested_s
            self.owed.clear()
        else:
            assert due.paths
            assert due.overdue <= due.paths
            self.owed -= due.paths
        return due


@settings(max_examples=200)
@given(steps)
def test_nothing_is_lost_and_nothing_is_due_before_it_is_said_to_be(
    todo: list[tuple[str, frozenset[bytes] | None, float]],
) -> None:
    model = Model()
    for step in todo:
        model.do(*step)
    looks = 0
    while (next_s := model.agenda.next_s()) < NEVER:
        model.now_s = max(model.now_s, next_s)
        assert model.take() is not None, "something is said to be due, and nothing is"
        looks += 1
        assert looks < 50
    assert model.owed == set()
    assert model.agenda.unsettled == set()


@settings(max_examples=200)
@given(steps)
def test_what_was_seen_to_change_is_unsettled_until_it_comes_out_or_a_pass_is_to_come(
    todo: list[tuple[str, frozenset[bytes] | None, float]],
) -> None:
    model = Model()
    for step in todo:
        if step[0] != "again":
            model.do(*step)
        assert model.owed <= model.agenda.unsettled or model.agenda.awaits_pass


def test_an_empty_agenda_has_nothing_due_ever() -> None:
    agenda = Agenda()
    agenda.changed([], 5.0)
    assert (agenda.next_s(), agenda.due(1e9)) == (NEVER, None)


def test_a_change_is_due_when_it_was_quiet_for_a_while() -> None:
    agenda = Agenda()
    agenda.changed([A], 10.0)
    agenda.changed([B], 10.0 + QUIET_S - TICK_S)
    assert agenda.due(10.0 + QUIET_S) is None
    assert agenda.due(10.0 + 2 * QUIET_S) == Due(frozenset({A, B}))
    assert agenda.due(1e9) is None


def test_a_burst_waits_for_no_longer_than_the_longest_wait() -> None:
    agenda = Agenda()
    now_s = 10.0
    while now_s < 10.0 + LONGEST_S:
        agenda.changed([A], now_s)
        assert agenda.due(now_s) is None
        now_s += QUIET_S / 2
    agenda.changed([B], now_s)
    assert agenda.next_s() == 10.0 + LONGEST_S
    assert agenda.due(now_s) == Due(frozenset({A, B}))


def test_the_longest_wait_counts_anew_after_a_batch() -> None:
    agenda = Agenda()
    agenda.changed([A], 10.0)
    assert agenda.due(11.0) is not None
    agenda.changed([B], 11.0)
    assert agenda.next_s() == 11.0 + QUIET_S


def test_a_held_path_comes_out_overdue_when_nothing_came() -> None:
    agenda = Agenda()
    agenda.hold([A], 10.0)
    agenda.hold([A], 10.5)
    assert agenda.due(10.0 + HELD_S - TICK_S) is None
    assert agenda.due(10.0 + HELD_S) == Due(frozenset({A}), frozenset({A}))


def test_what_is_overdue_takes_along_what_has_just_changed() -> None:
    agenda = Agenda()
    agenda.hold([A], 10.0)
    agenda.changed([B], 10.0 + HELD_S)
    assert agenda.due(10.0 + HELD_S) == Due(frozenset({A, B}), frozenset({A}))


def test_what_is_released_is_held_no_more() -> None:
    agenda = Agenda()
    agenda.hold([A], 10.0)
    assert agenda.release() == {A}
    assert (agenda.next_s(), agenda.unsettled) == (NEVER, frozenset())


def test_a_path_is_looked_at_again_once_at_the_earlier_of_two_times() -> None:
    agenda = Agenda()
    agenda.look_again([A], 12.0)
    agenda.look_again([A], 11.0)
    assert agenda.due(10.9) is None
    assert agenda.due(11.0) == Due(frozenset({A}))
    assert agenda.due(1e9) is None


def test_a_change_makes_a_second_look_needless() -> None:
    agenda = Agenda()
    agenda.look_again([A], 20.0)
    agenda.changed([A], 10.0)
    assert agenda.due(11.0) == Due(frozenset({A}))
    assert agenda.next_s() == NEVER


def test_more_paths_than_are_looked_at_one_by_one_are_a_pass() -> None:
    many = [b"%d" % number for number in range(MOST_PATHS + 1)]
    for take_in in (Agenda.changed, Agenda.hold, Agenda.look_again):
        agenda = Agenda()
        take_in(agenda, many, 10.0)
        assert agenda.awaits_pass
        due = agenda.due(10.0)
        assert due is not None
        assert due.is_pass
        assert not agenda.unsettled


def test_a_flood_is_known_to_await_a_pass_though_one_is_due_for_want_of_rest() -> None:
    agenda = Agenda()
    agenda.demand_pass(INTERVAL, 11.0)
    agenda.passed(0.0, 10.0)
    agenda.changed([b"%d" % number for number in range(MOST_PATHS + 1)], 12.0)
    assert agenda.due(13.0) is None
    assert agenda.awaits_pass


def test_of_two_passes_the_earlier_one_counts() -> None:
    agenda = Agenda()
    agenda.demand_pass("late", 20.0)
    agenda.demand_pass("early", 10.0)
    agenda.demand_pass("between", 15.0)
    assert agenda.due(10.0) == Due(frozenset(), reason="early")
    assert agenda.next_s() == NEVER


def test_a_pass_that_is_only_due_lets_changes_go_first_for_a_while() -> None:
    agenda = Agenda()
    agenda.demand_pass(INTERVAL, 10.0)
    agenda.changed([A], 10.0)
    assert agenda.due(10.0) is None
    assert agenda.next_s() == 10.0 + QUIET_S
    assert agenda.due(10.0 + QUIET_S) == Due(frozenset({A}))
    assert agenda.due(10.0 + QUIET_S) == Due(frozenset(), reason=INTERVAL)


def test_a_pass_comes_though_something_changes_all_the_time() -> None:
    agenda = Agenda()
    agenda.demand_pass(INTERVAL, 10.0)
    agenda.changed([A], 10.0 + PATIENCE_S)
    assert agenda.due(10.0 + PATIENCE_S) == Due(frozenset(), reason=INTERVAL)


def test_a_pass_that_is_wanted_lets_nothing_go_first() -> None:
    agenda = Agenda()
    agenda.changed([A], 10.0)
    agenda.demand_pass("wanted", 10.0)
    assert agenda.due(10.0) == Due(frozenset(), reason="wanted")
    assert agenda.unsettled == frozenset()


def test_passes_rest_and_paths_do_not() -> None:
    agenda = Agenda()
    agenda.passed(8.0, 10.0)
    agenda.demand_pass("wanted", 10.0)
    agenda.changed([A], 10.0)
    assert agenda.due(10.0 + QUIET_S) == Due(frozenset({A}))
    assert agenda.next_s() == 10.0 + REST * 2.0
    assert agenda.due(10.0 + REST * 2.0 - TICK_S) is None
    assert agenda.due(10.0 + REST * 2.0) == Due(frozenset(), reason="wanted")
