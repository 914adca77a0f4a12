from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bm_gitindex.entities.records import KnownFile
from bm_gitindex.index.codec import decode
from bm_gitindex.index.encoding import encode
from bm_gitindex.index.entry import EMPTY_BLOB_ID, Entry, Index, Tracking
from bm_gitindex.index.moves import Lost
from bm_gitindex.options import Options
from bm_gitindex.rules import Classifier, Kind
from bm_gitindex.syncing.plan import Known, MatchPlanner, Plan, ReconcilePlanner, Task, Tasks
from support.values import HELLO_ID, NS, SOME_ID, STAT, ZERO_STAT, entry, survey_of

PARSER = "this parser"
CLASSIFIER = Classifier(Options(large_file_bytes=1000))
NOTE = Known(SOME_ID, is_note=True, mtime=(500, 5))
FILE = Known(SOME_ID, is_note=False, mtime=(500, 5))
FOUR_GIB = 2**32


def index_of(*entries: Entry) -> Index:
    return decode(encode(entries))


def row(path: bytes, **fields: Any) -> KnownFile:
    """Return the row that belongs to `entry(path)`, some fields replaced."""
    values: dict[str, Any] = {
        "kind": Kind.NOTE if path.endswith(b".md") else Kind.FILE,
        "blob_id": SOME_ID,
        "size_bytes": STAT.size,
        "mtime_ns": 500 * NS + 5,
        "parsed_by": PARSER,
    }
    return KnownFile(path=path, **(values | fields))


def match(*entries: Entry) -> MatchPlanner:
    return MatchPlanner(index_of(*entries), CLASSIFIER)


def reconcile(entries: list[Entry], rows: list[KnownFile]) -> ReconcilePlanner:
    return ReconcilePlanner(index_of(*entries), CLASSIFIER, {row.path: row for row in rows}, PARSER)


def planned(entries: list[Entry], rows: list[KnownFile], **survey: Any) -> Plan:
    return reconcile(entries, rows).plan(survey_of(**survey))


# --- index and database belong together ------------------------------------------------------------------------------


def test_what_differs_is_read_in_order_of_path_and_nothing_else_is() -> None:
    planner = match(entry(b"b.md"), entry(b"c.pdf"), entry(b"d.md"), entry(b"gone.md"))
    survey = survey_of(
        new={b"a.md": 1}, modified={b"c.pdf": 2}, unsure={b"b.md": 3}, vanished=[b"gone.md"], unchanged=1
    )
    plan = planner.plan(survey)
    assert list(plan.tasks) == [
        Task(b"a.md", Kind.NOTE, None),
        Task(b"b.md", Kind.NOTE, NOTE),
        Task(b"c.pdf", Kind.FILE, FILE),
    ]
    assert (plan.new, plan.known_count, plan.unchanged, plan.unread) == ({b"a.md": 1}, 4, 1, {})
    assert plan.lost == [Lost(b"gone.md", SOME_ID, 6, 7, Tracking.CONTENT)]


@pytest.mark.parametrize(
    ("old_path", "path", "has_to_be_read"),
    [(b"a.md", b"b.md", False), (b"a.txt", b"b.txt", False), (b"a.md", b"b.txt", True), (b"a.txt", b"b.md", True)],
)
def test_a_renamed_file_is_read_only_if_it_is_a_note_no_longer_or_only_now(
    old_path: bytes, path: bytes, has_to_be_read: bool
) -> None:
    kind = CLASSIFIER.kind(path, 6)
    for planner in (match(entry(old_path)), reconcile([entry(old_path)], [row(old_path)])):
        task = planner.task_after_rename(path, old_path, kind)
        assert (task is not None) is has_to_be_read
        if task is not None:
            assert (task.path, task.kind, task.known) == (path, kind, planner.known(old_path))


def test_what_could_not_be_read_stays_known_and_equal_to_nothing() -> None:
    planner = match(entry(b"a.md"))
    assert planner.unread_entry(b"a.md") == entry(b"a.md", size=0)
    assert planner.unread_entry(b"new.md") is None


# --- they may differ -------------------------------------------------------------------------------------------------


def test_what_index_and_database_agree_on_is_not_read() -> None:
    plan = planned([entry(b"a.md"), entry(b"b.pdf")], [row(b"a.md"), row(b"b.pdf", parsed_by="")])
    assert (list(plan.tasks), plan.lost, plan.unread) == ([], [], {})
    assert (plan.unchanged, plan.known_count) == (2, 2)


