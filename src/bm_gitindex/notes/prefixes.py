"""What stands before the text of a line inside block quotes and list items."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_QUOTE_MARKER = re.compile(r"[ \t]*>")
_ITEM_MARKER = re.compile(rb"(?:[-+*]|\d{1,9}[.)])")
_BEFORE_ITEM = re.compile(rb"[ \t\n>]*")
_GAP = re.compile(rb"[ \t]*")
_TAB_COLUMNS = 4
_WIDEST_GAP_COLUMNS = 4


class Container(NamedTuple):
    """An open block quote or list item."""

    kind: str
    """`BlockQuote` or `Item`."""
    start: int
    """Byte offset of its first marker, or of one of the blanks and `>` before it."""


class Place(NamedTuple):
    """Where the text within quotes begins in a line."""

    position: int
    column: int
    """In the line, of which a tab takes what is left of four columns."""


def without_prefixes(text: str, containers: Sequence[Container], source: bytes) -> str:
    """Return the lines of `text` without the quote markers and the indentation that its containers ask for.

    The first line has none of them; a lazy line has fewer, and keeps the rest of what it has.
    """
    quotes = sum(container.kind == "BlockQuote" for container in containers)
    columns = content_column(source, containers[-1].start) if containers[-1].kind == "Item" else 0
    first, *others = text.split("\n")
    return "\n".join([first, *(_dedented(line, after_markers(line, quotes), columns) for line in others)])


def after_markers(line: str, quotes: int) -> Place:
    """Return the place after the markers of so many quotes, or of those that are there."""
    place = Place(0, 0)
    for _ in range(quotes):
        marker = _QUOTE_MARKER.match(line, place.position)
        if marker is None:
            break
        column = _advanced(line, place, marker.end())
        # One column of white space belongs to the marker. Of a tab that is wider the rest is left.
        is_spent = line.startswith(" ", marker.end()) or (
            line.startswith("\t", marker.end()) and column % _TAB_COLUMNS == _TAB_COLUMNS - 1
        )
        is_blank = line.startswith((" ", "\t"), marker.end())
        place = Place(marker.end() + is_spent, column + is_blank)
    return place


def indentation(line: str, place: Place) -> int:
    """Return the columns of white space there."""
    end = len(line) - len(line[place.position :].lstrip(" \t"))
    return _advanced(line, place, end) - place.column


def content_column(source: bytes, item_start: int) -> int:
    """Return the column of an item's text, counted from where the text of the quote around it begins."""
    before = _BEFORE_ITEM.match(source, item_start)
    item_start = item_start if before is None else before.end()
    line_start = source.rfind(b"\n", 0, item_start) + 1
    marker = _ITEM_MARKER.match(source, item_start)
    marker_end = item_start if marker is None else marker.end()
    gap = _GAP.match(source, marker_end)
    text_start = marker_end if gap is None else gap.end()
    prefix = source[line_start:marker_end].expandtabs(_TAB_COLUMNS)
    base = prefix.rfind(b">") + 1
    base += prefix.startswith(b" ", base) if base else 0
    marker_column = len(prefix)
    text_column = len(source[line_start:text_start].expandtabs(_TAB_COLUMNS))
    is_blank = source.startswith(b"\n", text_start) or text_start == len(source)
    if is_blank or text_column - marker_column > _WIDEST_GAP_COLUMNS:
        return marker_column + 1 - base
    return text_column - base


def _dedented(line: str, place: Place, columns: int) -> str:
    """Return the line without that many columns of white space; what is left of a tab becomes spaces."""
    position, column = place
    wanted = column + columns
    while column < wanted and line[position : position + 1] in (" ", "\t"):
        column = _advanced(line, Place(position, column), position + 1)
        position += 1
    return " " * (column - wanted) + line[position:]


def _advanced(line: str, place: Place, end: int) -> int:
    """Return the column at a later position."""
    column = place.column
    for character in line[place.position : end]:
        column += _TAB_COLUMNS - column % _TAB_COLUMNS if character == "\t" else 1
    return column
