"""Inputs made from others, by what is known of their formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

_TELLING_BYTES = (0x00, 0x01, 0x0A, 0x20, 0x2F, 0x7F, 0x80, 0xFE, 0xFF)
_MOST_STEPS = 6


def mutated(data: bytes, words: Sequence[bytes], others: Sequence[bytes], random: Random, max_bytes: int) -> bytes:
    """Return bytes that differ from `data` by a few steps: flipped, cut, moved, repeated, or taken from elsewhere."""
    steps = (_flip, _tell, _cut, _repeat, _move, _count)
    for _ in range(random.randint(1, _MOST_STEPS)):
        kind = random.randrange(len(steps) + 3)
        if kind < len(steps):
            data = steps[kind](data, random)
        elif kind == len(steps):
            data = _splice(data, random.choice(others), random)
        else:
            data = _insert(data, random.choice(words), random)
    return data[:max_bytes]


def _flip(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + bytes(byte ^ 1 << random.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def _tell(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + bytes([random.choice(_TELLING_BYTES)]) + data[at + 1 :]


def _cut(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[end:]


def _repeat(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:end] + data[start:end] * random.choice((1, 2, 30)) + data[end:]


def _move(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return _insert(data[:start] + data[end:], data[start:end], random)


def _count(data: bytes, random: Random) -> bytes:
    """Change a big-endian number of four bytes by little."""
    at = 4 * random.randrange(len(data) // 4 + 1)
    number = int.from_bytes(data[at : at + 4], "big") + random.choice((-8, -1, 1, 8, 0x1000, 0x4000))
    return data[:at] + (number & 0xFFFF_FFFF).to_bytes(4, "big") + data[at + 4 :]


def _splice(data: bytes, other: bytes, random: Random) -> bytes:
    start, end = _span(other, random)
    return _insert(data, other[start:end], random)


def _insert(data: bytes, piece: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    overwritten = random.choice((0, len(piece)))
    return data[:at] + piece + data[at + overwritten :]


def _span(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 2, 4, 8, 40, 72, 400)))
