"""The racy rule by literals: the entry, the stat, T and t0 are arguments, and no test waits for a clock."""

from __future__ import annotations

import pytest

from bm_gitindex.index.compare import (
    Baseline,
    LockClock,
    Verdict,
    change_time,
    entry_for,
    examine,
    examine_pointer,
    is_racy,
    is_smudged,
    is_young,
)
from bm_gitindex.index.entry import EMPTY_BLOB_ID, Entry, Tracking, stat_only_id
from bm_gitindex.index.stat import MODE_EXECUTABLE, StatData, Trust, stat_data
from support.values import NS, SOME_ID, STAT, ZERO_STAT, FakeStat, entry

BY_CTIME = Trust()
BY_MTIME = Trust(ctime=False)
MINIMAL = Trust(check_stat="minimal")
SETTLED = Baseline(10_000, is_trusted=True)
CONTENT = Tracking.CONTENT
# STAT: mtime 500.000000005, ctime 600.000000006, dev 1


# --- clause 3: size 0 equals nothing ---------------------------------------------------------------------------------


def test_r11_size_0_is_equal_to_nothing_an_empty_file_included() -> None:
    smudged = entry(size=0)
    assert is_smudged(smudged)
    assert examine(smudged, STAT, CONTENT, SETTLED, BY_CTIME) is Verdict.UNSURE
    assert examine(smudged, STAT._replace(size=0), CONTENT, SETTLED, BY_CTIME) is Verdict.UNSURE


def test_r12_a_truly_empty_file_is_clean_unread() -> None:
    empty = entry(blob_id=EMPTY_BLOB_ID, size=0)
    assert not is_smudged(empty)
    assert examine(empty, STAT._replace(size=0), CONTENT, SETTLED, BY_CTIME) is Verdict.CLEAN


def test_an_empty_file_that_grew_is_modified() -> None:
    empty = entry(blob_id=EMPTY_BLOB_ID, size=0)
    assert examine(empty, STAT, CONTENT, SETTLED, BY_CTIME) is Verdict.MODIFIED


# --- clause 4: equal, and racy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trust", "timestamp_s", "racy"),
    [
        (BY_CTIME, 599, True),
        (BY_CTIME, 600, True),
        (BY_CTIME, 601, False),
        (BY_MTIME, 500, True),
        (BY_MTIME, 501, False),
        (MINIMAL, 500, True),
        (MINIMAL, 501, False),
        (BY_CTIME, 0, True),
        (BY_MTIME, 0, True),
    ],
)
def test_r01_racy_is_what_did_not_change_before_t(trust: Trust, timestamp_s: int, racy: bool) -> None:
    baseline = Baseline(timestamp_s, is_trusted=True)
    assert is_racy(STAT, baseline, trust) is racy
    verdict = examine(entry(), STAT, CONTENT, baseline, trust)
    assert verdict is (Verdict.UNSURE if racy else Verdict.CLEAN)


def test_t_0_makes_even_a_file_of_the_epoch_racy() -> None:
    epoch = StatData(0, 0, 0, 0, 1, 7, 0o100644, 0, 0, 6)
    assert is_racy(epoch, Baseline(0, is_trusted=True), BY_CTIME)
    assert is_racy(epoch, Baseline(0, is_trusted=True), BY_MTIME)


def test_r04_an_mtime_from_the_future_is_racy_only_where_ctime_is_not_trusted() -> None:
    future = STAT._replace(mtime_s=50_000)
    assert examine(entry(mtime_s=50_000), future, CONTENT, SETTLED, BY_MTIME) is Verdict.UNSURE
    assert examine(entry(mtime_s=50_000), future, CONTENT, SETTLED, BY_CTIME) is Verdict.CLEAN


