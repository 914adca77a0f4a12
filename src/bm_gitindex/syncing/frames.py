"""What a worker is told, and what it answers: JSON, each piece with its length before it, and the notes as they are."""

from __future__ import annotations

import json
import struct
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bm_gitindex.entities.records import NoteRows, Parsed
from bm_gitindex.notes import shape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LENGTH = struct.Struct("<I")


def frame(value: object) -> bytes:
    """Return a JSON value as it is sent."""
    text = json.dumps(value).encode()
    return _LENGTH.pack(len(text)) + text


def read_frame(read: Callable[[int], bytes]) -> Any:
    """Return the next JSON value; `read` returns exactly as many bytes as it is asked for."""
    (length,) = _LENGTH.unpack(read(_LENGTH.size))
    return json.loads(read(length))


def notes_frame(notes: Sequence[bytes]) -> bytes:
    """Return notes as they are sent."""
    return b"".join([frame([len(data) for data in notes]), *notes])


def read_notes(read: Callable[[int], bytes]) -> list[bytes]:
    """Return the next notes."""
    return [read(length) for length in read_frame(read)]


def parsed_frame(group: Sequence[Parsed]) -> bytes:
    """Return what was made of some notes as it is sent."""
    return frame([_plain(parsed) for parsed in group])


def read_parsed(read: Callable[[int], bytes]) -> list[Parsed]:
    """Return what was made of the next notes."""
    return [_parsed(*value) for value in read_frame(read)]


def identity() -> list[object]:
    """Return what two processes must have in common to parse alike, and to understand each other."""
    return [shape.__file__, shape.PARSER_VERSION, list(NoteRows._fields)]


def _plain(parsed: Parsed) -> list[object]:
    rows = parsed.rows
    times = {"created": _time_text(rows.created), "modified": _time_text(rows.modified)}
    return [{**rows._asdict(), **times}, parsed.sketch.hex()]


def _parsed(fields: dict[str, Any], sketch: str) -> Parsed:
    times = {"created": _time(fields["created"]), "modified": _time(fields["modified"])}
    return Parsed(NoteRows(**{**fields, **times}), bytes.fromhex(sketch))


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
