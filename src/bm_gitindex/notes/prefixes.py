"""What stands before the text of a line inside block quotes and list items."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_QUOTE_MARKER = re.compile(r"[ \t]*>[ \t]?")
_ITEM_MARKER = re.compile(rb"(?:[-+*]|\d{1,9}[.)])")
_GAP = re.compile(rb"[ \t]*")
_TAB_COLUMNS = 4
_WIDEST_GAP_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Container:
    """An open block quote or list item."""

    kind: str
    """`BlockQuote` or `Item`."""
    start: int
    """Byte offset of its first marker."""


def without_prefixes(text: str, containers: Sequence[Container], source: bytes) -> str:
    """Return the lines of `text` without the quote markers and the indentation that its containers ask for.

    The first line has none of them; a lazy line has fewer, and keeps the rest of what it has.
    """
    quotes = sum(container.kind == "BlockQuote" for container in containers)
    columns = content_column(source, containers[-1].start) if containers[-1].kind == "Item" else 0
    first, *others = text.split("\n")
    return "\n".join([first, *(_dedented(_unquoted(line, quotes), columns) for line in others)])


def without_markers(line: str, quotes: int) -> str | None:
    """Return a line without the markers of so many quotes; `None` for one that has fewer."""
    for _ in range(quotes):
        marker = _QUOTE_MARKER.match(line)
        if marker is None:
            return None
        line = line[marker.end() :]
    return line


def _unquoted(line: str, quotes: int) -> str:
    for _ in range(quotes):
        marker = _QUOTE_MARKER.match(line)
        if marker is None:
            break
        line = line[marker.end() :]
    return line


def _dedented(line: str, columns: int) -> str:
    """Return the line without that many columns of white space; what is left of a tab becomes spaces."""
    column = position = 0
    while column < columns and line[position : position + 1] in (" ", "\t"):
        column += 1 if line[position] == " " else _TAB_COLUMNS - column % _TAB_COLUMNS
        position += 1
    return " " * (column - columns) + line[position:]


def content_column(source: bytes, item_start: int) -> int:
    """Return the column of an item's text, counted from where the text of the quote around it begins."""
    # The first item of a list after a paragraph begins with its indentation, any other one with its marker.
    indentation = _GAP.match(source, item_start)
    item_start = item_start if indentation is None else indentation.end()
    line_start = source.rfind(b"\n", 0, item_start) + 1
    quote_end = source.rfind(b">", line_start, item_start) + 1
    if quote_end:
        line_start = quote_end + source.startswith((b" ", b"\t"), quote_end)
    marker = _ITEM_MARKER.match(source, item_start)
    marker_end = item_start if marker is None else marker.end()
    gap = _GAP.match(source, marker_end)
    text_start = marker_end if gap is None else gap.end()
    marker_column = column_of(source[line_start:marker_end])
    text_column = column_of(source[line_start:text_start])
    is_blank = source.startswith(b"\n", text_start)
    if is_blank or text_column - marker_column > _WIDEST_GAP_COLUMNS:
        return marker_column + 1
    return text_column


def column_of(prefix: str | bytes) -> int:
    """Return the column after that much white space and markers."""
    return len(prefix.expandtabs(_TAB_COLUMNS))
