"""The files below the root: finding them, and reading the few that have to be read.

Every folder is opened through its parent's descriptor and no symbolic link is ever followed, so that nothing outside
the root is reached, whatever is swapped in while a run is under way. What is opened is opened for reading only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.index.entry import blob_id, sample_id, stat_only_id
from bm_gitindex.rules import GITIGNORE, Kind, Skipped, SkipReason, icloud_stub_target, is_git_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from bm_gitindex.ignore import IgnoreRules
    from bm_gitindex.rules import Classifier

CHUNK_BYTES = 64 * 1024

_SAMPLE_BYTES = 64 * 1024
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a named pipe that took the file's place must not wait for a writer.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_FOLDERS = 32

_MACOS_DATALESS = 0x4000_0000
_WINDOWS_RECALL = 0x0040_0000 | 0x0004_0000  # RECALL_ON_DATA_ACCESS, RECALL_ON_OPEN
_HAS_PLACEHOLDERS = hasattr(os.stat_result, "st_flags") or hasattr(os.stat_result, "st_file_attributes")

_SKIPPED_TYPES = {
    stat.S_IFLNK: SkipReason.SYMLINK,
    stat.S_IFIFO: SkipReason.FIFO,
    stat.S_IFSOCK: SkipReason.SOCKET,
    stat.S_IFCHR: SkipReason.DEVICE,
    stat.S_IFBLK: SkipReason.DEVICE,
}


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


class Listing(NamedTuple):
    """What one folder holds, ignored names left out."""

    prefix: bytes
    """Path of the folder, ending in a slash; empty for the root."""
    dev: int
    is_empty: bool
    """Whether there is nothing in it, ignored names included."""
    files: list[tuple[bytes, os.stat_result]]
    """Regular files: name and lstat."""
    skipped: list[Skipped]


class Scope:
    """The part of the tree that a run looks at: all of it, or some paths and what is below them."""

    def __init__(self, paths: tuple[bytes, ...] = ()) -> None:
        """No paths: the whole tree."""
        self._wanted = frozenset(paths)
        self._ancestors = {b""} | {parent for path in paths for parent in _parents(path)}
        self.is_whole = not paths

    def __contains__(self, path: bytes) -> bool:
        """Whether a path is one of those asked for, or below one of them."""
        if self.is_whole or path in self._wanted:
            return True
        return any(parent in self._wanted for parent in _parents(path))

    def leads_to(self, folder: bytes) -> bool:
        """Return whether a folder is in the scope, or on the way to something in it."""
        return folder in self or folder in self._ancestors


class Tree:
    """The root folder, and the way down from it. A context manager, since it holds folders open."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: OrderedDict[bytes, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def folder(self, path: bytes) -> int:
        """Return a descriptor of a folder, good until the next call. Raises OSError; a symbolic link is one."""
        fd = self._open.get(path)
        if fd is not None:
            self._open.move_to_end(path)
            return fd
        if not path:
            fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            return self._keep(path, fd)
        nearest, names = path, []
        while nearest and nearest not in self._open:
            nearest, _, name = nearest.rpartition(b"/")
            names.append(name)
        fd = self.folder(nearest)
        for name in reversed(names):
            nearest = nearest + b"/" + name if nearest else name
            fd = self._keep(nearest, os.open(name, _FOLDER_FLAGS, dir_fd=fd))
        return fd

    def _keep(self, path: bytes, fd: int) -> int:
        self._open[path] = fd
        if len(self._open) > _OPEN_FOLDERS:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def lstat(self, path: bytes) -> os.stat_result:
        """Return the stat of a path, without following a link anywhere on it. Raises OSError."""
        folder, _, name = path.rpartition(b"/")
        return os.stat(name, dir_fd=self.folder(folder), follow_symlinks=False)

    def open_file(self, path: bytes) -> int:
        """Return a descriptor for reading. Raises OSError."""
        folder, _, name = path.rpartition(b"/")
        return os.open(name, _FILE_FLAGS, dir_fd=self.folder(folder))


def walk(tree: Tree, classifier: Classifier, rules: IgnoreRules, scope: Scope) -> Iterator[Listing]:
    """Yield the folders in the scope, from the root down, each with its files.

    A folder that cannot be read is yielded as a listing without files that says so.
    """
    pending = [(b"", rules)]
    while pending:
        folder, rules = pending.pop()
        prefix = folder + b"/" if folder else b""
        try:
            fd = tree.folder(folder)
            dev = os.fstat(fd).st_dev
            with os.scandir(fd) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield Listing(prefix, 0, is_empty=False, files=[], skipped=[_skipped_for(folder, error)])
            continue
        if any(entry.name == ".gitignore" and not _is_elsewhere(entry) for entry in found):
            rules = _with_gitignore(tree, rules, prefix)
        look = _FolderLook(prefix, classifier, rules, scope)
        for entry in found:
            look.at(entry)
        pending.extend((path, rules) for path in reversed(look.folders))
        yield Listing(prefix, dev, not found, look.files, look.skipped)


