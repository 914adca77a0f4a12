"""Link reference definitions, and what follows them at once.

By CommonMark the lines after a definition go on with the paragraph that it began; for markdown-it a block begins there,
which may be a list, code, or a text outside the quote that the definition is in. A blank line between the two makes
them one.
"""

from __future__ import annotations

_MARK = b"]:"


def may_have_definitions(body: str) -> bool:
    """Whether it is worth the while to look for them."""
    return "]:" in body


class Seams:
    """Where a text follows a definition in a body without a blank line between them."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._gap_start = 0
        self._cuts: list[tuple[int, bytes]] = []

    def pass_by(self, offset: int) -> None:
        """Note that a block, or a container, begins or ends here: a definition stands between blocks."""
        self._gap_start = max(self._gap_start, offset)

    def text_at(self, offset: int) -> None:
        """Note that the text of a block begins here."""
        line_start = self._source.rfind(b"\n", 0, offset) + 1
        if line_start > self._gap_start and _MARK in self._source[self._gap_start : line_start]:
            before = self._source[self._source.rfind(b"\n", 0, line_start - 1) + 1 : line_start]
            if before.strip(b" \t>\n"):
                prefix = self._source[line_start:offset]
                self._cuts.append((line_start, prefix[: prefix.rfind(b">") + 1] + b"\n"))
        self._gap_start = offset

    def parted(self) -> bytes | None:
        """Return the body with a blank line at each of them; `None` if there is none."""
        if not self._cuts:
            return None
        pieces = []
        start = 0
        for cut, line in self._cuts:
            pieces += [self._source[start:cut], line]
            start = cut
        return b"".join([*pieces, self._source[start:]])
