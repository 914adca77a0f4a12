"""Cutting what is many into pieces that one statement takes."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

QUERY_CHUNK = 500
"""Values in one IN list: below the 999 variables that old SQLite libraries allow in a statement."""
INSERT_CHUNK = 2_000
"""Rows in one executemany: enough to make its cost vanish, and few enough for memory to stay flat."""


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield `items` in lists of `size`, the last one shorter; nothing is read ahead."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