class _FolderLook:
    """Sorts the entries of one folder into files, folders to enter, and what is passed over."""

    def __init__(self, prefix: bytes, classifier: Classifier, rules: IgnoreRules, scope: Scope) -> None:
        self.files: list[tuple[bytes, os.stat_result]] = []
        self.folders: list[bytes] = []
        self.skipped: list[Skipped] = []
        self._prefix = prefix
        self._classifier = classifier
        self._rules = rules
        self._scope = scope
        self._is_whole = scope.is_whole

    def at(self, entry: os.DirEntry[str]) -> None:
        name = icloud_stub_target(os.fsencode(entry.name)) or os.fsencode(entry.name)
        path = self._prefix + name
        if not self._is_whole and not self._scope.leads_to(path):
            return
        if self._classifier.is_left_out(name):
            return
        try:
            self._look_at(entry, name)
        except FileNotFoundError:
            return  # gone again
        except OSError as error:
            self.skipped.append(_skipped_for(path, error))

    def _look_at(self, entry: os.DirEntry[str], name: bytes) -> None:
        path = self._prefix + name
        is_folder = entry.is_dir(follow_symlinks=False)
        if self._rules.is_ignored(path + b"/" if is_folder else path):
            return
        if is_git_folder(name):
            self.skipped.append(Skipped(path, SkipReason.NAME))
        elif os.fsencode(entry.name) != name or (is_folder and _is_elsewhere(entry)):
            self.skipped.append(Skipped(path, SkipReason.PLACEHOLDER))
        elif is_folder:
            self.folders.append(path)
        else:
            self._look_at_file(entry, name)

    def _look_at_file(self, entry: os.DirEntry[str], name: bytes) -> None:
        st = entry.stat(follow_symlinks=False)
        reason = _SKIPPED_TYPES.get(stat.S_IFMT(st.st_mode))
        if reason is None and is_placeholder(st):
            reason = SkipReason.PLACEHOLDER
        if reason is None:
            self.files.append((name, st))
        else:
            self.skipped.append(Skipped(self._prefix + name, reason))


def _is_elsewhere(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a placeholder, asking for its stat only where there are such things."""
    return _HAS_PLACEHOLDERS and is_placeholder(entry.stat(follow_symlinks=False))


def is_placeholder(st: object) -> bool:
    """Return whether a stat is that of a file or folder whose content a cloud service would first have to fetch.

    macOS marks it by SF_DATALESS in `st_flags`, Windows by RECALL_ON_DATA_ACCESS in `st_file_attributes`.
    """
    flags: int = getattr(st, "st_flags", 0)
    attributes: int = getattr(st, "st_file_attributes", 0)
    return bool(flags & _MACOS_DATALESS or attributes & _WINDOWS_RECALL)


def read_note(tree: Tree, path: bytes, max_bytes: int) -> Reading:
    """Read a note at once and return its content with its id; one that is larger than `max_bytes` is only hashed.

    Raises ReadError.
    """
    with _OpenFile(tree, path) as file:
        if file.before.st_size > max_bytes:
            return file.hashed()
        return file.content()


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
        raise ReadError(_skipped_for(path, error)) from error
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
            raise ReadError(_skipped_for(path, error)) from error
        try:
            self.before = os.fstat(self._fd)
        except OSError as error:
            os.close(self._fd)
            raise ReadError(_skipped_for(path, error)) from error

    def __enter__(self) -> Self:
        if not stat.S_ISREG(self.before.st_mode):
            os.close(self._fd)
            raise ReadError(Skipped(self._path, SkipReason.UNSTABLE))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._fd)
        if isinstance(error, OSError):
            raise ReadError(_skipped_for(self._path, error)) from error

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
        after = os.fstat(self._fd)
        if _version(after) != _version(self.before):
            raise ReadError(Skipped(self._path, SkipReason.UNSTABLE))


def _version(st: os.stat_result) -> tuple[int, ...]:
    return st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_mode


def _with_gitignore(tree: Tree, rules: IgnoreRules, prefix: bytes) -> IgnoreRules:
    """Return the rules with those of a folder's `.gitignore`; one that is a link, or unreadable, rules nothing."""
    try:
        fd = tree.open_file(prefix + GITIGNORE)
    except OSError:
        return rules
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return rules
        with os.fdopen(os.dup(fd), "rb") as file:
            return rules.with_gitignore(prefix, file.read())
    except OSError:
        return rules
    finally:
        os.close(fd)


def _skipped_for(path: bytes, error: OSError) -> Skipped:
    # Seen a moment ago and now gone, or something else: the next run will tell.
    was_replaced = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
    reason = SkipReason.UNSTABLE if was_replaced else SkipReason.UNREADABLE
    return Skipped(path, reason, error.strerror or str(error))


def _parents(path: bytes) -> Iterator[bytes]:
    """Yield the folders above a path, the nearest first, without the root."""
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path