@pytest.mark.parametrize(
    ("changed", "trust", "verdict"),
    [
        ({"size": 7}, BY_CTIME, Verdict.MODIFIED),
        ({"mode": 0o100755}, BY_CTIME, Verdict.MODIFIED),
        ({"mode": 0o100755}, Trust(filemode=False), Verdict.CLEAN),
        ({"mode": 0o120000}, Trust(filemode=False), Verdict.MODIFIED),
        ({"mtime_s": 499}, BY_CTIME, Verdict.UNSURE),
        pytest.param({"mtime_ns": 6}, BY_MTIME, Verdict.UNSURE, id="R16"),
        ({"mtime_ns": 6}, MINIMAL, Verdict.CLEAN),
        pytest.param({"ctime_ns": 7}, BY_CTIME, Verdict.UNSURE, id="R02"),
        ({"ctime_ns": 7}, BY_MTIME, Verdict.CLEAN),
        ({"ino": 8}, BY_CTIME, Verdict.UNSURE),
        pytest.param({"ino": 8, "ctime_s": 1}, MINIMAL, Verdict.CLEAN, id="R23"),
        pytest.param({"dev": 99}, BY_CTIME, Verdict.CLEAN, id="R25"),
        pytest.param({"uid": 0, "gid": 0}, BY_CTIME, Verdict.CLEAN, id="R26"),
    ],
)
def test_what_differs_decides(changed: dict[str, int], trust: Trust, verdict: Verdict) -> None:
    assert examine(entry(), STAT._replace(**changed), CONTENT, SETTLED, trust) is verdict


def test_r30_owners_x_bit_is_a_change_and_the_groups_is_not() -> None:
    for st_mode, verdict in ((0o100744, Verdict.MODIFIED), (0o100654, Verdict.CLEAN)):
        observed = stat_data(FakeStat(st_mode=st_mode))
        assert examine(entry(), observed, CONTENT, SETTLED, BY_CTIME) is verdict


def test_r27_the_low_half_of_a_large_size_is_compared() -> None:
    observed = stat_data(FakeStat(st_size=5 * 1024**3))
    assert examine(entry(size=1024**3), observed, CONTENT, SETTLED, BY_CTIME) is Verdict.CLEAN


def test_zero_stat_is_unsure_as_long_as_the_size_is_0() -> None:
    zero = Entry(b"f", ZERO_STAT, SOME_ID)
    assert examine(zero, STAT, CONTENT, SETTLED, BY_CTIME) is Verdict.UNSURE


@pytest.mark.parametrize("recorded", Tracking)
@pytest.mark.parametrize("wanted", [Tracking.CONTENT, Tracking.SAMPLE])
def test_an_entry_of_another_tracking_is_never_clean(recorded: Tracking, wanted: Tracking) -> None:
    verdict = examine(Entry.of(b"f", STAT, SOME_ID, recorded), STAT, wanted, SETTLED, BY_CTIME)
    assert (verdict is Verdict.CLEAN) == (recorded is wanted)


def test_change_time_is_ctime_where_it_is_trusted() -> None:
    assert change_time(STAT, BY_CTIME) == (600, 6)
    assert change_time(STAT, BY_MTIME) == (500, 5)
    assert change_time(STAT, MINIMAL) == (500, 5)


# --- clauses 6 and 7: an index that proves nothing -------------------------------------------------------------------


def test_an_index_of_another_writer_makes_every_entry_racy() -> None:
    baseline = Baseline(10_000, is_trusted=False)
    assert is_racy(STAT, baseline, BY_CTIME)
    assert examine(entry(), STAT, CONTENT, baseline, BY_CTIME) is Verdict.UNSURE
    assert SETTLED.distrusted() == baseline


@pytest.mark.parametrize(("second", "is_before"), [(9_999, True), (10_000, False), (10_001, False)])
def test_a_clock_set_back_is_noticed_by_the_second(second: int, is_before: bool) -> None:
    assert LockClock(second, 999, frozenset({1})).is_before(SETTLED) is is_before


# --- clause 2: young -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "nanosecond", "young"),
    [
        (600, 0, True),
        (602, 5, True),
        (602, 6, True),
        (602, 7, False),
        (603, 0, False),
        (1, 0, True),
    ],
)
def test_young_is_a_file_whose_change_is_not_two_seconds_older_than_t0(
    second: int, nanosecond: int, young: bool
) -> None:
    clock = LockClock(second, nanosecond, devices=frozenset({1}))
    assert is_young(STAT, clock, BY_CTIME) is young
    assert is_smudged(entry_for(entry(), clock, BY_CTIME)) is young


