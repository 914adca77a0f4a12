from __future__ import annotations

import os
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bm_gitindex.index.stat import (
    MODE_EXECUTABLE,
    MODE_REGULAR,
    StatChange,
    StatData,
    Trust,
    entry_mode,
    is_regular,
    low32,
    stat_changes,
    stat_data,
    stored_size,
    stored_time,
)
from support.values import NS, STAT, FakeStat

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3
ALL = Trust()
BY_MTIME = Trust(ctime=False)
NO_MODE = Trust(filemode=False)
MINIMAL = Trust(check_stat="minimal")


def test_every_field_stands_in_its_place() -> None:
    assert stat_data(FakeStat()) == STAT
    assert tuple(STAT) == (600, 6, 500, 5, 1, 7, 0o100644, 1000, 1000, 6)


@pytest.mark.parametrize(
    ("fake", "field", "stored"),
    [
        (FakeStat(st_ino=2**32 + 9), "ino", 9),
        (FakeStat(st_dev=2**40 + 3), "dev", 3),
        (FakeStat(st_uid=2**32 - 1), "uid", 2**32 - 1),
        (FakeStat(st_gid=2**32 - 2), "gid", 2**32 - 2),
        (FakeStat(st_ctime_ns=(2**32 + 1) * NS + 8), "ctime_s", 1),
        (FakeStat(st_ctime_ns=(2**32 + 1) * NS + 8), "ctime_ns", 8),
        (FakeStat(st_mtime_ns=-1), "mtime_s", 2**32 - 1),
        (FakeStat(st_mtime_ns=-1), "mtime_ns", NS - 1),
        (FakeStat(st_mtime_ns=0), "mtime_s", 0),
        (FakeStat(st_mtime_ns=999_999_999), "mtime_ns", 999_999_999),
    ],
)
def test_wider_numbers_are_cut_to_32_bits(fake: FakeStat, field: str, stored: int) -> None:
    assert getattr(stat_data(fake), field) == stored


@given(st.integers(-(2**70), 2**70))
def test_a_time_and_a_number_alone_are_cut_as_those_of_a_stat_are(number: int) -> None:
    fields = stat_data(FakeStat(st_mtime_ns=number, st_ino=number))
    assert stored_time(number) == (fields.mtime_s, fields.mtime_ns)
    assert low32(number) == fields.ino == number % 2**32


def test_modes_are_those_that_git_writes() -> None:
    assert (MODE_REGULAR, MODE_EXECUTABLE) == (0o100644, 0o100755)


def test_r18_mtime_beyond_2_32_is_stored_as_its_low_half() -> None:
    assert stat_data(FakeStat(st_mtime_ns=(2**32 + 500) * NS)).mtime_s == 500


@pytest.mark.parametrize(
    ("size_bytes", "stored"),
    [
        (0, 0),
        (1, 1),
        (2**32 - 1, 2**32 - 1),
        pytest.param(4 * GIB, 0x8000_0000, id="R29"),
        (8 * GIB, 0x8000_0000),
        (4 * GIB + 1, 1),
        pytest.param(5 * GIB, GIB, id="R27"),
        (2**63 - 1, 2**32 - 1),
    ],
)
def test_size_is_stored_as_git_stores_it(size_bytes: int, stored: int) -> None:
    assert stored_size(size_bytes) == stored
    assert stat_data(FakeStat(st_size=size_bytes)).size == stored


@given(st.integers(1, 2**63))
def test_only_an_empty_file_is_stored_with_size_0(size_bytes: int) -> None:
    assert 0 < stored_size(size_bytes) < 2**32


@pytest.mark.parametrize(
    ("st_mode", "mode"),
    [
        (0o100644, MODE_REGULAR),
        (0o100600, MODE_REGULAR),
        pytest.param(0o100611, MODE_REGULAR, id="F20 0611"),
        pytest.param(0o100700, MODE_EXECUTABLE, id="F20 0700"),
        (0o100655, MODE_REGULAR),
        (0o104755, MODE_EXECUTABLE),
    ],
)
def test_f20_only_the_owners_executable_bit_counts(st_mode: int, mode: int) -> None:
    assert entry_mode(st_mode) == mode
    assert stat_data(FakeStat(st_mode=st_mode)).mode == mode


@pytest.mark.parametrize(
    ("mode", "is_file"), [(0o100644, True), (0o100755, True), (0o120000, False), (0o040755, False), (0o160000, False)]
)
def test_regular_is_told_from_symlink_folder_and_gitlink(mode: int, is_file: bool) -> None:
    assert is_regular(mode) is is_file


def test_a_real_file_gives_the_fields_of_its_lstat(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"hello\n")
    os.utime(path, ns=(0, 1_234_567_890_123_456_789))
    st_ = path.lstat()
    data = stat_data(st_)
    assert (data.mtime_s, data.mtime_ns, data.size) == (1_234_567_890, 123_456_789, 6)
    assert (data.ino, data.dev) == (st_.st_ino & 0xFFFF_FFFF, st_.st_dev & 0xFFFF_FFFF)


# --- which fields differ ---------------------------------------------------------------------------------------------

N = StatChange.NONE
CHANGED = [
    # field, value, then what differs by ALL, BY_MTIME, NO_MODE, MINIMAL
    ("mtime_s", 501, StatChange.MTIME, StatChange.MTIME, StatChange.MTIME, StatChange.MTIME),
    ("mtime_ns", 6, StatChange.MTIME, StatChange.MTIME, StatChange.MTIME, N),
    ("ctime_s", 601, StatChange.CTIME, N, StatChange.CTIME, N),
    ("ctime_ns", 7, StatChange.CTIME, N, StatChange.CTIME, N),
    ("ino", 8, StatChange.INODE, N, StatChange.INODE, N),
    ("size", 7, StatChange.SIZE, StatChange.SIZE, StatChange.SIZE, StatChange.SIZE),
    ("mode", 0o100755, StatChange.MODE, StatChange.MODE, N, StatChange.MODE),
    ("mode", 0o120000, StatChange.TYPE, StatChange.TYPE, StatChange.TYPE, StatChange.TYPE),
    ("dev", 2, N, N, N, N),
    ("uid", 0, N, N, N, N),
    ("gid", 0, N, N, N, N),
]


@pytest.mark.parametrize(("field", "value", "by_all", "by_mtime", "no_mode", "minimal"), CHANGED)
def test_each_field_counts_where_it_is_trusted(
    field: str, value: int, by_all: StatChange, by_mtime: StatChange, no_mode: StatChange, minimal: StatChange
) -> None:
    observed = STAT._replace(**{field: value})
    expected = {ALL: by_all, BY_MTIME: by_mtime, NO_MODE: no_mode, MINIMAL: minimal}
    assert {trust: stat_changes(STAT, observed, trust) for trust in expected} == expected


@pytest.mark.parametrize("trust", [Trust(*switches) for switches in product([True, False], [True, False])])
def test_a_stat_does_not_differ_from_itself(trust: Trust) -> None:
    assert stat_changes(STAT, STAT, trust) is StatChange.NONE


def test_all_differences_are_told_at_once() -> None:
    other = StatData(0, 0, 0, 0, 0, 0, 0o120755, 0, 0, 0)
    everything = ~StatChange.NONE
    assert stat_changes(STAT, other, ALL) == everything


def test_ctime_is_not_compared_under_minimal_even_where_trusted() -> None:
    assert not MINIMAL.compares_ctime
    assert not BY_MTIME.compares_ctime
    assert ALL.compares_ctime
