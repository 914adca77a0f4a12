"""What a link's text can stand for."""

from __future__ import annotations

import re

from bm_gitindex.notes.permalink import without_note_suffix
from bm_gitindex.notes.text import cut_to_index
from bm_gitindex.notes.transliteration import transliterate

_NOT_LETTERS = re.compile(r"[^\w/]+|_+")


def link_target(target: str) -> str:
    """Return what is looked up: the target without `|alias` and `#heading`."""
    return target.partition("|")[0].partition("#")[0].strip()


def link_key(text: str) -> str:
    """Return a coarse key: whatever a link resolves to has, as permalink, title or path, the link's key.

    The key forgets case, accents, separators other than `/`, and a note's suffix. So one indexed column finds
    every candidate of a link; which of them it means is for the exact rules to say. Equal keys promise nothing.
    """
    name = without_note_suffix(text.strip())
    letters = _NOT_LETTERS.sub("", transliterate(name).lower())
    key = "/".join(part for part in letters.split("/") if part)
    return cut_to_index(key or "_".join(name.casefold().replace("-", "_").split()) or text)


def alias_key(name: str) -> str:
    """Return what two names have in common that differ only in case, or in `_` for `-`."""
    return name.lower().replace("_", "-")
