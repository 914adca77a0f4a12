"""Where markdown-it, and so basic-memory, begins a block and CommonMark goes on with a paragraph.

After a link reference definition markdown-it begins anew: with a list, with code, with a text outside the quote that
the definition is in. A line that stands left of the text of its list item ends the item's paragraph if it looks like a
block, however far it is indented, and whatever number a list begins with; and so does a line that lacks the markers of
two quotes. A quote goes on with any line that begins with `>`. And HTML that is read verbatim, as in `<pre>`, is ended
by the tag of another kind, in capitals too. A blank line there, less indentation, or the right tag makes such a body
mean the same to both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bm_gitindex.notes.prefixes import after_markers, content_column, indentation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bm_gitindex.notes.prefixes import Container, Place

_DEFINITION_MARK = b"]:"
_CODE_COLUMNS = 4
_QUOTE_MARKERS = re.compile(rb"(?:[ \t]*>)+")
_LIST = re.compile(r"(?:[-+*]|\d{1,9}[.)])(?:[ \t]|$)")
_OTHER_BLOCK = re.compile(
    r">|#{1,6}(?:[ \t]|$)|`{3,}[^`]*$|~{3,}|(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$"
    r"|<(?:script|pre|style|textarea)(?:[\s>]|$)|<!--|<\?|<![A-Z]|<!\[CDATA\["
    r"|</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div"
    r"|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link"
    r"|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead"
    r"|title|tr|track|ul)(?:[\s>]|/>|$)",
    re.IGNORECASE,
)
"""What ends a paragraph, besides a list: quotes, headings, fences, rules, HTML (CommonMark, "HTML blocks", 1 to 6)."""


_RAW_HTML = re.compile(rb"<(script|pre|style|textarea)", re.IGNORECASE)
_RAW_HTML_END = re.compile(rb"</(?:script|pre|style|textarea)>[^\n]*", re.IGNORECASE)


class Seams:
    """What is found in one body; its parts are shown to it in their order."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._has_definitions = _DEFINITION_MARK in source
        self._gap_start = 0
        self._edits: list[tuple[int, int, bytes]] = []

    @property
    def are_found(self) -> bool:
        """Whether the body is to be parted."""
        return bool(self._edits)

    def pass_by(self, offset: int) -> None:
        """Note that a container begins or a leaf ends here: definitions stand between."""
        self._gap_start = max(self._gap_start, offset)

    def pass_text(self, start: int, end: int, containers: Sequence[Container]) -> None:
        """Note that the text of a block is here."""
        is_apart = self._has_definitions and self._part_definitions(start, containers)
        if containers and not is_apart and self._source.find(b"\n", start, end) >= 0:
            self._part_lines(start, end, containers)
        self.pass_by(end)

    def pass_html(self, start: int, end: int) -> None:
        """Note that a block of HTML is here: what is read verbatim ends at the first tag that ends any such block."""
        opening = _RAW_HTML.match(self._source, start)
        closing = _RAW_HTML_END.search(self._source, start, end) if opening else None
        if opening and closing and closing.end() < end - 1:
            self._edits.append((closing.end(), closing.end(), b"</" + opening[1].lower() + b">"))

    def pass_quote_end(self, offset: int, containers: Sequence[Container]) -> None:
        """Note that a quote inside these containers ends here: the next line may go on with it."""
        line_start = self._line_start(offset)
        if line_start < offset:
            line_start = self._source.find(b"\n", offset) + 1
        if line_start and self._source[self._line_start(line_start - 1) : line_start].strip():
            self._pull_out_quotes(
                line_start, [*_quote_columns(self._source, containers), _column(self._source, containers)]
            )

    def parted(self) -> str:
        """Return the body with the seams open."""
        pieces = []
        done = 0
        for start, end, text in sorted(self._edits):
            pieces += [self._source[done:start], text]
            done = end
        return b"".join([*pieces, self._source[done:]]).decode()

    def _part_definitions(self, start: int, containers: Sequence[Container]) -> bool:
        """Part definitions before a text from each other, where one stands further left, and from the text.

        Return whether the text is apart from them now: it may be outside of what contains it here.
        """
        line_start = self._line_start(start)
        if line_start <= self._gap_start or self._source.find(_DEFINITION_MARK, self._gap_start, line_start) < 0:
            return False
        quote_columns = _quote_columns(self._source, containers)
        above = self._line_start(self._gap_start)
        while (below := self._source.find(b"\n", above) + 1) < line_start:
            self._pull_out_quotes(below, quote_columns)
            one, other = self._source[above : below - 1], self._source[below : self._source.find(b"\n", below)]
            bracket = other.find(b"[")
            if not other[:bracket].strip(b" \t>") and 0 <= bracket < _column_of_bracket(one):
                self._insert_blank_line(below, other[:bracket])
            above = below
        if self._pull_out_quotes(line_start, quote_columns) or not self._source[above:line_start].strip(b" \t>\n"):
            return False
        self._insert_blank_line(line_start, self._source[line_start:start])
        return True

    def _part_lines(self, start: int, end: int, containers: Sequence[Container]) -> None:
        quotes = [number for number, container in enumerate(containers) if container.kind == "BlockQuote"]
        inside_quotes = containers[quotes[-1] + 1 :] if quotes else containers
        columns = [0, *(content_column(self._source, item.start) for item in inside_quotes)]
        quote_columns = _quote_columns(self._source, containers)
        line_start = self._source.find(b"\n", start, end) + 1
        while line_start:
            line_end = self._source.find(b"\n", line_start, end)
            line = self._source[line_start : end if line_end < 0 else line_end].decode()
            outdented = _outdented_marker(line, quote_columns)
            if outdented is not None:
                self._insert_blank_line(line_start, line[: outdented.position].encode())
                return
            self._pull_out_quotes(line_start, quote_columns)
            place = after_markers(line, len(quotes))
            missing = len(quotes) - line.count(">", 0, place.position)
            text = line[place.position :].lstrip(" \t")
            is_left_out = missing > 1 and _looks_like_block(text)
            if is_left_out or (missing == 0 and _is_taken_for_block(text, indentation(line, place), columns)):
                self._insert_blank_line(line_start, line[: place.position].encode())
                return
            line_start = line_end + 1

    def _pull_out_quotes(self, line_start: int, columns: Sequence[int]) -> bool:
        """Set markers of quotes that are indented as code back to the columns that their quotes begin at.

        Return whether there are any.
        """
        before = len(self._edits)
        found = _QUOTE_MARKERS.match(self._source, line_start)
        markers = "" if found is None else found[0].decode()
        for number, column in enumerate(columns[: markers.count(">")]):
            place = after_markers(markers, number)
            if indentation(markers, place) - column >= _CODE_COLUMNS:
                end = markers.index(">", place.position)
                self._edits.append((line_start + place.position, line_start + end, b" " * column))
        return len(self._edits) > before

    def _insert_blank_line(self, line_start: int, prefix: bytes) -> None:
        """Insert a line that is blank within the quotes that `prefix` belongs to."""
        self._edits.append((line_start, line_start, prefix[: prefix.rfind(b">") + 1] + b"\n"))

    def _line_start(self, offset: int) -> int:
        return self._source.rfind(b"\n", 0, offset) + 1


