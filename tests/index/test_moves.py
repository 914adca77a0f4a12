from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bm_gitindex.index.compare import Baseline
from bm_gitindex.index.entry import EMPTY_BLOB_ID, Tracking
from bm_gitindex.index.moves import Found, Lost, candidates, pair_by_id, pair_by_stat
from bm_gitindex.index.stat import Trust
from support.values import SOME_ID, STAT, entry

SETTLED = Baseline(10_000, is_trusted=True)
OTHER_ID = bytes(19) + b"\1"


def lost(path: bytes, blob_id: bytes = SOME_ID, ino: int | None = 7) -> Lost:
    return Lost(path, blob_id, 6, ino, Tracking.CONTENT)


def found(path: bytes, blob_id: bytes = SOME_ID, ino: int = 7, tracking: Tracking = Tracking.CONTENT) -> Found:
    return Found(path, blob_id, ino, tracking)


# --- by stat ---------------------------------------------------------------------------------------------------------


def test_a_file_that_kept_its_stat_moved() -> None:
    assert pair_by_stat([entry(b"a/f")], {b"b/f": STAT}, SETTLED, Trust()) == {b"b/f": b"a/f"}


@pytest.mark.parametrize("field", ["ino", "dev", "size", "mtime_s", "mtime_ns", "ctime_s", "ctime_ns"])
def test_every_field_of_the_identity_counts(field: str) -> None:
    observed = STAT._replace(**{field: 12_345})
    assert pair_by_stat([entry(b"a")], {b"b": observed}, SETTLED, Trust()) == {}


@pytest.mark.parametrize(
    ("baseline", "trust"),
    [
        pytest.param(Baseline(600, is_trusted=True), Trust(), id="racy"),
        pytest.param(SETTLED.distrusted(), Trust(), id="not ours"),
        pytest.param(SETTLED, Trust(ctime=False), id="ctime not trusted"),
        pytest.param(SETTLED, Trust(check_stat="minimal"), id="minimal"),
    ],
)
def test_stat_pairs_nothing_where_it_proves_nothing(baseline: Baseline, trust: Trust) -> None:
    assert pair_by_stat([entry(b"a")], {b"b": STAT}, baseline, trust) == {}


def test_a_smudged_entry_is_not_paired_by_stat() -> None:
    assert pair_by_stat([entry(b"a", size=0)], {b"b": STAT._replace(size=0)}, SETTLED, Trust()) == {}


def test_hard_links_are_paired_by_the_nearest_path() -> None:
    old = [entry(b"old/a.md"), entry(b"old/b.md")]
    assert pair_by_stat(old, {b"new/b.md": STAT, b"new/a.md": STAT}, SETTLED, Trust()) == {
        b"new/a.md": b"old/a.md",
        b"new/b.md": b"old/b.md",
    }


# --- by content ------------------------------------------------------------------------------------------------------


def test_equal_ids_are_a_move_whatever_name_and_inode() -> None:
    assert pair_by_id([lost(b"a/x.md")], [found(b"b/y.md", ino=99)]) == {b"b/y.md": b"a/x.md"}
    assert pair_by_id([lost(b"a/x.md", OTHER_ID)], [found(b"b/y.md")]) == {}


def test_one_vanished_path_becomes_one_new_one() -> None:
    pairs = pair_by_id([lost(b"a/x.md")], [found(b"far/away/z.md"), found(b"a/y.md"), found(b"b/x.md")])
    assert pairs == {b"b/x.md": b"a/x.md"}


@pytest.mark.parametrize(
    ("old", "new", "pairs"),
    [
        pytest.param([b"a/x", b"b/x"], [b"b/c/x", b"a/c/x"], {b"a/c/x": b"a/x", b"b/c/x": b"b/x"}, id="nearest folder"),
        pytest.param([b"a/x", b"a/y"], [b"b/y", b"b/x"], {b"b/x": b"a/x", b"b/y": b"a/y"}, id="same base name"),
        pytest.param([b"a/x", b"a/y"], [b"b/x"], {b"b/x": b"a/x"}, id="one of two"),
    ],
)
def test_an_ambiguous_pair_goes_by_the_nearest_path(
    old: list[bytes], new: list[bytes], pairs: dict[bytes, bytes]
) -> None:
    assert pair_by_id([lost(path) for path in old], [found(path) for path in new]) == pairs