@pytest.mark.parametrize(
    "other", [{"blob_id": HELLO_ID}, {"kind": Kind.FILE}, {"mtime_ns": 500 * NS + 6}, {"mtime_ns": 501 * NS + 5}]
)
def test_a_row_that_says_something_else_has_its_file_read_though_stat_calls_it_clean(other: dict[str, Any]) -> None:
    known = row(b"a.md", **other)
    plan = planned([entry(b"a.md")], [known])
    (task,) = plan.tasks
    assert (task.path, task.kind, task.must_parse, plan.unchanged) == (b"a.md", Kind.NOTE, False, 0)
    assert task.known is not None
    assert task.known.blob_id == known.blob_id


def test_a_clean_file_without_a_row_is_read() -> None:
    plan = planned([entry(b"a.md")], [])
    assert list(plan.tasks) == [Task(b"a.md", Kind.NOTE, None)]
    assert (plan.unchanged, plan.known_count) == (0, 1)


def test_only_notes_are_parsed_again_for_another_parser() -> None:
    rows = [row(path, parsed_by="another") for path in (b"a.md", b"b.pdf")]
    plan = planned([entry(b"a.md"), entry(b"b.pdf")], rows)
    assert list(plan.tasks) == [Task(b"a.md", Kind.NOTE, NOTE, must_parse=True)]
    assert plan.unchanged == 1


def test_tasks_are_in_order_of_path_wherever_they_come_from() -> None:
    plan = planned(
        [entry(b"b.md"), entry(b"d.md")], [row(b"d.md")], new={b"c.md": 6}, modified={b"d.md": 9}, unsure={b"a.md": 6}
    )
    assert [task.path for task in plan.tasks] == [b"a.md", b"b.md", b"c.md", b"d.md"]


def test_a_new_path_that_the_database_knows_is_no_candidate_for_a_rename() -> None:
    plan = planned([], [row(b"known.md")], new={b"known.md": 6, b"new.md": 7})
    assert plan.new == {b"new.md": 7}
    assert list(plan.tasks) == [Task(b"known.md", Kind.NOTE, NOTE), Task(b"new.md", Kind.NOTE, None)]
    assert (plan.lost, plan.known_count) == ([], 1)


def test_a_row_whose_path_nobody_finds_is_lost() -> None:
    plan = planned([], [row(b"gone.md", size_bytes=FOUR_GIB + 6), row(b"large.iso", kind=Kind.STAT_ONLY)])
    assert plan.lost == [
        Lost(b"gone.md", SOME_ID, 6, None, Tracking.CONTENT),
        Lost(b"large.iso", SOME_ID, 6, None, Tracking.STAT),
    ]
    assert plan.known_count == 2


def test_a_vanished_path_is_lost_with_what_the_index_knows_only_where_the_row_agrees() -> None:
    rows = [row(b"same.md"), row(b"other.md", blob_id=HELLO_ID, size_bytes=FOUR_GIB, kind=Kind.SAMPLE)]
    paths = [b"other.md", b"same.md", b"without a row.md"]
    plan = planned([entry(path) for path in paths], rows, vanished=paths)
    assert plan.lost == [
        Lost(b"other.md", HELLO_ID, 0x8000_0000, None, Tracking.SAMPLE),
        Lost(b"same.md", SOME_ID, 6, 7, Tracking.CONTENT),
    ]
    assert (list(plan.tasks), plan.unread, plan.unchanged) == ([], {}, 0)


