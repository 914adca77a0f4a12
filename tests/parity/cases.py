r"""The constructed notes: one a line, by theme, in `corpus/THEME.txt`.

A line is a note, with `\n`, `\r`, `\t`, `\\`, `\xHH` (a byte) and `\uHHHH` (a character) for what a line cannot show.
`%% around TEXT` puts the lines that follow into a text, where its `{}` is; any other line that begins with `%%` says
what the lines below it are about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("corpus")

_AROUND = "%% around "
_ESCAPE = re.compile(rb"\\(?:([nrt\\])|x([0-9a-f]{2})|u([0-9a-f]{4}))")
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\"}


@dataclass(frozen=True)
class Case:
    """A constructed note."""

    theme: str
    key: str
    """As the corpus has it, whole: what an answer is filed under."""
    data: bytes


def themes() -> list[str]:
    """Return the themes of the corpus, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def cases(theme: str) -> list[Case]:
    """Return the notes of a theme, in the order of its file."""
    found = []
    around = "{}"
    for line in (FOLDER / f"{theme}.txt").read_text("utf-8").split("\n"):
        if line.startswith(_AROUND):
            around = line.removeprefix(_AROUND)
        elif line and not line.startswith("%%"):
            key = around.replace("{}", line)
            found.append(Case(theme, key, unescaped(key)))
    return found


def unescaped(text: str) -> bytes:
    """Return the bytes that a line of the corpus stands for."""
    return _ESCAPE.sub(_meaning, text.encode())


def _meaning(found: re.Match[bytes]) -> bytes:
    plain, byte, character = found.groups()
    if plain:
        return _PLAIN[plain]
    return bytes([int(byte, 16)]) if byte else chr(int(character, 16)).encode("utf-8", "surrogatepass")
