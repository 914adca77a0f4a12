"""Which stat fields mean something, by the type of the file system that a folder lies on."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from bm_gitindex.index.stat import Trust, low32

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bm_gitindex.options import Options

_MOUNT_TABLE = "/proc/self/mountinfo"

LOCAL_TYPES = frozenset(
    [
        "apfs",
        "bcachefs",
        "btrfs",
        "erofs",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "hfs",
        "jfs",
        "nilfs2",
        "overlay",
        "reiserfs",
        "tmpfs",
        "ufs",
        "xfs",
        "zfs",
    ]
)
"""File systems of which inode, ctime and the executable bit are the kernel's own. On any other, network and FUSE file
systems and FAT among them, these come from somewhere else, or do not exist."""


def trust_for(root: Path, options: Options) -> Trust:
    """Return what can be trusted of a file's stat below `root`: what the options say, else by file-system type."""
    if options.trust_ctime is None or options.trust_filemode is None or options.check_stat is None:
        is_trusted = is_local(root)
    else:
        is_trusted = False
    return Trust(
        ctime=is_trusted if options.trust_ctime is None else options.trust_ctime,
        filemode=is_trusted if options.trust_filemode is None else options.trust_filemode,
        check_stat=options.check_stat or ("default" if is_trusted else "minimal"),
    )


def is_local(path: Path) -> bool:
    """Return whether a path lies on a file system whose inodes and times are the kernel's own."""
    return filesystem_type(path) in LOCAL_TYPES


def devices_of_one_clock(state: Path, root: Path) -> frozenset[int]:
    """Return the devices, low 32 bits, whose times can be compared with those of files in the state folder.

    That is the folder's own. The root's may be another one; all local file systems take their times from the kernel's
    one clock, a server has a clock of its own.
    """
    devices = {low32(os.stat(state).st_dev)}
    if all(filesystem_type(path) in LOCAL_TYPES for path in (state, root)):
        with suppress(OSError):  # it has just gone: whoever looks at it next will say so
            devices.add(low32(os.stat(root).st_dev))
    return frozenset(devices)


def filesystem_type(path: Path) -> str:
    """Return the name of the file system that a path lies on, such as "ext4"; empty where it cannot be told."""
    if sys.platform == "darwin":
        return _statfs_type(path)
    try:
        with open(_MOUNT_TABLE, "rb") as file:
            return type_from_mount_table(file.read(), os.fsencode(os.path.realpath(path)))
    except OSError:
        return ""


def mounts_within(path: Path) -> tuple[bytes, ...]:
    """Return what is mounted on a folder or below it, a line each; nothing where the system does not tell."""
    try:
        with open(_MOUNT_TABLE, "rb") as file:
            return mounts_in_mount_table(file.read(), os.fsencode(os.path.realpath(path)))
    except OSError:
        return ()


def mounts_in_mount_table(table: bytes, path: bytes) -> tuple[bytes, ...]:
    """Return the lines of /proc/self/mountinfo (proc(5)) that are about `path`, or something below it."""
    folder = path.rstrip(b"/") + b"/"
    return tuple(
        line for line, mount_point, _ in _mounts(table) if (mount_point.rstrip(b"/") + b"/").startswith(folder)
    )


def type_from_mount_table(table: bytes, path: bytes) -> str:
    """Return the type of the innermost mount that holds `path`, given the text of /proc/self/mountinfo (proc(5))."""
    best_length, best_type = -1, b""
    for _, mount_point, type_ in _mounts(table):
        prefix = mount_point.rstrip(b"/") + b"/"
        # Of two mounts on one point the later one hides the earlier.
        if (path + b"/").startswith(prefix) and len(prefix) >= best_length:
            best_length, best_type = len(prefix), type_
    return best_type.decode("ascii", "replace")


def _mounts(table: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield line, mount point and type of each mount."""
    for line in table.splitlines():
        mount, separator, source = line.partition(b" - ")
        fields = mount.split(b" ")
        if separator and len(fields) >= 5:
            yield line, _unescaped(fields[4]), source.split(b" ")[0]


def _unescaped(field: bytes) -> bytes:
    """Undo the octal escapes of space, tab, newline and backslash."""
    for escape, byte in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(escape, byte)
    return field


def _statfs_type(path: Path) -> str:
    """Return `f_fstypename` of statfs(2) on macOS, which Python does not expose."""
    # Imported here: needed on one system only.
    import ctypes

    libc = ctypes.CDLL(None)
    statfs = getattr(libc, "statfs$INODE64", None) or libc.statfs
    buffer = ctypes.create_string_buffer(4096)
    if statfs(os.fsencode(path), buffer) != 0:
        return ""
    return buffer.raw[72:88].partition(b"\0")[0].decode("ascii", "replace")
