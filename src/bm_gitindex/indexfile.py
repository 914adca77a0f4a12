"""The index on disk: reading it whole, and saying what it is worth as evidence."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bm_gitindex.errors import IndexDamagedError, IndexUnsupportedError, StateFolderError
from bm_gitindex.index.codec import decode
from bm_gitindex.index.compare import Baseline
from bm_gitindex.index.entry import ID_LENGTH, Index
from bm_gitindex.index.stat import stored_time
from bm_gitindex.machine import machine_id
from bm_gitindex.statefolder import open_state_file

if TYPE_CHECKING:
    from bm_gitindex.memory import Memory
    from bm_gitindex.statefolder import StateFolder
    from bm_gitindex.worktree.helping import Helping

_MTIME_DIGITS = 10  # of 32 bits


class IndexSnapshot:
    """An index as it was read, and what it is worth."""

    __slots__ = ("baseline", "exists", "index")

    def __init__(self, index: Index, baseline: Baseline, *, exists: bool) -> None:
        self.index = index
        self.baseline = baseline
        self.exists = exists


def read_index(state: StateFolder, memory: Memory | None = None, helping: Helping | None = None) -> IndexSnapshot:
    """Return the index of a project; one that does not exist is empty. It is not read again where `memory` has it.

    It is trusted only if it is intact, and was written by us on this machine: `index.own` says so, and when. `helping`
    begins with one that says so before it is certain.

    Raises IndexDamagedError or IndexUnsupportedError, naming the file, and StateFolderError where it cannot be read.
    """
    try:
        index, timestamp_s = _read_index(state, memory, helping)
    except (FileNotFoundError, NotADirectoryError):
        return IndexSnapshot(Index.empty(), Baseline(0, is_trusted=False), exists=False)
    except OSError as error:
        raise StateFolderError(f"cannot read {state.index}: {error.strerror}") from error
    except IndexDamagedError as error:
        advice = "`bm-gitindex sync` keeps it aside and builds a new one from the files"
        raise IndexDamagedError(f"{state.index} is damaged: {error}; {advice}") from error
    except IndexUnsupportedError as error:
        advice = "or delete the file, and `bm-gitindex sync` builds a new one from the files and the database"
        raise IndexUnsupportedError(f"{state.index}: {error}; {advice}") from error
    return _snapshot(index, timestamp_s, _read_owner(state))


def _read_index(state: StateFolder, memory: Memory | None, helping: Helping | None) -> tuple[Index, int]:
    """Return the index that a file holds, and the second of its mtime. Raises OSError and what `decode` raises."""
    moment = memory.moment() if memory else None
    with open_state_file(state.index) as file:
        before = os.fstat(file.fileno())
        index = memory.recall_index(before) if memory else None
        if index is not None:
            return index, stored_time(before.st_mtime_ns)[0]
        data, after = file.read(), os.fstat(file.fileno())
    if helping:
        timestamp_s = stored_time(after.st_mtime_ns)[0]
        written_s = _written_s(_read_owner(state), data[-ID_LENGTH:])
        if written_s is not None:
            helping.begin(data, min(timestamp_s, written_s))
    index = decode(data)
    if memory and moment:
        memory.keep_index(state.index, before, index, moment)
    return index, stored_time(after.st_mtime_ns)[0]


def snapshot_of(data: bytes, timestamp_s: int, owner: bytes) -> IndexSnapshot:
    """Return the index that a file of these bytes holds, and what it is worth.

    `timestamp_s` is the second of the file's mtime, low 32 bits; `owner` is what `index.own` says. Raises
    IndexDamagedError and IndexUnsupportedError.
    """
    return _snapshot(decode(data), timestamp_s, owner)


def _snapshot(index: Index, timestamp_s: int, owner: bytes) -> IndexSnapshot:
    written_s = _written_s(owner, index.trailer) if index.is_checked else None
    if written_s is None:
        return IndexSnapshot(index, Baseline(timestamp_s, is_trusted=False), exists=True)
    # A copy may be dated later than what it says of the files.
    return IndexSnapshot(index, Baseline(min(timestamp_s, written_s), is_trusted=True), exists=True)


def owner_text(trailer: bytes, timestamp_s: int) -> bytes:
    """Return what `index.own` says of an index that we write on this machine, at T."""
    return _our_mark(trailer) + b"mtime: %d\n" % timestamp_s


def _our_mark(trailer: bytes) -> bytes:
    return f"trailer: {trailer.hex()}\nmachine: {machine_id()}\n".encode()


def _written_s(owner: bytes, trailer: bytes) -> int | None:
    """Return when we wrote the index with this trailer, in seconds; None where `index.own` does not say so."""
    mark, _, number = owner.rpartition(b"mtime: ")
    is_ours = mark == _our_mark(trailer) and number.strip().isdigit()
    return int(number[:_MTIME_DIGITS]) if is_ours else None


def _read_owner(state: StateFolder) -> bytes:
    try:
        with open_state_file(state.index_owner) as file:
            return file.read()
    except OSError:
        return b""
