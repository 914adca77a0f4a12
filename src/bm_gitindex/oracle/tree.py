"""The files below the root, listed and read for `verify` alone.

Shared with a sync are the rules of what is left out and of what kind a file is. A folder is opened name by name from
the root, and no symbolic link is followed: `os.walk` would go through whatever link is swapped in while it is under
way, and cannot reach paths longer than the system's limit, which a sync can.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from hashlib import sha1
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from dulwich.objects import Blob

from bm_gitindex.ignore import IgnoreRules, TooManyRulesError
from bm_gitindex.rules import GITIGNORE, Classifier, Kind, icloud_stub_target, is_git_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bm_gitindex.options import Options

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: a pipe may stand in a file's place
_OPEN_FOLDERS = 32
_CHUNK_BYTES = 64 * 1024
_SAMPLE_BYTES = 64 * 1024
_NOT_LOCAL_FLAGS = 0x4000_0000  # SF_DATALESS, macOS: reading would fetch the content from the cloud
_NOT_LOCAL_ATTRIBUTES = 0x0044_0000  # FILE_ATTRIBUTE_RECALL_ON_OPEN and _ON_DATA_ACCESS, Windows


class FoundFile(NamedTuple):
    """A regular file as it is now."""

    path: bytes
    kind: Kind
    size_bytes: int
    mtime_ns: int
    content_id: str
    """What its index entry should say, in hexadecimal digits."""
    data: bytes | None
    """Content of a note that is within its bound."""


class TreeReader:
    """Reads every file that a full sync should know."""

    def __init__(self, root: Path, options: Options) -> None:
        self.unread: set[bytes] = set()
        """Files and folders that could not be looked at, once `files` is through."""
        self.read_paths: set[bytes] = set()
        """Files that were read, once `files` is through."""
        self._root = root
        self._options = options
        self._classifier = Classifier(options)
        self._open: list[tuple[bytes, int]] = []
        """Folders on the way to the last one, with their descriptors."""

    def files(self) -> Iterator[FoundFile]:
        """Yield each file, read; what cannot be read is left out and noted. Call it once."""
        try:
            self._open.append((b"", os.open(self._root, _FOLDER)))
        except OSError:
            self.unread.add(b"")
            return
        try:
            yield from self._files()
        finally:
            self._close_all()

    def _files(self) -> Iterator[FoundFile]:
        folders = [(b"", IgnoreRules(self._options.ignore, self._options.ignore_max_bytes))]
        while folders:
            folder, outer_rules = folders.pop()
            prefix = folder + b"/" if folder else b""
            try:
                fd = self._opened(folder)
                rules = _with_own_rules(fd, prefix, outer_rules)
                for name, st in self._entries(fd, prefix, rules):
                    if stat.S_ISDIR(st.st_mode):
                        folders.append((prefix + name, rules))
                    elif stat.S_ISREG(st.st_mode):
                        yield from self._read(fd, prefix + name, st)
            except OSError:
                self.unread.add(folder)

    def _opened(self, folder: bytes) -> int:
        """Return a descriptor, good until the next call. Raises OSError.

        The root is opened once; of the folders below it the nearest above are kept open too, or a deep tree would be
        gone down from its root for each folder.
        """
        while len(self._open) > 1 and not _is_at_or_below(folder, self._open[-1][0]):
            os.close(self._open.pop()[1])
        place, fd = self._open[-1]
        for name in folder[len(place) :].split(b"/"):
            if name:
                place = place + b"/" + name if place else name
                fd = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
                self._open.append((place, fd))
                self._close_farthest()
        return fd

    def _close_farthest(self) -> None:
        """Close the folders that are the farthest up, the root left out."""
        while len(self._open) > _OPEN_FOLDERS:
            os.close(self._open.pop(1)[1])

    def _close_all(self) -> None:
        while self._open:
            os.close(self._open.pop()[1])

    def _entries(self, fd: int, prefix: bytes, rules: IgnoreRules) -> Iterator[tuple[bytes, os.stat_result]]:
        names = set(map(os.fsencode, os.listdir(fd)))
        for name in names:
            target = icloud_stub_target(name)
            if target is not None:
                if target not in names and not self._classifier.is_left_out(target):
                    self.unread.add(prefix + target)
                continue
            if self._classifier.is_left_out(name) or is_git_folder(name):
                continue
            path = prefix + name
            if self._classifier.is_too_long(path):
                continue
            try:
                st = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except OSError:
                self.unread.add(path)
                continue
            if rules.is_ignored(path + b"/" if stat.S_ISDIR(st.st_mode) else path):
                continue
            if _is_elsewhere(st):
                self.unread.add(path)
            else:
                yield name, st

    def _read(self, fd: int, path: bytes, st: os.stat_result) -> Iterator[FoundFile]:
        kind = self._classifier.kind(path, st.st_size)
        try:
            if kind is Kind.STAT_ONLY:
                pointer = b"bm-gitindex stat-only v1\nsize %d\nmtime_ns %d\n" % (st.st_size, st.st_mtime_ns)
                found = FoundFile(path, kind, st.st_size, st.st_mtime_ns, _blob_id(pointer), None)
            else:
                found = self._opened_and_read(fd, path, kind)
        except OSError:
            self.unread.add(path)
        else:
            self.read_paths.add(path)
            yield found

    def _opened_and_read(self, fd: int, path: bytes, kind: Kind) -> FoundFile:
        with _opened_file(fd, path.rpartition(b"/")[2]) as file:
            st = os.fstat(file.fileno())
            data = None
            if kind is Kind.NOTE and st.st_size <= self._options.bounds.note_max_bytes:
                data = file.read(st.st_size)
                content_id = _blob_id(data)
            elif kind is Kind.SAMPLE:
                content_id = _sample_id(file, st.st_size)
            else:
                content_id = _streamed_id(file, st.st_size)
        return FoundFile(path, kind, st.st_size, st.st_mtime_ns, content_id, data)


@contextmanager
def _opened_file(folder_fd: int, name: bytes) -> Iterator[BinaryIO]:
    fd = os.open(name, _FILE, dir_fd=folder_fd)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError("no regular file any more")
        with os.fdopen(fd, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(fd)


def _with_own_rules(fd: int, prefix: bytes, rules: IgnoreRules) -> IgnoreRules:
    """Return the rules with those of the folder's `.gitignore`; a link, or one that cannot be had, rules nothing."""
    try:
        with _opened_file(fd, GITIGNORE) as file:
            return rules.with_gitignore(prefix, file.read(rules.free_bytes + 1))
    except (OSError, TooManyRulesError):
        return rules