def _column_of_bracket(line: bytes) -> int:
    """Return where a definition begins in a line, -1 where none does, or where its lines go on."""
    return -1 if line.rstrip().endswith(b":") or _DEFINITION_MARK not in line else line.find(b"[")


def _column(source: bytes, containers: Sequence[Container]) -> int:
    """Return the column of the text in the innermost of these containers."""
    return content_column(source, containers[-1].start) if containers and containers[-1].kind == "Item" else 0


def _quote_columns(source: bytes, containers: Sequence[Container]) -> list[int]:
    """Return the column that each quote begins at, counted within the quote around it."""
    quotes = (number for number, container in enumerate(containers) if container.kind == "BlockQuote")
    return [_column(source, containers[:number]) for number in quotes]


def _outdented_marker(line: str, columns: Sequence[int]) -> Place | None:
    """Return the place before the first marker that stands left of its quote, which it does not go on with."""
    for number, column in enumerate(columns):
        place = after_markers(line, number)
        is_marker = line[place.position :].lstrip(" \t").startswith(">")
        if is_marker and indentation(line, place) < column:
            return place
    return None


def _is_taken_for_block(text: str, column: int, columns: Sequence[int]) -> bool:
    """Whether a line of a list item's paragraph ends it.

    The text begins at `column`; `columns` are those where the texts of all items around it begin.
    """
    if column >= columns[-1]:
        return False
    if _LIST.match(text) and column - columns[-2] < _CODE_COLUMNS:
        return True
    return _OTHER_BLOCK.match(text) is not None


def _looks_like_block(text: str) -> bool:
    return (_LIST.match(text) or _OTHER_BLOCK.match(text)) is not None
