"""What an asking process and its workers say to each other comes out as it went in."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from bm_gitindex.options import NoteBounds
from bm_gitindex.syncing.frames import frame, notes_frame, parsed_frame, read_frame, read_notes, read_parsed
from bm_gitindex.syncing.parsing import parse
from parity.grammar import note

if TYPE_CHECKING:
    from collections.abc import Callable

TIMED = b"---\ncreated: 2024-02-29T23:59:59.999999-11:30\nmodified: 2024-03-01\n---\n- [fact] a #b (c)\n- to [[d]]\n"


def reader_of(*frames: bytes) -> Callable[[int], bytes]:
    """Return what reads so many bytes of these frames, and fails at their end."""
    stream = BytesIO(b"".join(frames))

    def read(length: int) -> bytes:
        data = stream.read(length)
        if len(data) < length:
            raise EOFError
        return data

    return read


@given(st.lists(st.binary(max_size=50), max_size=5), st.lists(st.binary(max_size=50), max_size=5))
def test_notes_come_out_as_they_go_in(some: list[bytes], others: list[bytes]) -> None:
    read = reader_of(notes_frame(some), notes_frame(others))
    assert read_notes(read) == some
    assert read_notes(read) == others


def test_what_was_made_of_notes_comes_out_as_it_goes_in() -> None:
    made = [parse(data, NoteBounds()) for data in (b"", TIMED, *map(note, range(20)))]
    assert made[1].rows.created is not None
    read = reader_of(parsed_frame(made[:3]), parsed_frame(made[3:]))
    assert read_parsed(read) + read_parsed(read) == made


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_a_value_comes_out_as_it_goes_in(value: object) -> None:
    assert read_frame(reader_of(frame(value))) == value
