"""White space beyond blank and tab, which pulldown-cmark and markdown-it do not see alike.

Vertical tab and form feed are letters to markdown-it, and white space to pulldown-cmark. But where markdown-it looks
for HTML, or for the label of a link reference, it takes in whatever Unicode calls white space; pulldown-cmark does not.
"""

from __future__ import annotations

import re

_LETTERS = {0x0B: 0x01, 0x0C: 0x01}
_SPACES = (
    "\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_SPACE_IN_ASCII = tuple(space for space in _SPACES if space.isascii())
_SPACE = re.compile(f"[{_SPACES}]")
# Of the control characters only these two are blank in a label.
_BLANK_LABEL = re.compile(rf"\[(?:[ \t\n\v\f]|(?![\x1c-\x1f\x85])[{_SPACES}])+\]:")
_HTML_LINE = re.compile(r"^[ \t>*+\-0-9.)]*<.*$", re.MULTILINE)


def with_plain_blanks(body: str) -> str:
    r"""Return a body of the same length in bytes, for pulldown-cmark to find markdown-it's blocks in."""
    if not any(space in body for space in (_SPACE_IN_ASCII if body.isascii() else _SPACES)):
        return body
    return _HTML_LINE.sub(_spaced, _BLANK_LABEL.sub(_spaced, body)).translate(_LETTERS)


def _spaced(found: re.Match[str]) -> str:
    return _SPACE.sub(lambda space: " " * len(space[0].encode()), found[0])
