"""The folder in which index, lock and database are kept, and which one a project's is."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from bm_gitindex.errors import RootMissingError, StateFolderError
from bm_gitindex.roots import CONFIG_NAME, FOLDER_NAME, nearest_project, never_guessed

SOCKET_NAME = "watch.sock"

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_OTHERS = 0o077
_CHUNK_BYTES = 1024 * 1024
_ANYONES = frozenset({".gitignore", "index.lock"})
_OURS_ALONE = frozenset({"index.own", "entities.db", "project.id", "watch.lock", "watch.log"})
_OURS = _OURS_ALONE | {"index", "lock", CONFIG_NAME}
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class StateFolder:
    """The paths of a project's state. Making one touches nothing."""

    def __init__(self, root: Path, state_dir: str | None = None) -> None:
        """`state_dir` is taken relative to the root; None is `.basic-memory` below it.

        Raises StateFolderError where it would lie among the user's files.
        """
        self.root = root
        self.path = Path(os.path.normpath(root / os.path.expanduser(state_dir or FOLDER_NAME)))
        if self.path.is_relative_to(root) and self.path != root / FOLDER_NAME:
            raise StateFolderError(f"state_dir {self.path} lies inside the project; choose a folder outside of {root}")
        self.index = self.path / "index"
        self.index_lock = self.path / "index.lock"
        self.index_new = self.path / "index.new"
        self.index_owner = self.path / "index.own"
        self.lock = self.path / "lock"
        self.database = self.path / "entities.db"
        self.project_id = self.path / "project.id"
        self.watch_lock = self.path / "watch.lock"
        self.watch_log = self.path / "watch.log"
        self.watch_socket = self.path / SOCKET_NAME
        self.cookies = self.path / "cookies"

    def ensure(self) -> None:
        """Create the folder, for this user alone. Raises StateFolderError where it cannot be, or is not ours."""
        self.check()
        try:
            if self.path.is_dir():
                self._close_to_others()
            else:
                _make_folder(self.path, _FOLDER_MODE, self.root)
                _set_mode(self.path, _FOLDER_MODE)
            ignore_file = self.path / ".gitignore"
            if not ignore_file.exists():
                write_file(ignore_file, b"*\n")
        except OSError as error:
            raise StateFolderError(f"cannot create the state folder {self.path}: {error.strerror}") from error

    def check(self) -> None:
        """Raise StateFolderError where the path is taken by something that this program did not make."""
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise StateFolderError(f"cannot use the state folder {self.path}: {error.strerror}") from error
        if not stat.S_ISDIR(mode):
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "not a folder"
            raise StateFolderError(f"{self.path} is {kind}; remove it, or set state_dir to another folder")
        try:
            names = set(os.listdir(self.path))
        except OSError as error:
            raise StateFolderError(f"cannot read the state folder {self.path}: {error.strerror}") from error
        foreign = {name for name in names if name not in _ANYONES and not name.endswith(".new")}
        if foreign and not self._are_ours(foreign):
            raise StateFolderError(
                f"{self.path} belongs to another program (it holds {min(foreign)!r} and no index); "
                "set state_dir to another folder"
            )

    def _are_ours(self, names: set[str]) -> bool:
        if self.path == self.root / FOLDER_NAME:
            return bool(names & _OURS)
        # Elsewhere, what holds an `index` may be a `.git`; a `lock` alone is left of a first run that was cut short.
        return bool(names & _OURS_ALONE) or names == {"lock"}

    def _close_to_others(self) -> None:
        """Make the folder private, whoever made it; what its owner may not do is left so. Raises OSError."""
        st = self.path.lstat()
        if st.st_mode & _OTHERS and st.st_uid == os.geteuid():
            _set_mode(self.path, stat.S_IMODE(st.st_mode) & ~_OTHERS)


def checked_root(root: str | os.PathLike[str]) -> Path:
    """Return a root folder as an absolute path. Raises RootMissingError where it is not a folder."""
    path = Path(os.path.abspath(os.path.expanduser(root)))
    if not os.fspath(root) or not os.path.isdir(path):
        raise RootMissingError(f"{path} is not a folder; nothing was changed")
    return path


def find_root(start: Path) -> Path:
    """Return the nearest folder from `start` upwards that has an index or a configuration, or else `start` itself.

    Raises StateFolderError where `start` itself is never found in this way (`nearest_project`).
    """
    found = nearest_project(str(start))
    if found is not None:
        return Path(found)
    if str(start) in never_guessed():
        raise StateFolderError(f"{start} is not taken for a project unless it is named: bm-gitindex -C {start} ...")
    return start


