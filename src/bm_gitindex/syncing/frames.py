"""What a worker is told, and what it answers: JSON, each piece with its length before it, and the notes as they are."""

from __future__ import annotations

import json
import struct
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from bm_gitindex.entities.records import NoteRows, Parsed
from bm_gitindex.notes import shape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Read = Callable[[int], bytes]
    """Returns exactly as many bytes as it is asked for."""

_LENGTH = struct.Struct("<I")


def frame(value: object) -> bytes:
    """Return a JSON value as it is sent."""
    text = json.dumps(value).encode()
    return _LENGTH.pack(len(text)) + text


def read_frame(read: Read) -> Any:
    """Return the next JSON value."""
    (length,) = _LENGTH.unpack(read(_LENGTH.size))
    return json.loads(read(length))


def notes_frame(notes: Sequence[bytes]) -> bytes:
    """Return notes as they are sent."""
    return b"".join([frame([len(data) for data in notes]), *notes])


def read_notes(read: Read) -> list[bytes]:
    """Return the next notes."""
    lengths: list[int] = read_frame(read)
    data = read(sum(lengths))  # at once: each read is a chance to wait for other threads
    ends = accumulate(lengths)
    return [data[end - length : end] for length, end in zip(lengths, ends, strict=True)]


def parsed_frame(group: Sequence[Parsed]) -> bytes:
    """Return what was made of some notes as it is sent."""
    return frame([[*_plain(rows), sketch.hex()] for rows, sketch in group])


def read_parsed(read: Read) -> list[Parsed]:
    """Return what was made of the next notes."""
    return [Parsed(_rows(fields), bytes.fromhex(sketch)) for *fields, sketch in read_frame(read)]


def identity() -> list[object]:
    """Return what two processes must have in common to parse alike, and to understand each other."""
    return [shape.__file__, shape.PARSER_VERSION, list(NoteRows._fields)]


def _plain(rows: NoteRows) -> Sequence[object]:
    """Return the fields of a note; its times, which few have, as text."""
    if rows.created is None and rows.modified is None:
        return rows
    return [field.isoformat() if isinstance(field, datetime) else field for field in rows]


def _rows(plain: Sequence[Any]) -> NoteRows:
    rows = NoteRows._make(plain)
    if rows.created is None and rows.modified is None:
        return rows
    return rows._replace(created=_time(rows.created), modified=_time(rows.modified))


def _time(text: Any) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
