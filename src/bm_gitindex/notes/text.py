"""Text out of bytes, and what must not be in it."""

from __future__ import annotations

import codecs
import re

from bm_gitindex.options import NAME_MAX_BYTES

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def clean_text(text: str) -> str:
    """Return text that UTF-8, JSON, SQLite and PostgreSQL can all hold.

    NUL is dropped, a lone surrogate becomes U+FFFD.
    """
    if text.isascii() and "\x00" not in text:
        return text
    return _NOT_STORABLE.sub(lambda found: "" if found[0] == "\x00" else "\ufffd", text)


def decode_note(data: bytes) -> tuple[str, list[str]]:
    """Return the text of a note, and a warning if it is not UTF-8, and if anything of it had to go.

    Byte order mark and NUL are dropped. Bytes that are not UTF-8 are UTF-16 if they start with its mark, else
    Windows-1252, or Latin-1 where that has no character.
    """
    try:
        text, warnings = data.decode(), []
    except UnicodeDecodeError:
        text, encoding = _decode_other(data)
        warnings = [f"not UTF-8: read as {encoding}"]
    if "\x00" in text:
        warnings.append("NUL characters left out")
    return clean_text(text.removeprefix("\ufeff")), warnings


def _decode_other(data: bytes) -> tuple[str, str]:
    if data.startswith(_UTF16_MARKS):
        return data.decode("utf-16", errors="replace"), "UTF-16"
    try:
        return data.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "Latin-1"


def fits_index(name: str) -> bool:
    """Return whether an index of any database takes this name in; what does not fit is not looked up by it."""
    return len(name) <= NAME_MAX_BYTES // 4 or len(name.encode()) <= NAME_MAX_BYTES


def cut_to_index(name: str) -> str:
    """Return as much of a name as an index of any database takes in."""
    return name if fits_index(name) else name.encode()[:NAME_MAX_BYTES].decode("utf-8", "ignore")