def open_state_file(path: Path) -> BinaryIO:
    """Open a file of the state folder for reading.

    Raises OSError; a link in the place of folder or file, or anything but a file, is one.
    """
    # O_NONBLOCK: a named pipe in the file's place must not make anybody wait.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    folder = os.open(path.parent, _FOLDER_FLAGS | os.O_NOFOLLOW)
    try:
        fd = os.open(path.name, flags, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a file")
    return os.fdopen(fd, "rb")


def read_through(path: Path) -> None:
    """Raise StateFolderError unless every byte of a state file can be read."""
    try:
        with open_state_file(path) as file:
            while file.read(_CHUNK_BYTES):
                pass
    except OSError as error:
        raise StateFolderError(
            f"cannot read {path}: {error.strerror}; check the disk, then run the command again"
        ) from error


def check_companions(database: Path) -> None:
    """Raise OSError where SQLite would find anything but a file beside a database: it waits for ever on a pipe."""
    for ending in ("-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(database.with_name(database.name + ending).lstat().st_mode):
                raise OSError(errno.EINVAL, f"{database.name}{ending} is not a file")


def stamp(path: Path) -> tuple[int, ...] | None:
    """Return what tells a state file, which is only ever replaced, from any other; None where there is none.

    Not by ctime: that of a new index changes once more as the lock is released, which it shared its inode with.
    """
    try:
        st = path.lstat()
    except OSError:
        return None
    return st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns


def write_file(path: Path, data: bytes) -> None:
    """Write a small state file durably and in one step: a reader finds the old content or the new. Raises OSError."""
    temporary = _temporary(path)
    fd = _open_temporary(temporary)
    try:
        try:
            restrict(fd)
            os.ftruncate(fd, 0)
            write_all(fd, data)
            os.fsync(fd)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    finally:
        os.close(fd)
    sync_folder(path.parent)


def remove_leftover(path: Path) -> None:
    """Remove what a `write_file` of this path that was killed has left; one that is at work is not disturbed.

    Raises OSError.
    """
    temporary = _temporary(path)
    _remove_what_is_no_file(temporary)
    try:
        fd = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except PermissionError:
        # A kill leaves it so under a umask that takes away everything; whoever is at work has opened it by now.
        temporary.unlink(missing_ok=True)
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(fd, temporary):
            temporary.unlink(missing_ok=True)
    except BlockingIOError:
        return
    finally:
        os.close(fd)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _open_temporary(path: Path) -> int:
    """Return a descriptor of a file that is ours alone until it is closed: whoever writes to it has locked it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        _remove_what_is_no_file(path)
        fd = os.open(path, flags, _FILE_MODE)
        try:
            with suppress(OSError):  # where there are no locks, the state folder's own cannot be had either
                fcntl.flock(fd, fcntl.LOCK_EX)
            # Whoever had the lock before may have renamed or removed the file meanwhile.
            if _is_at(fd, path) and _is_plain(os.fstat(fd)):
                return fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)


def _remove_what_is_no_file(path: Path) -> None:
    """Make room where a link, a pipe, or a second name of a file elsewhere is in the way. Raises OSError."""
    with suppress(FileNotFoundError):
        if not _is_plain(path.lstat()):
            path.unlink()


def _is_plain(st: os.stat_result) -> bool:
    return stat.S_ISREG(st.st_mode) and st.st_nlink <= 1


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


def restrict(fd: int) -> None:
    """Let nobody but its owner use a state file, whatever the umask was when it was made. Raises OSError."""
    st = os.fstat(fd)
    if stat.S_IMODE(st.st_mode) != _FILE_MODE and st.st_uid == os.geteuid():
        with suppress(PermissionError):  # some file systems know no permissions
            os.fchmod(fd, _FILE_MODE)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte; `os.write` may stop short. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(path: Path) -> None:
    """Make what was created and renamed in a folder durable. Raises OSError."""
    fd = os.open(path, _FOLDER_FLAGS)
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network file systems have no such thing, and keep their folders as they keep them.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _set_mode(path: Path, mode: int) -> None:
    """Set a folder's permissions, whatever the umask was; some file systems know none. Raises OSError."""
    with suppress(PermissionError):
        path.chmod(mode)


def _make_folder(path: Path, mode: int, root: Path) -> None:
    """Create a folder, and those above it but for the project's root, durably. Raises OSError."""
    if path.is_dir():
        return
    if path == root:  # it has just gone, and may come back
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    _make_folder(path.parent, 0o777, root)
    path.mkdir(mode, exist_ok=True)
    sync_folder(path.parent)
