"""The header of a note: where it ends, and what it holds.

A header stands at the very top (white space before it does not count), between two lines of three or more hyphens,
or, as JSON, between a line `{` and a line `}` without white space.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bm_gitindex.notes.header import HeaderTooLargeError, HeaderUnreadableError, load_json, load_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bm_gitindex.notes.model import JsonValue
    from bm_gitindex.options import NoteBounds

_YAML_FENCE = re.compile(r"^-{3,}\s*$", re.MULTILINE)
_JSON_OPENING = re.compile(r"^\{\r?$", re.MULTILINE)
_JSON_CLOSING = re.compile(r"^\}\r?$", re.MULTILINE)
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """A note, split."""

    body: str
    """The Markdown, without the white space around it."""
    values: Mapping[str, JsonValue] = field(default_factory=dict)
    """The header's keys; empty without a header, and for one that is no mapping."""
    warning: str | None = None
    """Why the header was left out."""


def split_front_matter(text: str, bounds: NoteBounds) -> FrontMatter:
    """Return header and body.

    A header that cannot be read is part of the body, as for basic-memory; one beyond a bound is left out.
    """
    text = text.strip()
    if opening := _YAML_FENCE.match(text):
        closing = _YAML_FENCE.search(text, opening.end())
        if closing:
            return _read(text, slice(opening.end(), closing.start()), closing.end(), load_yaml, bounds)
    elif opening := _JSON_OPENING.match(text):
        closing = _JSON_CLOSING.search(text, opening.end())
        if closing:
            return _read(text, slice(0, closing.end()), closing.end(), load_json, bounds)
    return FrontMatter(text)


def _read(
    text: str,
    header_span: slice,
    body_start: int,
    load: Callable[[str, NoteBounds], JsonValue],
    bounds: NoteBounds,
) -> FrontMatter:
    header = text[header_span]
    body = text[body_start:].strip()
    if len(header) > bounds.front_matter_max_bytes or len(header.encode()) > bounds.front_matter_max_bytes:
        return FrontMatter(body, warning=f"front matter left out: more than {bounds.front_matter_max_bytes} bytes")
    try:
        values = load(header, bounds)
    except HeaderTooLargeError as error:
        return FrontMatter(body, warning=f"front matter left out: {error}")
    except HeaderUnreadableError as error:
        return FrontMatter(text, warning=f"front matter is not readable, taken as text: {_one_line(error)}")
    if values is None:
        return FrontMatter(body)
    if not isinstance(values, dict):
        return FrontMatter(text, warning="front matter has no keys, taken as text: the first line is a rule")
    return FrontMatter(body, values)


def _one_line(error: HeaderUnreadableError) -> str:
    words = " ".join(str(error).split())
    return words if len(words) <= _SHOWN_CHARACTERS else f"{words[:_SHOWN_CHARACTERS]}..."