def test_youth_goes_by_mtime_where_ctime_is_not_trusted() -> None:
    clock = LockClock(550, 0, devices=frozenset({1}))
    assert not is_young(STAT, clock, BY_MTIME)
    assert is_young(STAT, clock, BY_CTIME)


def test_a_file_of_another_device_is_always_young() -> None:
    assert is_young(STAT, LockClock(2**32 - 1, 0, devices=frozenset({2})), BY_CTIME)


def test_youth_is_counted_in_32_bits_on_both_sides() -> None:
    observed = stat_data(FakeStat(st_ctime_ns=(2**32 + 600) * NS))
    assert is_young(observed, LockClock(601, 0, frozenset({1})), BY_CTIME)
    assert not is_young(observed, LockClock(603, 0, frozenset({1})), BY_CTIME)


@pytest.mark.parametrize("tracking", Tracking)
def test_a_young_entry_is_smudged_whatever_its_tracking(tracking: Tracking) -> None:
    young = entry_for(Entry.of(b"f", STAT, SOME_ID, tracking), LockClock(600, 0, frozenset({1})), BY_CTIME)
    assert young.stat.size == 0
    assert young.tracking is tracking


def test_an_old_entry_is_stored_as_it_is() -> None:
    assert entry_for(entry(), LockClock(700, 0, frozenset({1})), BY_CTIME) == entry()


# --- stat-only -------------------------------------------------------------------------------------------------------

POINTER = stat_only_id(20_000_000, FakeStat().st_mtime_ns)
LARGE = StatData(*STAT)._replace(size=20_000_000)
EXECUTABLE = LARGE._replace(mode=MODE_EXECUTABLE)
NO_FILEMODE = BY_MTIME._replace(filemode=False)


def pointer(**fields: int) -> Entry:
    return Entry.of(b"p.pdf", LARGE._replace(**fields), POINTER, Tracking.STAT)


@pytest.mark.parametrize(
    ("recorded", "observed", "expected_id", "baseline", "trust", "verdict"),
    [
        pytest.param(pointer(), LARGE, POINTER, SETTLED, BY_CTIME, Verdict.CLEAN, id="same"),
        pytest.param(pointer(), LARGE, SOME_ID, SETTLED, BY_CTIME, Verdict.MODIFIED, id="another id"),
        pytest.param(pointer(), LARGE._replace(ctime_s=601), POINTER, SETTLED, BY_CTIME, Verdict.MODIFIED, id="ctime"),
        pytest.param(pointer(), LARGE._replace(ctime_ns=7), POINTER, SETTLED, BY_CTIME, Verdict.MODIFIED, id="ns"),
        pytest.param(pointer(), LARGE._replace(ctime_s=601), POINTER, SETTLED, BY_MTIME, Verdict.CLEAN, id="untrusted"),
        pytest.param(pointer(), EXECUTABLE, POINTER, SETTLED, BY_MTIME, Verdict.MODIFIED, id="executable"),
        pytest.param(pointer(), EXECUTABLE, POINTER, SETTLED, NO_FILEMODE, Verdict.CLEAN, id="mode is not trusted"),
        pytest.param(pointer(), LARGE, POINTER, Baseline(600, True), BY_CTIME, Verdict.UNSURE, id="racy"),
        pytest.param(pointer(size=0), LARGE, POINTER, SETTLED, BY_CTIME, Verdict.UNSURE, id="young when stored"),
        pytest.param(pointer(), LARGE, POINTER, SETTLED.distrusted(), BY_CTIME, Verdict.UNSURE, id="not ours"),
    ],
)
def test_a_pointer_is_compared_by_id_and_mode_and_ctime(
    recorded: Entry, observed: StatData, expected_id: bytes, baseline: Baseline, trust: Trust, verdict: Verdict
) -> None:
    assert examine_pointer(recorded, observed, expected_id, baseline, trust) is verdict


@pytest.mark.parametrize("tracking", [Tracking.CONTENT, Tracking.SAMPLE])
def test_a_pointer_among_entries_of_content_is_a_change(tracking: Tracking) -> None:
    other = Entry.of(b"p.pdf", LARGE, POINTER, tracking)
    assert examine_pointer(other, LARGE, POINTER, SETTLED, BY_CTIME) is Verdict.MODIFIED
