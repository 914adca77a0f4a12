"""What is to differ in the next index says the same as a plain mapping, in whatever order it is told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from bm_gitindex.index import records as records_module
from bm_gitindex.index.encoding import encode_entry, update
from bm_gitindex.index.entry import Index
from bm_gitindex.index.records import BLOCK_ENTRIES, Records
from support.values import HELLO_ID, SOME_ID, entry

if TYPE_CHECKING:
    from random import Random

    from bm_gitindex.index.entry import Entry

PATHS = [*(b"%d.md" % number for number in range(12)), b"a", b"a/b", b"a0", b"long/" + b"n" * 5_000, b"\xff"]
ENTRIES = st.builds(
    lambda path, blob_id, skip: entry(path, blob_id=blob_id)._replace(skip_worktree=skip),
    st.sampled_from(PATHS),
    st.sampled_from([SOME_ID, HELLO_ID]),
    st.booleans(),
)
STEPS = st.one_of(
    st.tuples(st.just("set"), ENTRIES),
    st.tuples(st.just("leave out"), ENTRIES),
    st.tuples(st.just("discard"), ENTRIES),
)


def assert_says(records: Records, model: dict[bytes, bytes | None]) -> None:
    assert list(records.items()) == sorted(model.items())
    assert len(records) == len(model)
    for path in PATHS:
        assert (path in records) is (path in model)
        assert records.get(path) == model.get(path)


@settings(max_examples=300)
@given(st.lists(ENTRIES, max_size=12), st.lists(STEPS, max_size=12), st.sampled_from([1, 2, 3, BLOCK_ENTRIES]))
def test_any_steps_after_a_run_in_order_leave_what_a_mapping_would_hold(
    run: list[Entry], steps: list[tuple[str, Entry]], block_entries: int
) -> None:
    with mock.patch.object(records_module, "BLOCK_ENTRIES", block_entries):
        assert_steps_leave_what_a_mapping_would_hold(run, steps)


def assert_steps_leave_what_a_mapping_would_hold(run: list[Entry], steps: list[tuple[str, Entry]]) -> None:
    records = Records()
    model: dict[bytes, bytes | None] = {}
    in_order = [("set", one) for one in sorted(run, key=lambda one: one.path)]
    for what, one in [*in_order, *steps]:
        if what == "discard":
            records.discard(one.path)
            model.pop(one.path, None)
        else:
            model[one.path] = records[one.path] = encode_entry(one) if what == "set" else None
        assert_says(records, model)


def test_what_comes_in_order_of_path_takes_little_more_than_its_bytes() -> None:
    records = Records()
    entries = (entry(b"%06d" % number) for number in range(3 * BLOCK_ENTRIES + 1))
    encoded = {one.path: encode_entry(one) for one in entries}
    for path, record in encoded.items():
        records[path] = record
    held_bytes = sum(map(sys.getsizeof, [*records._run, *records._offsets]))
    assert b"".join(records._run) == b"".join(encoded.values())
    assert held_bytes < sum(map(len, encoded.values())) + 6 * len(encoded)
    assert not records._others


@given(st.lists(ENTRIES, max_size=12, unique_by=lambda one: one.path), st.randoms(use_true_random=False))
def test_an_index_is_the_same_in_whatever_order_its_entries_came(entries: list[Entry], choice: Random) -> None:
    entries = [one for one in entries if one.path != b"a"]  # which is a folder
    shuffled = choice.sample(entries, len(entries))
    assert made_of(shuffled) == made_of(sorted(entries, key=lambda one: one.path))


def made_of(entries: list[Entry]) -> bytes:
    with mock.patch.object(records_module, "BLOCK_ENTRIES", 3):
        records = Records()
        for one in entries:
            records[one.path] = encode_entry(one)
        return bytes(update(Index.empty(), records))