def _is_at_or_below(path: bytes, folder: bytes) -> bool:
    return not folder or path == folder or path.startswith(folder + b"/")


def _is_elsewhere(st: os.stat_result) -> bool:
    """Return whether a cloud service holds the content, and would have to fetch it."""
    flags: int = getattr(st, "st_flags", 0)
    attributes: int = getattr(st, "st_file_attributes", 0)
    return bool(flags & _NOT_LOCAL_FLAGS or attributes & _NOT_LOCAL_ATTRIBUTES)


def _blob_id(data: bytes) -> str:
    return Blob.from_string(data).id.decode()


def _streamed_id(file: BinaryIO, size_bytes: int) -> str:
    digest = sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
    while size_bytes > 0 and (chunk := file.read(min(size_bytes, _CHUNK_BYTES))):  # it may grow without an end
        digest.update(chunk)
        size_bytes -= len(chunk)
    return digest.hexdigest()


def _sample_id(file: BinaryIO, size_bytes: int) -> str:
    head = file.read(_SAMPLE_BYTES)
    file.seek(max(size_bytes - _SAMPLE_BYTES, 0))
    ends = head + file.read(_SAMPLE_BYTES)
    return _blob_id(b"bm-gitindex sample v1\nsize %d\nends %s\n" % (size_bytes, _blob_id(ends).encode()))
