"""A small world in which an edit may be missed: two files, a coarse clock, an editor, git, and the two stores.

Time counts in half seconds. A file's content is its size and a variant, so that an edit of the same size is another
variant. Beside what a program could see, the world holds what it could not: in which *era* something was done. An era
ends when the clock is set back, and by it the limits are told from the misses.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.index.entry import blob_id
from bm_gitindex.index.stat import low32

if TYPE_CHECKING:
    from bm_gitindex.index.entry import Entry
    from bm_gitindex.rules import Kind

HALF_SECOND_NS = 500_000_000
FILE_DEVICE = 1
OTHER_DEVICE = 2
F = b"f.md"
G = b"g.md"


class File(NamedTuple):
    """A file as it lies on disk."""

    size: int
    variant: int
    mtime: int
    ctime: int
    last_mtime: int
    """The mtime before the last edit: what a program that puts the mtime back would put back."""
    is_forged: bool
    """The mtime was put back, and is not the file system's own."""
    era: int
    """When the content was last changed."""


class Known(NamedTuple):
    """What no program can know of a reading of F, once it is done."""

    era: int = 0
    """In which the run began that read it."""
    size: int = 0
    stored: int = 0
    """The mtime of the index in which it was first stored."""


class Disk(NamedTuple):
    """The state folder's `index` and `index.own`."""

    data: bytes | None
    """The index file's bytes; None where there is none."""
    timestamp: int
    """mtime of the index file, by the clock of the state folder."""
    own: bytes
    reading: Known
    """What F was when it was read for this index."""


class Row(NamedTuple):
    """What the database says of a file."""

    path: bytes
    kind: Kind
    blob_id: bytes
    size: int
    mtime_ns: int


class Database(NamedTuple):
    """Rows, and the tie."""

    rows: tuple[Row, ...]
    tie_closed: bool
    trailer: bytes | None


class Sync(NamedTuple):
    """A sync of ours under way: what it has seen of F so far."""

    start: int
    """t0, by the clock of the state folder."""
    start_era: int
    seen: File
    """F when the tree was listed."""
    opened: File | None = None
    """F when it was opened."""
    content: tuple[int, int] | None = None
    """What was read: size and variant."""
    reading: Known = Known()
    closed: File | None = None
    """F when it was looked at for the second time."""


class GitRun(NamedTuple):
    """A command of git under way."""

    entries: tuple[Entry, ...]
    """What it is going to write."""
    timestamp: int
    """mtime of the index as it was read; 0 where there was none."""
    reading: Known
    is_checked: bool = False
    """Whether racy entries were compared for the last time."""


class World(NamedTuple):
    """Everything."""

    now: int
    """The clock of the files."""
    era: int
    f: File
    g: File
    disk: Disk
    database: Database
    copy: tuple[Disk, Database] | None
    """A backup of the state folder."""
    run: Sync | GitRun | None


class Setting(NamedTuple):
    """What stays as it is while the world moves on."""

    trusts_ctime: bool = True
    state_clock_ahead: int = 0
    """By how much the clock of the state folder differs from that of the files."""
    state_device: int = FILE_DEVICE
    """Where the state folder lies."""
    opens_files: bool = True
    """False lets F and G be tracked by their stat alone, unless they are empty."""


class Stat(NamedTuple):
    """What `os.stat_result` says of a file."""

    st_mode: int
    st_ino: int
    st_dev: int
    st_uid: int
    st_gid: int
    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int


@cache
def stat_of(path: bytes, file: File) -> Stat:
    """Return the stat of a file."""
    inode = 7 if path == F else 8
    times_ns = file.mtime * HALF_SECOND_NS, file.ctime * HALF_SECOND_NS
    return Stat(0o100644, inode, FILE_DEVICE, 1000, 1000, file.size, *times_ns)


@cache
def content_id(size: int, variant: int) -> bytes:
    """Return the blob id of a content."""
    return blob_id(b"ab"[variant : variant + 1] * size)


def second(half_seconds: int) -> int:
    """Return a time in whole seconds, as an index holds it."""
    return low32(half_seconds // 2)
