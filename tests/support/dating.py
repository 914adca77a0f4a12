"""Letting an index have been written at another time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bm_gitindex.index.entry import ID_LENGTH
from bm_gitindex.index.stat import stored_time
from bm_gitindex.indexfile import owner_text

if TYPE_CHECKING:
    from pathlib import Path


def date_index(index: Path, mtime_ns: int) -> None:
    """Set T of an index: its mtime and, if it is ours, what `index.own` says of it."""
    os.utime(index, ns=(mtime_ns, mtime_ns))
    trailer, owner = index.read_bytes()[-ID_LENGTH:], index.with_name("index.own")
    if owner.exists() and trailer.hex() in owner.read_text():
        owner.write_bytes(owner_text(trailer, stored_time(mtime_ns)[0]))
