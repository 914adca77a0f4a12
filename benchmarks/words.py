"""Figures in words, for the report and the plots: three digits, and the unit that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results import Figure, Spread


def seconds_words(seconds: float) -> str:
    """Return a time: `12.3 ms`, `1.23 s`."""
    return f"{_digits(seconds * 1000)} ms" if seconds < 1 else f"{_digits(seconds)} s"


def bytes_words(count: float) -> str:
    """Return an amount of memory: `12.3 MB`."""
    return f"{_digits(count / 1e6)} MB"


def spread_words(spread: Spread, figure: Figure) -> str:
    """Return a median, and in brackets how far the runs lie apart, where they do."""
    words = bytes_words if figure == "peak_bytes" else seconds_words
    middle, least, most = map(words, spread)
    return middle if least == most else f"{middle} ({least} to {most})"


def ratio_words(ratio: float) -> str:
    """Return a ratio: `0.93`, `12.3`, `1/270`."""
    return f"1/{1 / ratio:.0f}" if 0 < ratio < 0.1 else _digits(ratio)


def limit_words(limit: float) -> str:
    """Return what a ratio may be at most."""
    return f"≤ 1/{1 / limit:.0f}" if limit < 0.1 else f"≤ {limit:g}"


def _digits(value: float) -> str:
    """Return a number with three digits, or more where it has more before the point."""
    places = max(0, 2 - len(str(int(abs(value)))) + 1) if abs(value) >= 1 else 2
    return f"{value:,.{places}f}"
