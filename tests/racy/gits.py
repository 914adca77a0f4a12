"""git's own rule (technical/racy-git; read-cache.c by its documentation): for a world in which git writes the index.

Seconds alone are compared, as git does by default. A refresh compares the content of an entry that is racy, or was
smudged; writing smudges the entries that are racy and differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.index.codec import decode
from bm_gitindex.index.encoding import encode_entry
from bm_gitindex.index.entry import Entry, Index, Tracking
from bm_gitindex.index.stat import StatData, stat_data
from racy.world import Disk, File, content_id, second, stat_of
from support.values import extension, header, sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def refresh(disk: Disk, files: Mapping[bytes, File], *, trusts_ctime: bool) -> tuple[Entry, ...]:
    """Return the entries after `git update-index --refresh`."""
    index = decode(disk.data) if disk.data else Index.empty()
    timestamp_s = second(disk.timestamp)
    return tuple(_refreshed(index[path], files[path], timestamp_s, trusts_ctime=trusts_ctime) for path in index)


def add(files: Mapping[bytes, File]) -> tuple[Entry, ...]:
    """Return the entries after `git add`: a file's stat before it was read, and its content."""
    return tuple(
        Entry.of(path, stat_data(stat_of(path, file)), content_id(file.size, file.variant), Tracking.CONTENT)
        for path, file in files.items()
    )


def smudged(entries: Iterable[Entry], files: Mapping[bytes, File], timestamp_s: int) -> tuple[Entry, ...]:
    """Return the entries as git writes them: of size 0 where they are racy, and the file differs by now."""
    return tuple(
        entry.with_size_zero()
        if timestamp_s and _is_racy(entry, timestamp_s) and entry.blob_id != _id_of(files[entry.path])
        else entry
        for entry in entries
    )


def is_clean(entry: Entry, file: File, timestamp_s: int, *, trusts_ctime: bool) -> bool:
    """Return whether `git diff-files` takes a file for unchanged."""
    if _looks_same(entry.stat, stat_data(stat_of(entry.path, file)), trusts_ctime=trusts_ctime):
        if not _is_racy(entry, timestamp_s):
            return True
    elif entry.stat.size != 0:
        return False
    return entry.blob_id == _id_of(file)


def written(entries: tuple[Entry, ...]) -> bytes:
    """Return the bytes of an index as git would leave them: without our table of offsets, with a cache tree."""
    version = 3 if any(entry.is_extended for entry in entries) else 2
    body = header(len(entries), version) + b"".join(encode_entry(entry) for entry in entries)
    return sealed(body + extension(b"TREE", b""))


def _refreshed(entry: Entry, file: File, timestamp_s: int, *, trusts_ctime: bool) -> Entry:
    observed = stat_data(stat_of(entry.path, file))
    looks_same = _looks_same(entry.stat, observed, trusts_ctime=trusts_ctime)
    if entry.skip_worktree or (looks_same and not _is_racy(entry, timestamp_s)):
        return entry
    if entry.blob_id == _id_of(file) and entry.stat.size in {0, observed.size}:
        return entry._replace(stat=observed)
    return entry


def _id_of(file: File) -> bytes:
    return content_id(file.size, file.variant)


def _is_racy(entry: Entry, timestamp_s: int) -> bool:
    return timestamp_s <= entry.stat.mtime_s


def _looks_same(recorded: StatData, observed: StatData, *, trusts_ctime: bool) -> bool:
    if trusts_ctime and recorded.ctime_s != observed.ctime_s:
        return False
    return (recorded.mtime_s, recorded.size, recorded.ino) == (observed.mtime_s, observed.size, observed.ino)
