"""Which parser, under which options, gave a note its shape."""

from __future__ import annotations

from hashlib import sha1
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bm_gitindex.options import Options

PARSER_VERSION = 6
"""Raised whenever the same bytes would give another `ParsedNote` or sketch; every note is then parsed again.

It stands here, and not in `parser`, because a run that parses nothing has to know it, and should import no parser.
"""


def parsed_by(options: Options) -> str:
    """Return a short text that changes with the parser's version, and with every option that shapes a note."""
    shaping = repr((options.note_suffixes, options.bounds))
    return f"{PARSER_VERSION}-{sha1(shaping.encode(), usedforsecurity=False).hexdigest()[:16]}"
