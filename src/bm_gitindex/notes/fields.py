"""The front matter's own keys, as basic-memory reads them.

Values are those of `header`: strings, `None`, lists and dicts.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bm_gitindex.notes.text import clean_text

if TYPE_CHECKING:
    from bm_gitindex.notes.model import JsonValue


_NOT_A_DATE = "not an ISO 8601 date"


class DateUnusableError(ValueError):
    """The value is not an ISO 8601 date, or not one that UTC can express."""


def title_of(value: JsonValue) -> str | None:
    """Return the title; `None` for none, an empty one, and the word `None` that a careless template leaves."""
    title = "" if value is None else _joined(value)
    return None if title in {"", "None"} else title


def type_of(value: JsonValue) -> str:
    """Return the note's type, `note` for none."""
    return "note" if value is None else _joined(value)


def permalink_of(value: JsonValue) -> str | None:
    """Return the permalink verbatim; `None` for an empty value, a list and a mapping."""
    return value if isinstance(value, str) and value else None


def tags_of(value: JsonValue) -> tuple[str, ...]:
    """Return the tags of a list, of a comma separated text, or of a text that is a JSON list; `#` is dropped."""
    return tuple(
        piece.lstrip("#")
        for item in _tag_items(value)
        if item is not None
        for piece in map(str.strip, str(item).split(","))
        if piece
    )


def time_of(value: JsonValue) -> datetime | None:
    """Return the time in UTC, `None` for no value; a time without zone is taken as UTC.

    Raises `DateUnusableError`.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise DateUnusableError(_NOT_A_DATE)
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise DateUnusableError(_NOT_A_DATE) from error


def _joined(value: JsonValue) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _tag_items(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, list):
        return value
    items = _json_list(value) if isinstance(value, str) else None
    return [value] if items is None else items


def _json_list(text: str) -> list[JsonValue] | None:
    try:
        items = json.loads(text)
        return [clean_text(str(item)) for item in items if item is not None] if isinstance(items, list) else None
    except (ValueError, RecursionError):
        return None
