"""How a path, which is bytes, is written in a column of text that people can read.

Valid UTF-8 stands as it is. Every byte that is not part of valid UTF-8 is written as `//` and two lower-case
hexadecimal digits. A relative path never contains `//`, so that one text means one path.
"""

from __future__ import annotations

import re

_SURROGATE_BASE = 0xDC00  # bytes.decode("surrogateescape") maps an invalid byte b to U+DC00 + b
_SURROGATE = re.compile("[\udc80-\udcff]")
_ESCAPED_BYTE = re.compile("//([89a-f][0-9a-f])")


def path_to_text(path: bytes) -> str:
    """Return the text that stands for `path`, which must be relative and in normal form (no `//`)."""
    try:
        return path.decode()
    except UnicodeDecodeError:
        return _SURROGATE.sub(_written_byte, path.decode("utf-8", "surrogateescape"))


def text_to_path(text: str) -> bytes:
    """Return the path that `text` stands for."""
    if "//" not in text:
        return text.encode()
    return _ESCAPED_BYTE.sub(_read_byte, text).encode("utf-8", "surrogateescape")


def _written_byte(match: re.Match[str]) -> str:
    return f"//{ord(match[0]) - _SURROGATE_BASE:02x}"


def _read_byte(match: re.Match[str]) -> str:
    return chr(int(match[1], 16) + _SURROGATE_BASE)
