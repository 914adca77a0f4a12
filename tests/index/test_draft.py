from __future__ import annotations

from typing import Any

import pytest

from bm_gitindex.index.codec import decode
from bm_gitindex.index.compare import Baseline, LockClock, is_smudged
from bm_gitindex.index.draft import Draft
from bm_gitindex.index.encoding import encode
from bm_gitindex.index.entry import Entry, Index, Tracking
from bm_gitindex.index.stat import Trust
from support.values import HELLO_ID, SOME_ID, STAT, entry

OLD: dict[str, Any] = {"ctime_s": 100, "mtime_s": 100}
CLOCK = LockClock(1_000, 0, devices=frozenset({1}))
LATE = Baseline(900, is_trusted=True)


def index_of(*entries: Entry) -> Index:
    return decode(encode(entries))


def draft_of(*entries: Entry, baseline: Baseline = LATE) -> Draft:
    return Draft(index_of(*entries), baseline, CLOCK, Trust())


def encoded(draft: Draft) -> Index:
    data = draft.encode()
    assert data is not None
    return decode(bytes(data))


def test_nothing_to_say_is_nothing_to_write() -> None:
    assert draft_of(entry(**OLD)).encode() is None


def test_dropping_what_is_not_there_is_nothing_to_write() -> None:
    draft = draft_of(entry(**OLD))
    draft.drop(b"other")
    assert draft.encode() is None


def test_an_index_that_is_not_trusted_is_always_written_anew() -> None:
    assert draft_of(entry(**OLD), baseline=LATE.distrusted()).encode() is not None


def test_a_young_file_is_stored_smudged_and_an_old_one_as_it_is() -> None:
    draft = draft_of()
    draft.put(b"young", STAT._replace(ctime_s=999), SOME_ID, Tracking.CONTENT)
    draft.put(b"old", STAT._replace(**OLD), SOME_ID, Tracking.CONTENT)
    draft.put(b"large", STAT._replace(ctime_s=999), SOME_ID, Tracking.STAT)
    index = encoded(draft)
    assert {path: is_smudged(index[path]) for path in index} == {b"young": True, b"old": False, b"large": True}


@pytest.mark.parametrize("baseline", [Baseline(100, is_trusted=True), LATE.distrusted()])
def test_r08_r09_a_racy_entry_that_was_not_looked_at_is_not_blessed(baseline: Baseline) -> None:
    draft = draft_of(entry(b"f", **OLD), baseline=baseline)
    draft.put(b"g", STAT._replace(**OLD), SOME_ID, Tracking.CONTENT)
    index = encoded(draft)
    assert is_smudged(index[b"f"])
    assert not is_smudged(index[b"g"])


def test_r09_a_racy_entry_that_was_compared_by_content_keeps_its_size() -> None:
    draft = draft_of(entry(b"f", **OLD), baseline=Baseline(100, is_trusted=True))
    draft.put(b"f", STAT._replace(**OLD), SOME_ID, Tracking.CONTENT)
    assert encoded(draft)[b"f"] == entry(b"f", **OLD)


@pytest.mark.parametrize("baseline", [LATE, Baseline(100, is_trusted=True), LATE.distrusted()])
def test_what_was_read_replaces_what_was_known_racy_or_not(baseline: Baseline) -> None:
    draft = draft_of(entry(b"f", **OLD), entry(b"g", **OLD), baseline=baseline)
    draft.put(b"f", STAT._replace(**OLD), HELLO_ID, Tracking.CONTENT)
    draft.drop(b"g")
    index = encoded(draft)
    assert [index[path] for path in index] == [entry(b"f", HELLO_ID, **OLD)]


def test_an_entry_that_was_not_racy_is_left_alone() -> None:
    draft = draft_of(entry(b"f", **OLD))
    draft.put(b"g", STAT._replace(**OLD), SOME_ID, Tracking.CONTENT)
    assert encoded(draft)[b"f"] == entry(b"f", **OLD)


def test_a_smudged_entry_stays_smudged_until_it_is_read() -> None:
    smudged = entry(b"f", **OLD, size=0)
    draft = draft_of(smudged)
    draft.put(b"g", STAT._replace(**OLD), SOME_ID, Tracking.CONTENT)
    assert encoded(draft)[b"f"] == smudged
    draft.put(b"f", STAT._replace(**OLD), SOME_ID, Tracking.CONTENT)
    assert encoded(draft)[b"f"] == entry(b"f", **OLD)


def test_a_racy_entry_put_back_unread_is_not_blessed() -> None:
    known = entry(b"f", **OLD)
    draft = draft_of(known, baseline=Baseline(100, is_trusted=True))
    draft.put_unread(b"f", known)
    draft.put(b"g", STAT._replace(**OLD), SOME_ID, Tracking.CONTENT)
    assert is_smudged(encoded(draft)[b"f"])


def test_the_last_word_on_a_path_is_the_one_that_counts() -> None:
    known = entry(b"f", **OLD)
    draft = draft_of(known)
    draft.drop(b"f")
    draft.put(b"f", known.stat, known.blob_id, Tracking.CONTENT)
    assert encoded(draft)[b"f"] == known


def test_a_new_path_that_is_gone_again_is_not_stored() -> None:
    draft = draft_of(entry(b"f", **OLD))
    draft.put(b"g", STAT._replace(**OLD), SOME_ID, Tracking.CONTENT)
    draft.drop(b"g")
    assert draft.encode() is None
    draft.put(b"g", STAT._replace(**OLD), SOME_ID, Tracking.CONTENT)
    draft.put_unread(b"f", None)
    assert list(encoded(draft)) == [b"g"]


@pytest.mark.parametrize("known", [None, entry(b"f", SOME_ID, **OLD)])
def test_what_was_recognised_and_then_not_read_stays_what_it_was_recognised_as(known: Entry | None) -> None:
    draft = draft_of(*([known] if known else []))
    draft.put(b"f", STAT._replace(**OLD), HELLO_ID, Tracking.STAT)
    draft.put_unread(b"f", known)
    assert encoded(draft)[b"f"] == Entry.of(b"f", STAT._replace(**OLD), HELLO_ID, Tracking.STAT).with_size_zero()


def test_what_was_dropped_and_then_not_read_stays_known() -> None:
    known = entry(b"f", **OLD)
    draft = draft_of(known)
    draft.drop(b"f")
    draft.put_unread(b"f", known)
    assert encoded(draft)[b"f"] == known.with_size_zero()


def test_length_counts_what_the_new_index_will_hold() -> None:
    draft = draft_of(entry(b"a"), entry(b"b"))
    assert draft.entry_count == 2
    draft.drop(b"a")
    draft.drop(b"none")
    draft.put(b"c", STAT, HELLO_ID, Tracking.CONTENT)
    draft.put(b"b", STAT, HELLO_ID, Tracking.CONTENT)
    assert draft.entry_count == 2
    assert set(encoded(draft)) == {b"b", b"c"}
