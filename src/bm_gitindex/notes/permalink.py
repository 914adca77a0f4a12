"""Permalinks and titles out of paths."""

from __future__ import annotations

import re

from anyascii import anyascii

from bm_gitindex.notes.letters import spelled
from bm_gitindex.notes.text import clean_text

NOTE_SUFFIXES = (".md", ".markdown")

_CJK = "\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_OTHER_SCRIPT = re.compile(rf"[^\x00-\x7f{_CJK}]+")
_NOT_TRANSLITERATED = re.compile("[\uff00-\uffef]")
_SEAMS = (
    re.compile(r"(?<=[a-z0-9])(?=[A-Z])"),
    re.compile(rf"(?<=[{_CJK}])(?=[A-Za-z0-9])"),
    re.compile(rf"(?<=[A-Za-z0-9])(?=[{_CJK}])"),
)
# Where AnyASCII and basic-memory spell the letters of a living language differently: Cyrillic, Greek, kana.
# fmt: off
_LETTERS = {
    "ё": "io", "й": "i", "ю": "iu", "я": "ia", "ї": "yi", "ѓ": "gj", "ќ": "kj", "ћ": "tsh",
    "β": "b", "η": "e", "ή": "e", "ξ": "ks", "υ": "u", "ύ": "u", "φ": "ph", "χ": "kh",
    "じ": "zi", "ぢ": "di", "づ": "du", "ふ": "hu", "を": "wo", "っ": "tsu",
    "ジ": "zi", "ヂ": "di", "ヅ": "du", "フ": "hu", "ヲ": "wo", "ッ": "tsu", "ー": "-",
}
# fmt: on
_SEPARATORS = re.compile(rf"[^a-z0-9/.{_CJK}]+")


def generate_permalink(path: str) -> str:
    """Return the permalink of a note at `path`: `Notes/API (v2).md` is `notes/api-v2`.

    The rules are basic-memory's, found by running it: the note's suffix goes, apostrophes go, words are parted
    where a capital follows a small letter and where Chinese characters meet others, everything else that is not
    letter, digit, dot or slash becomes a hyphen. Other scripts are transliterated by AnyASCII, where basic-memory
    has Unidecode; where the two disagree on a letter in daily use, `letters` decides.
    """
    text = without_note_suffix(_normal_path(path))
    text = (text if text.isascii() else transliterate(spelled(text))).replace("'", "")
    for seam in _SEAMS:
        text = seam.sub("-", text)
    text = _SEPARATORS.sub("-", text.lower())
    return "/".join(segment.strip("-") for segment in text.split("/"))


def title_from_path(path: bytes) -> str:
    """Return the stem of a note's file name; bytes that are not UTF-8 show as U+FFFD."""
    name = path.rpartition(b"/")[2].decode(errors="replace")
    stem, dot, _ = name.rpartition(".")
    return clean_text(stem if stem.strip(".") and dot else name)


def transliterate(text: str) -> str:
    """Return the text in ASCII and Chinese characters; what has no letters (emoji, full-width forms) is dropped."""
    if text.isascii():
        return text
    return _OTHER_SCRIPT.sub(_ascii, _NOT_TRANSLITERATED.sub("", text))


def without_note_suffix(path: str) -> str:
    """Return the path of a note without `.md` or `.markdown`, in any case; a name that is only that stays."""
    stem, dot, suffix = path.rpartition(".")
    has_name = bool(stem.rpartition("/")[2].strip("."))
    return stem if has_name and (dot + suffix).lower() in NOTE_SUFFIXES else path


def _normal_path(path: str) -> str:
    root = "/" if path.startswith("/") else ""
    return root + "/".join(part for part in path.split("/") if part not in ("", "."))


def _ascii(found: re.Match[str]) -> str:
    return "".join(map(_ascii_character, found[0]))


def _ascii_character(character: str) -> str:
    letter = character.lower()
    spelled = _LETTERS.get(letter) or anyascii(character)
    if len(spelled) > 2 and spelled.startswith(":") and spelled.endswith(":"):
        return ""
    if character != letter:
        return spelled[:1].upper() + spelled[1:]
    # A syllable of a script without capitals is spelled with one, which would look like the seam of a camel.
    return spelled.lower()