class TestUnseen:
    """Nobody could look: rows stay, and the index says what the database says."""

    @staticmethod
    def unread(entries: list[Entry], rows: list[KnownFile]) -> dict[bytes, Entry | None]:
        plan = planned(entries, rows, unseen=frozenset(entry.path for entry in entries), unlooked=frozenset({b"dir"}))
        assert (list(plan.tasks), plan.lost, plan.unchanged) == ([], [], len(entries))
        return plan.unread

    def test_what_both_know_stays_as_it_is(self) -> None:
        assert self.unread([entry(b"dir/a.md")], [row(b"dir/a.md")]) == {}

    def test_what_only_the_index_knows_is_forgotten(self) -> None:
        assert self.unread([entry(b"dir/a.md")], []) == {b"dir/a.md": None}

    @pytest.mark.parametrize("kind", [Kind.NOTE, Kind.STAT_ONLY, Kind.SAMPLE])
    def test_what_they_differ_on_is_known_as_the_row_has_it_and_equal_to_nothing(self, kind: Kind) -> None:
        unread = self.unread([entry(b"dir/a.md")], [row(b"dir/a.md", blob_id=HELLO_ID, kind=kind)])
        assert unread == {b"dir/a.md": Entry.of(b"dir/a.md", ZERO_STAT, HELLO_ID, kind.tracking)}

    def test_what_only_the_database_knows_is_remembered_by_the_index(self) -> None:
        assert self.unread([], [row(b"dir/a.md")]) == {b"dir/a.md": Entry(b"dir/a.md", ZERO_STAT, SOME_ID)}

    def test_a_row_outside_of_what_could_not_be_looked_at_is_lost(self) -> None:
        plan = planned([], [row(b"dir/a.md"), row(b"dirt/a.md")], unlooked=frozenset({b"dir"}))
        assert [file.path for file in plan.lost] == [b"dirt/a.md"]
        assert list(plan.unread) == [b"dir/a.md"]

    def test_a_path_that_was_found_is_not_unseen_though_it_could_not_be_read_in_the_end(self) -> None:
        unlooked = frozenset({b"a.md"})
        plan = planned([], [row(b"a.md")], new={b"a.md": 6}, unlooked=unlooked)
        assert ([task.path for task in plan.tasks], plan.unread) == ([b"a.md"], {})


@pytest.mark.parametrize("path", [b"a.md", b"none.md"])
def test_a_file_that_could_not_be_read_is_known_as_its_row_has_it(path: bytes) -> None:
    planner = reconcile([entry(b"a.md", HELLO_ID), entry(b"none.md")], [row(b"a.md")])
    expected = Entry(b"a.md", ZERO_STAT, SOME_ID) if path == b"a.md" else None
    assert planner.unread_entry(path) == expected


@pytest.mark.parametrize("parsed_by", [PARSER, "another"])
def test_a_renamed_note_of_another_parser_is_parsed_again(parsed_by: str) -> None:
    task = reconcile([], [row(b"a.md", parsed_by=parsed_by)]).task_after_rename(b"b.md", b"a.md", Kind.NOTE)
    assert task == (None if parsed_by == PARSER else Task(b"b.md", Kind.NOTE, NOTE, must_parse=True))


@pytest.mark.parametrize(
    ("tracking", "kind"),
    [(Tracking.CONTENT, Kind.FILE), (Tracking.STAT, Kind.STAT_ONLY), (Tracking.SAMPLE, Kind.SAMPLE)],
)
def test_a_large_file_is_of_the_kind_that_its_entry_says(tracking: Tracking, kind: Kind) -> None:
    large = Entry.of(b"a.iso", STAT, EMPTY_BLOB_ID, tracking)
    (task,) = planned([large], []).tasks
    assert task.kind is kind
    assert match(large).known(b"a.iso") == Known(EMPTY_BLOB_ID, is_note=False, mtime=(500, 5))


# --- tasks -----------------------------------------------------------------------------------------------------------

TASKS = st.builds(
    Task,
    st.sampled_from([b"a.md", b"b.md", b"c.pdf"]),
    st.sampled_from(Kind),
    st.sampled_from([None, NOTE, NOTE._replace(is_note=False)]),
    st.booleans(),
)


@given(st.lists(TASKS), st.integers(0, 5))
def test_tasks_come_out_as_they_went_in(expected: list[Task], taken: int) -> None:
    tasks = Tasks(expected)
    taken = min(taken, len(expected))
    assert [tasks.popleft() for _ in range(taken)] == expected[:taken]
    assert (list(tasks), len(tasks)) == (expected[taken:], len(expected) - taken)
    tasks.clear()
    assert (list(tasks), len(tasks)) == ([], 0)


def test_new_files_share_what_is_the_same_for_many_of_them() -> None:
    tracemalloc.start()
    try:
        paths = [b"%06d.md" % number for number in range(10_000)]
        before_bytes = tracemalloc.get_traced_memory()[0]
        tasks = Tasks(Task(path, Kind.NOTE, None) for path in paths)
        held_bytes = tracemalloc.get_traced_memory()[0] - before_bytes
    finally:
        tracemalloc.stop()
    assert held_bytes < 20 * len(tasks)
