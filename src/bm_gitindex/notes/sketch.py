"""How much of their text two notes share, as git measures it, told from a small sketch of each.

git cuts a file into spans, lines of at most 64 bytes, and counts the bytes of the spans that two files have in common
(gitdiffcore(7), "diffcore-rename"). A sketch keeps the spans with the smallest hashes: all of them for most notes, and
a sample for long ones. Of two notes the same spans are in the sample, so that what is common of it estimates what is
common of the whole.
"""

from __future__ import annotations

import re
import struct
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

THRESHOLD = 0.5
"""Notes that share more than this are one (git-diff(1), `-M`: a rename has 50 % in common by default)."""

_SPAN = re.compile(rb"[^\n]{1,63}\n|[^\n]{1,64}|\n")
_MOST_SPANS = 128
_MOST_BYTES = 0xFFFF
_RECORD = struct.Struct("<IH")
_LAST_HASH = 0xFFFF_FFFF
_MOST_SHARERS = 100
"""A span that more notes have is a template's, and says nothing of which of them is meant."""
_MOST_CANDIDATES = 4


class Likeness(NamedTuple):
    """How much of its text a note shares with another."""

    share: float
    """Between 0 and 1, of the longer one."""
    path: bytes
    """Of the other one."""


def sketch(data: bytes) -> bytes:
    """Return the sketch of a note: hash and size in bytes of at most 128 spans, in order of their hashes."""
    sizes: dict[int, int] = {}
    for span, count in Counter(_spans(data)).items():
        span_hash = crc32(span)
        sizes[span_hash] = sizes.get(span_hash, 0) + len(span) * count
    kept = sorted(sizes)[:_MOST_SPANS]
    return b"".join([_RECORD.pack(span_hash, min(sizes[span_hash], _MOST_BYTES)) for span_hash in kept])


def common_share(one: bytes, other: bytes) -> float:
    """Return how much two sketched notes have in common: between 0 and 1, of the longer one."""
    return _share(_sizes(one), _sizes(other))


class SketchIndex:
    """Sketches of some notes, to find those among them that are like another one."""

    def __init__(self, sketches: Mapping[bytes, bytes]) -> None:
        """`sketches` are by path."""
        self._sizes_by_path = {path: _sizes(data) for path, data in sketches.items()}
        self._paths_by_hash: defaultdict[int, list[bytes]] = defaultdict(list)
        for path, sizes in self._sizes_by_path.items():
            for span_hash in sizes:
                self._paths_by_hash[span_hash].append(path)

    def alike(self, data: bytes) -> list[Likeness]:
        """Return the notes that share more than half of their text with the one of this sketch, the likest first."""
        own = _sizes(data)
        found = (Likeness(_share(own, self._sizes_by_path[path]), path) for path in self._candidates(own))
        return sorted((likeness for likeness in found if likeness.share > THRESHOLD), reverse=True)

    def _candidates(self, own: Mapping[int, int]) -> Iterable[bytes]:
        """Return those of the notes that share most with it."""
        shared: defaultdict[bytes, int] = defaultdict(int)
        for span_hash, size_bytes in own.items():
            paths = self._paths_by_hash.get(span_hash, ())
            if len(paths) <= _MOST_SHARERS:
                for path in paths:
                    shared[path] += min(size_bytes, self._sizes_by_path[path][span_hash])
        return sorted(shared, key=lambda path: (-shared[path], path))[:_MOST_CANDIDATES]


def _spans(data: bytes) -> list[bytes]:
    return _SPAN.findall(data.replace(b"\r\n", b"\n"))


def _sizes(data: bytes) -> dict[int, int]:
    return dict(_RECORD.iter_unpack(data[: len(data) - len(data) % _RECORD.size]))


def _share(one: Mapping[int, int], other: Mapping[int, int]) -> float:
    bound = min(_bound(one), _bound(other))
    common = sum(min(size, other[span]) for span, size in one.items() if span <= bound and span in other)
    longer = max(_sum_up_to(one, bound), _sum_up_to(other, bound))
    return common / longer if longer else 0.0


def _bound(sizes: Mapping[int, int]) -> int:
    """Return up to which hash a sketch has all spans."""
    return max(sizes) if len(sizes) == _MOST_SPANS else _LAST_HASH


def _sum_up_to(sizes: Mapping[int, int], bound: int) -> int:
    return sum(size for span, size in sizes.items() if span <= bound)
