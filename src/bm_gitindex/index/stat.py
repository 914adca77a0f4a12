"""The stat fields that a git index keeps of a file, and in which of them two stats differ.

Every field is an unsigned 32-bit integer, the low half where the system has more (gitformat-index(5)). Which of them
are compared follows git's core.trustctime, core.checkStat and core.fileMode (git-config(1)), with two differences:
nanoseconds are always compared unless `check_stat` is minimal, and uid, gid and device never are.
"""

from enum import Flag, auto
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from typing import Protocol

    class SystemStat(Protocol):
        """The part of `os.stat_result` that is looked at; times in whole nanoseconds since the epoch."""

        @property
        def st_mode(self) -> int: ...
        @property
        def st_ino(self) -> int: ...
        @property
        def st_dev(self) -> int: ...
        @property
        def st_uid(self) -> int: ...
        @property
        def st_gid(self) -> int: ...
        @property
        def st_size(self) -> int: ...
        @property
        def st_mtime_ns(self) -> int: ...
        @property
        def st_ctime_ns(self) -> int: ...


MODE_REGULAR = 0o100644
MODE_EXECUTABLE = 0o100755

_MASK = 0xFFFF_FFFF
_S_IFMT = 0o170000
_S_IFREG = 0o100000
_S_IXUSR = 0o000100
_NS_PER_S = 1_000_000_000
_FOUR_GIB_STORED = 0x8000_0000


class StatData(NamedTuple):
    """The stat fields in the order in which the index stores them."""

    ctime_s: int
    ctime_ns: int
    mtime_s: int
    mtime_ns: int
    """The part below a second, in nanoseconds, as in the index."""
    dev: int
    ino: int
    mode: int
    uid: int
    gid: int
    size: int


class Trust(NamedTuple):
    """Which fields mean something on the file system at hand."""

    ctime: bool = True
    """ctime and inode say something about the file."""
    filemode: bool = True
    """The owner's executable bit is the user's."""
    check_stat: Literal["default", "minimal"] = "default"
    """`minimal`: of the times and the inode, only the whole seconds of mtime are compared."""

    @property
    def compares_ctime(self) -> bool:
        """Whether ctime and inode take part in a comparison, and ctime decides what is racy."""
        return self.ctime and self.check_stat == "default"


class StatChange(Flag):
    """The fields in which two stats differ."""

    NONE = 0
    MTIME = auto()
    CTIME = auto()
    INODE = auto()
    SIZE = auto()
    TYPE = auto()
    MODE = auto()


def low32(value: int) -> int:
    """Return the part of a number that an index has room for."""
    return value & _MASK


def stored_time(time_ns: int) -> tuple[int, int]:
    """Return a time as the index stores it: second, low 32 bits, and nanosecond."""
    return time_ns // _NS_PER_S & _MASK, time_ns % _NS_PER_S


def stored_size(size_bytes: int) -> int:
    """Return the size as the index stores it: the low 32 bits.

    A multiple of 4 GiB is stored as 0x80000000, since 0 would mean "look again" (git 2.43, munge_st_size).
    """
    low = size_bytes & _MASK
    return _FOUR_GIB_STORED if low == 0 and size_bytes else low


def entry_mode(st_mode: int) -> int:
    """Return the mode that git gives a regular file: only the owner's executable bit counts."""
    return MODE_EXECUTABLE if st_mode & _S_IXUSR else MODE_REGULAR


def is_regular(st_mode: int) -> bool:
    """Return whether a mode, the system's or an entry's, is that of a regular file."""
    return st_mode & _S_IFMT == _S_IFREG


def stat_data(st: "SystemStat") -> StatData:
    """Return the fields of a regular file's stat, cut to the width in which the index stores them."""
    ctime_ns = st.st_ctime_ns
    mtime_ns = st.st_mtime_ns
    size = st.st_size
    return StatData(
        ctime_ns // _NS_PER_S & _MASK,
        ctime_ns % _NS_PER_S,
        mtime_ns // _NS_PER_S & _MASK,
        mtime_ns % _NS_PER_S,
        st.st_dev & _MASK,
        st.st_ino & _MASK,
        MODE_EXECUTABLE if st.st_mode & _S_IXUSR else MODE_REGULAR,
        st.st_uid & _MASK,
        st.st_gid & _MASK,
        size if 0 < size <= _MASK else stored_size(size),
    )


def stat_changes(recorded: StatData, observed: StatData, trust: Trust) -> StatChange:
    """Return the fields in which two stats differ, among those that `trust` lets count.

    uid, gid and device are stored for git's sake and not compared: a backup that is restored under another user, or a
    device that is numbered anew at boot, says nothing about the content.
    """
    changes = StatChange.NONE
    if recorded.mtime_s != observed.mtime_s:
        changes |= StatChange.MTIME
    if recorded.size != observed.size:
        changes |= StatChange.SIZE
    if recorded.mode & _S_IFMT != observed.mode & _S_IFMT:
        changes |= StatChange.TYPE
    if trust.filemode and (recorded.mode ^ observed.mode) & _S_IXUSR:
        changes |= StatChange.MODE
    if trust.check_stat == "default" and recorded.mtime_ns != observed.mtime_ns:
        changes |= StatChange.MTIME
    if trust.compares_ctime:
        if (recorded.ctime_s, recorded.ctime_ns) != (observed.ctime_s, observed.ctime_ns):
            changes |= StatChange.CTIME
        if recorded.ino != observed.ino:
            changes |= StatChange.INODE
    return changes
