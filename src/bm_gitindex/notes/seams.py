"""Where markdown-it, and so basic-memory, begins a block and CommonMark goes on with a paragraph.

After a link reference definition markdown-it begins anew: with a list, with code, with a text outside the quote that
the definition is in. A line that stands left of its list item's text ends the item's paragraph if it looks like a block,
however far it is indented, and whatever number a list begins with. And a quote goes on with any line that begins with
`>`. A blank line there, or less indentation, makes such a body mean the same to both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bm_gitindex.notes.prefixes import column_of, content_column, without_markers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bm_gitindex.notes.prefixes import Container

_DEFINITION_MARK = b"]:"
_CODE_COLUMNS = 4
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
        if self._has_definitions:
            self._part_from_definition(start)
        if containers and self._source.find(b"\n", start, end) >= 0:
            self._part_lines(start, end, containers)
        self.pass_by(end)

    def parted(self) -> str:
        """Return the body with the seams open."""
        pieces = []
        done = 0
        for start, end, text in sorted(self._edits):
            pieces += [self._source[done:start], text]
            done = end
        return b"".join([*pieces, self._source[done:]]).decode()

    def _part_from_definition(self, start: int) -> None:
        line_start = self._line_start(start)
        if line_start <= self._gap_start or self._source.find(_DEFINITION_MARK, self._gap_start, line_start) < 0:
            return
        line_before = self._source[self._line_start(line_start - 1) : line_start]
        if line_before.strip(b" \t>\n"):
            self._insert_blank_line(line_start, self._source[line_start:start])

    def _part_lines(self, start: int, end: int, containers: Sequence[Container]) -> None:
        quotes = [number for number, container in enumerate(containers) if container.kind == "BlockQuote"]
        inside_quotes = containers[quotes[-1] + 1 :] if quotes else containers
        columns = [0, *(content_column(self._source, item.start) for item in inside_quotes)]
        line_start = self._source.find(b"\n", start, end) + 1
        while line_start:
            line_end = self._source.find(b"\n", line_start, end)
            line = self._source[line_start : end if line_end < 0 else line_end].decode()
            rest = without_markers(line, len(quotes))
            if rest is not None and _is_taken_for_block(rest, columns):
                self._insert_blank_line(line_start, line[: len(line) - len(rest)].encode())
                return
            line_start = line_end + 1

    def _insert_blank_line(self, line_start: int, prefix: bytes) -> None:
        """Insert a line that is blank within the quotes that `prefix` belongs to."""
        self._edits.append((line_start, line_start, prefix[: prefix.rfind(b">") + 1] + b"\n"))

    def _line_start(self, offset: int) -> int:
        return self._source.rfind(b"\n", 0, offset) + 1


def _is_taken_for_block(line: str, columns: Sequence[int]) -> bool:
    """Whether a line of a list item's paragraph ends it; `columns` are those of the texts of all items around it."""
    text = line.lstrip(" \t")
    column = column_of(line[: len(line) - len(text)])
    if column >= columns[-1]:
        return False
    if _LIST.match(text) and column - columns[-2] < _CODE_COLUMNS:
        return True
    return _OTHER_BLOCK.match(text) is not None