@pytest.mark.parametrize(
    ("old", "nearest", "farther"),
    [
        pytest.param(b"a/b/c/x", b"a/b/z/x", b"a/a/a/x", id="more folders shared"),
        pytest.param(b"a/b/c/x", b"a/q/r/x", b"Z/b/c/x", id="shared from the root on"),
        pytest.param(b"a/b/c/x", b"a/b/c/d/x", b"X/x", id="deeper in the same folder"),
        pytest.param(b"a/b/c/x", b"a/b/c/d/x", b"x", id="deeper rather than at the root"),
        pytest.param(b"a/b/c/d/x", b"a/b/x", b"a/b/c/d/e/f/g/x", id="two up rather than three down"),
        pytest.param(b"a/b/x", b"a/b/z/x", b"a/A/x", id="down rather than beside"),
        pytest.param(b"a/b/x", b"a/x", b"a/b/q/r/x", id="up rather than two down"),
        pytest.param(b"a/b/x", b"z/z/z/x", b"a/b/y", id="the same base name, however far"),
    ],
)
def test_the_nearest_path_is_the_one_fewest_steps_away(old: bytes, nearest: bytes, farther: bytes) -> None:
    assert pair_by_id([lost(old)], [found(farther), found(nearest)]) == {nearest: old}
    assert pair_by_id(iter([lost(nearest), lost(farther)]), iter([found(old)])) == {old: nearest}


COMMON = [
    pytest.param(EMPTY_BLOB_ID, Tracking.CONTENT, id="empty"),
    pytest.param(SOME_ID, Tracking.STAT, id="stat-only"),
]


@pytest.mark.parametrize(("blob_id", "tracking"), COMMON)
@pytest.mark.parametrize(
    ("new_path", "ino", "is_move"),
    [(b"b/y", 7, True), (b"b/x", 8, True), (b"b/y", 8, False)],
    ids=["same inode", "same base name", "neither"],
)
def test_an_id_that_many_share_needs_inode_or_base_name(
    blob_id: bytes, tracking: Tracking, new_path: bytes, ino: int, is_move: bool
) -> None:
    pairs = pair_by_id([lost(b"a/x", blob_id)], [found(new_path, blob_id, ino, tracking)])
    assert pairs == ({new_path: b"a/x"} if is_move else {})


def test_inode_wins_over_base_name() -> None:
    old = [lost(b"a/x", EMPTY_BLOB_ID, ino=1), lost(b"a/y", EMPTY_BLOB_ID, ino=2)]
    new = [found(b"b/x", EMPTY_BLOB_ID, ino=2), found(b"b/z", EMPTY_BLOB_ID, ino=1)]
    assert pair_by_id(iter(old), iter(new)) == {b"b/x": b"a/y", b"b/z": b"a/x"}


def test_a_path_that_only_the_database_knows_has_no_inode_to_agree() -> None:
    assert pair_by_id([lost(b"a/x", EMPTY_BLOB_ID, ino=None)], [found(b"b/y", EMPTY_BLOB_ID)]) == {}
    assert pair_by_id([lost(b"a/x", EMPTY_BLOB_ID, ino=None)], [found(b"b/x", EMPTY_BLOB_ID)]) == {b"b/x": b"a/x"}


def test_a_sample_never_pairs() -> None:
    assert pair_by_id([lost(b"a/x")], [found(b"b/x", tracking=Tracking.SAMPLE)]) == {}


@given(
    st.lists(st.sampled_from([b"a/1", b"a/2", b"b/1", b"b/2", b"c"]), unique=True),
    st.lists(st.sampled_from([b"n/1", b"n/2", b"m/1", b"m/3", b"c2"]), unique=True),
    st.sampled_from([SOME_ID, EMPTY_BLOB_ID]),
)
def test_every_old_path_is_used_at_most_once(old: list[bytes], new: list[bytes], blob_id: bytes) -> None:
    pairs = pair_by_id([lost(path, blob_id) for path in old], [found(path, blob_id) for path in new])
    assert len(set(pairs.values())) == len(pairs) == min(len(old), len(new))
    assert set(pairs) <= set(new)
    assert set(pairs.values()) <= set(old)


@pytest.mark.parametrize(("old_count", "new_count"), [(300, 300), (300, 50), (50, 300), (5_000, 5_000)])
def test_a_large_group_is_paired_completely(old_count: int, new_count: int) -> None:
    old = [lost(b"old/%05d" % n) for n in range(old_count)]
    new = [found(b"new/%05d" % n) for n in range(new_count)]
    pairs = pair_by_id(old, new)
    assert len(pairs) == len(set(pairs.values())) == min(old_count, new_count)
    if old_count == new_count:
        assert all(a[4:] == b[4:] for a, b in pairs.items())


# --- what is worth reading -------------------------------------------------------------------------------------------


def test_only_sizes_of_lost_files_are_candidates() -> None:
    sizes = {b"same": 6, b"other": 7, b"by 32 bits": 2**32 + 6}
    assert candidates([lost(b"a")], sizes) == [b"same", b"by 32 bits"]
    assert candidates([], sizes) == []


def test_a_lost_file_of_unknown_size_makes_every_new_one_a_candidate() -> None:
    smudged = Lost.from_entry(entry(b"a", size=0))
    assert smudged.size is None
    assert candidates([smudged], {b"x": 1, b"y": 2}) == [b"x", b"y"]


def test_a_lost_empty_file_is_not_of_unknown_size() -> None:
    assert Lost.from_entry(entry(b"a", EMPTY_BLOB_ID, size=0)).size == 0
