"""Reading a file once, in one piece: what is hashed is what its stat belongs to."""

import os
import stat
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.index.entry import blob_id, sample_id, stat_only_id
from bm_gitindex.rules import Kind, Skipped, SkipReason
from bm_gitindex.worktree.tree import Tree, skipped_for

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

CHUNK_BYTES = 64 * 1024

_SAMPLE_BYTES = 64 * 1024


class ReadError(Exception):
    """A file could not be read, or not in one piece; `skipped` says which and why."""

    def __init__(self, skipped: Skipped) -> None:
        super().__init__(skipped)
        self.skipped = skipped


class Reading(NamedTuple):
    """One file, read once: the stat and the content that belong together."""

    stat: os.stat_result
    blob_id: bytes
    data: bytes | None
    """The content where it was asked for; None where it was only hashed."""
    bytes_read: int


def read_note(tree: Tree, path: bytes, max_bytes: int) -> Reading:
    """Read a note at once and return its content with its id; one that is larger than `max_bytes` is only hashed.

    Raises ReadError.
    """
    with _OpenFile(tree, path) as file:
        if file.before.st_size > max_bytes:
            return file.hashed()
        return file.content()


def read_gitignore(tree: Tree, path: bytes, max_bytes: int) -> bytes:
    """Return the content of an ignore file; one that just grew beyond `max_bytes` is not read. Raises ReadError."""
    with _OpenFile(tree, path) as file:
        if file.before.st_size > max_bytes:
            raise ReadError(Skipped(path, SkipReason.UNSTABLE))
        return file.content().data or b""


def hash_file(tree: Tree, path: bytes, kind: Kind) -> Reading:
    """Return the id of a file, read in the way its kind asks for: in chunks, its ends, or not at all.

    Raises ReadError.
    """
    if kind is Kind.STAT_ONLY:
        return _look_at(tree, path)
    with _OpenFile(tree, path) as file:
        return file.sampled() if kind is Kind.SAMPLE else file.hashed()


def _look_at(tree: Tree, path: bytes) -> Reading:
    try:
        st = tree.lstat(path)
    except OSError as error:
        raise ReadError(skipped_for(path, error)) from error
    if not stat.S_ISREG(st.st_mode):
        raise ReadError(Skipped(path, SkipReason.UNSTABLE))
    return Reading(st, stat_only_id(st.st_size, st.st_mtime_ns), None, 0)


class _OpenFile:
    """A regular file that is read between two looks at its stat, which must agree."""

    def __init__(self, tree: Tree, path: bytes) -> None:
        self._path = path
        try:
            self._fd = tree.open_file(path)
        except OSError as error:
            raise ReadError(skipped_for(path, error)) from error
        try:
            self.before = os.fstat(self._fd)
        except OSError as error:
            os.close(self._fd)
            raise ReadError(skipped_for(path, error)) from error

    def __enter__(self) -> "Self":
        if not stat.S_ISREG(self.before.st_mode):
            os.close(self._fd)
            raise ReadError(Skipped(self._path, SkipReason.UNSTABLE))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: "TracebackType | None"
    ) -> None:
        os.close(self._fd)
        if isinstance(error, OSError):
            raise ReadError(skipped_for(self._path, error)) from error

    def content(self) -> Reading:
        data = self._read(self.before.st_size + 1)
        return self._checked(blob_id(data), data, len(data))

    def hashed(self) -> Reading:
        digest = sha1(b"blob %d\0" % self.before.st_size, usedforsecurity=False)
        bytes_read = 0
        while bytes_read <= self.before.st_size and (chunk := os.read(self._fd, CHUNK_BYTES)):
            digest.update(chunk)
            bytes_read += len(chunk)
        return self._checked(digest.digest(), None, bytes_read)

    def sampled(self) -> Reading:
        size = self.before.st_size
        head = os.pread(self._fd, _SAMPLE_BYTES, 0)
        tail = os.pread(self._fd, _SAMPLE_BYTES, max(size - _SAMPLE_BYTES, 0))
        self._check_unchanged()
        return Reading(self.before, sample_id(size, head + tail), None, len(head) + len(tail))

    def _read(self, limit_bytes: int) -> bytes:
        chunks = []
        while limit_bytes > 0 and (chunk := os.read(self._fd, limit_bytes)):
            chunks.append(chunk)
            limit_bytes -= len(chunk)
        return b"".join(chunks)

    def _checked(self, content_id: bytes, data: bytes | None, bytes_read: int) -> Reading:
        if bytes_read != self.before.st_size:
            raise ReadError(Skipped(self._path, SkipReason.UNSTABLE))
        self._check_unchanged()
        return Reading(self.before, content_id, data, bytes_read)

    def _check_unchanged(self) -> None:
        if not is_same_version(self.before, os.fstat(self._fd)):
            raise ReadError(Skipped(self._path, SkipReason.UNSTABLE))


def is_same_version(before: os.stat_result, after: os.stat_result) -> bool:
    """Return whether nothing was done to an open file between two looks at it, as far as its stat tells."""
    return _version(before) == _version(after)


def _version(st: os.stat_result) -> tuple[int, ...]:
    return st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_mode
