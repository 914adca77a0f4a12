"""Every target over its corpus, and over what is made of it; and what each of them has found once."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bm_gitindex.index.encoding import encode
from bm_gitindex.oracle.entries import ReadersDifferError
from fuzz.corpus import DICTIONARIES, seeds
from fuzz.mutation import mutated
from fuzz.targets import TARGETS, BrokenPromiseError
from support.profile import NIGHTLY
from support.values import SOME_ID, entry, header, record

_ROUNDS = 20_000 if NIGHTLY else 150
_EXAMPLES = 5_000 if NIGHTLY else 60


@pytest.mark.parametrize("name", TARGETS)
def test_corpus_breaks_no_promise(name: str) -> None:
    for data in seeds()[name]:
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_made_of_the_corpus_breaks_no_promise(name: str) -> None:
    random = Random(name)
    for _ in range(_ROUNDS):
        data = mutated(random.choice(seeds()[name]), DICTIONARIES[name], seeds()[name], random, 4096)
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=_EXAMPLES)
@given(data=st.data())
def test_pieces_in_any_order_break_no_promise(name: str, data: st.DataObject) -> None:
    pieces = st.sampled_from(DICTIONARIES[name]) | st.sampled_from(seeds()[name]) | st.binary(max_size=12)
    TARGETS[name](b"".join(data.draw(st.lists(pieces, max_size=12))))


def _raise(*_: object) -> object:
    raise RuntimeError("a defect")


def _pass(*_: object) -> None:
    """Check nothing."""


DEFECTS: list[tuple[str, str, object, bytes]] = [
    ("index_reader", "bm_gitindex.index.codec._verify_names", _pass, header(2) + record(b"b") + record(b"a")),
    (
        "index_reader",
        "bm_gitindex.index.codec._verify_name_length",
        _pass,
        header(1) + record(b"ab").replace(b"ab\0", b"abc"),
    ),
    (
        "index_reader",
        "bm_gitindex.index.codec._verify_ids",
        _pass,
        header(1) + record(b"a").replace(SOME_ID, bytes(20)),
    ),
    ("index_reader", "bm_gitindex.index.codec._verify_count", _raise, header(1) + record(b"a")),
    ("index_reader", "bm_gitindex.index.compare.is_racy", _pass, header(1) + record(b"a")),
    ("index_reader", "bm_gitindex.index.codec._walk", _pass, encode([entry()])[:-20]),
    ("note_parser", "bm_gitindex.notes.text.clean_text", str, b"a\0b #c"),
    ("note_parser", "bm_gitindex.notes.parser.read_body", _raise, b""),
    ("note_parser", "fuzz.targets.SECONDS_PER_PAGE", -1.0, b""),
    ("ignore_rules", "bm_gitindex.wildmatch.translate", _raise, b"*"),
    ("ignore_rules", "fuzz.targets.SECONDS_PER_PAGE", -1.0, b""),
    ("configuration", "bm_gitindex.config.options_from", _raise, b""),
    ("names", "bm_gitindex.entities.pathtext._written_byte", lambda _: "", b"\xff"),
]


@pytest.mark.parametrize(("name", "place", "defect", "data"), DEFECTS, ids=[place for _, place, *_ in DEFECTS])
def test_a_defect_does_not_go_unnoticed(
    monkeypatch: pytest.MonkeyPatch, name: str, place: str, defect: object, data: bytes
) -> None:
    monkeypatch.setattr(place, defect)
    with pytest.raises((BrokenPromiseError, RuntimeError, ReadersDifferError, ValueError, AttributeError)):
        TARGETS[name](data)
