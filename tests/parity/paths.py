"""Paths to make permalinks of: of words in many scripts, and of single characters."""

from __future__ import annotations

import unicodedata
from random import Random

WORDS = (
    *("API (v2)", "CamelCase", "don't", "Café", "v1.2.3", "README", "OAuth2Token", "snake_case", "a & b", "Dr. Who"),
    *("Straße", "Łódź", "İstanbul", "Ångström", "naïve", "œuvre", "Đà Nẵng", "e\u0301te\u0301", "“quoted”"),
    *("тест", "Русский язык", "Київ", "Београд", "Ελληνικά", "Άλφα", "中文", "笔记 2024", "日本語のノート", "カタカナ"),
    *("ひらがな", "한국어", "노트 정리", "שלום", "العربية", "हिन्दी", "ไทย", "😀", "a—b", "…", "№5", "½", "ﬁ", "Ⅳ"),
)
SEPARATORS = (" ", "-", "_", "/", ".", "", "  ", " - ", "(", "/../", "//")
SUFFIXES = (".md", ".md", ".md", ".markdown", ".MD", ".txt.md")


def generated(count: int, seed: int) -> list[str]:
    """Return paths made of words; the same for the same numbers."""
    random = Random(seed)
    return [_path(random) for _ in range(count)]


def letters() -> list[str]:
    """Return a path for every letter and digit of the basic plane that has a name."""
    return [f"a{one}b" for one in map(chr, range(0x80, 0xD800)) if unicodedata.category(one)[0] in "LN"]


def script(path: str) -> str:
    """Return the first word of the name of the first character that is not ASCII."""
    return next((unicodedata.name(one, "?").split()[0] for one in path if not one.isascii()), "ASCII")


def _path(random: Random) -> str:
    words = [random.choice(WORDS) for _ in range(random.randint(1, 4))]
    return "".join(word + random.choice(SEPARATORS) for word in words[:-1]) + words[-1] + random.choice(SUFFIXES)
