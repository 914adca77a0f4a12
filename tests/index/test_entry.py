from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bm_gitindex.index.entry import (
    EMPTY_BLOB_ID,
    Entry,
    Tracking,
    blob_id,
    record_length,
    sample_id,
    stat_only_id,
)
from support.values import HELLO_ID, STAT, entry

if TYPE_CHECKING:
    from support.git import Git


def test_blob_ids_are_gits(git: Git) -> None:
    assert blob_id(b"hello\n") == HELLO_ID
    assert blob_id(b"") == EMPTY_BLOB_ID
    for data in (b"", b"hello\n", bytes(range(256)) * 300):
        assert blob_id(data).hex().encode() == git("hash-object", "--stdin", stdin=data).strip()


def test_a_stat_only_id_is_that_of_the_pointer_text_as_documented() -> None:
    text = b"bm-gitindex stat-only v1\nsize 5368709120\nmtime_ns 1700000000123456789\n"
    digest = hashlib.sha1(b"blob %d\0%s" % (len(text), text), usedforsecurity=False).digest()
    assert stat_only_id(5_368_709_120, 1_700_000_000_123_456_789) == digest


@given(st.integers(0, 2**40), st.integers(-(10**9), 2**63))
def test_a_stat_only_id_tells_apart_what_32_bits_cannot(size_bytes: int, mtime_ns: int) -> None:
    ids = {
        stat_only_id(size_bytes, mtime_ns),
        stat_only_id(size_bytes + 2**32, mtime_ns),
        stat_only_id(size_bytes, mtime_ns + 2**32 * 10**9),
        stat_only_id(size_bytes, mtime_ns + 1),
    }
    assert len(ids) == 4
    assert all(any(one) for one in ids)


def test_a_sample_id_depends_on_size_and_ends_and_is_no_content_id() -> None:
    assert len({sample_id(1, b"a"), sample_id(2, b"a"), sample_id(1, b"b"), blob_id(b"a")}) == 4


@pytest.mark.parametrize("tracking", Tracking)
def test_flags_tell_the_tracking(tracking: Tracking) -> None:
    made = Entry.of(b"f", STAT, HELLO_ID, tracking)
    assert made.tracking is tracking
    assert made.skip_worktree == (tracking is not Tracking.CONTENT)
    assert made.is_extended == made.skip_worktree


def test_r35_assume_valid_alone_leaves_an_entry_tracked_by_content() -> None:
    assert entry()._replace(assume_valid=True).tracking is Tracking.CONTENT


def test_smudging_changes_the_size_alone() -> None:
    smudged = entry(size=6).with_size_zero()
    assert smudged == entry(size=0)


@pytest.mark.parametrize("is_extended", [False, True])
def test_a_record_is_padded_by_one_to_eight_bytes(is_extended: bool) -> None:
    for length in range(1, 64):
        padded = record_length(length, extended=is_extended)
        assert padded % 8 == 0
        assert 1 <= padded - length - (64 if is_extended else 62) <= 8
