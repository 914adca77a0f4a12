"""Permalinks and titles out of paths."""

from __future__ import annotations

import re

from bm_gitindex.notes.text import clean_text
from bm_gitindex.notes.transliteration import IDEOGRAPHS, transliterate

NOTE_SUFFIXES = (".md", ".markdown")

_SEAMS = (
    re.compile(r"(?<=[a-z0-9])(?=[A-Z])"),
    re.compile(rf"(?<=[{IDEOGRAPHS}])(?=[A-Za-z0-9])"),
    re.compile(rf"(?<=[A-Za-z0-9])(?=[{IDEOGRAPHS}])"),
)
_SEPARATORS = re.compile(rf"[^a-z0-9/.{IDEOGRAPHS}]+")


def generate_permalink(path: str) -> str:
    """Return the permalink of a note at `path`: `Notes/API (v2).md` is `notes/api-v2`.

    The rules are basic-memory's, found by running it: the note's suffix goes, words are parted where a capital
    follows a small letter and where Chinese characters meet others, apostrophes go, everything else that is not
    letter, digit, dot or slash becomes a hyphen. `transliteration` says how other scripts are spelled.
    """
    text = transliterate(without_note_suffix(_normal_path(path)))
    for seam in _SEAMS[:1] if text.isascii() else _SEAMS:
        text = seam.sub("-", text)
    text = _SEPARATORS.sub("-", text.replace("'", "").lower())
    return "/".join(segment.strip("-") for segment in text.split("/"))


def title_from_path(path: bytes) -> str:
    """Return the stem of a note's file name; bytes that are not UTF-8 show as U+FFFD."""
    name = path.rpartition(b"/")[2].decode(errors="replace")
    stem, dot, _ = name.rpartition(".")
    return clean_text(stem if stem.strip(".") and dot else name)


def without_note_suffix(path: str) -> str:
    """Return the path of a note without `.md` or `.markdown`, in any case; a name that is only that stays."""
    stem, dot, suffix = path.rpartition(".")
    has_name = bool(stem.rpartition("/")[2].strip("."))
    return stem if has_name and (dot + suffix).lower() in NOTE_SUFFIXES else path


def _normal_path(path: str) -> str:
    parts = path.split("/")
    if "" not in parts and "." not in parts:
        return path
    root = "/" if path.startswith("/") else ""
    return root + "/".join(part for part in parts if part not in ("", "."))
