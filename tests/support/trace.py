"""What strace wrote, as values: the calls of all threads, in order, with the paths that they were about."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


WRITING = _names("write pwrite64 writev pwritev pwritev2 ftruncate truncate fallocate copy_file_range sendfile splice")
SYNCING = _names("fsync fdatasync sync_file_range")
RENAMING = _names("rename renameat renameat2")
LINKING = _names("link linkat symlink symlinkat")
UNLINKING = _names("unlink unlinkat rmdir")
MAKING = _names("mkdir mkdirat mknod mknodat creat")
OPENING = _names("open openat openat2")
DURABLE = WRITING | SYNCING | RENAMING | LINKING | UNLINKING | MAKING | OPENING
"""Calls that change what is on the disk, or open what may change it."""
HARMLESS = _names(
    "read pread64 readv preadv stat lstat fstat newfstatat statx statfs fstatfs lseek fcntl flock close dup dup2 dup3 "
    "mmap munmap access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd chdir fchdir fadvise64 "
    "ioctl poll"
)
"""Calls that change nothing. mmap is one of them, since the one thing that SQLite writes through it is `-shm`, which is
made anew after a crash."""
ABOUT_ACCESS = _names("chmod fchmod fchmodat chown fchown fchownat lchown utimensat futimesat")
"""Calls that change who may use a file, or its times, and no content."""

_WITH_DATA = WRITING | _names("read pread64 readv preadv")
"""Calls whose texts are no paths."""
_LINE = re.compile(r"(?P<thread>\d+) +(?P<rest>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)")
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")
_RESULT = re.compile(r"\) += (?P<result>-?\d+|0x[0-9a-f]+|\?)(?P<after>[^\"]*)$")
_TOKEN = re.compile(r'(?P<fd>\d+|AT_FDCWD)<(?P<at>[^>]*)>|"(?P<text>(?:[^"\\]|\\.)*)"')
_UNFINISHED = " <unfinished ...>"


@dataclass(slots=True)
class Call:
    """One system call."""

    name: str
    thread: int
    paths: tuple[str, ...]
    """Absolute; two of a rename or a link, else one."""
    arguments: str
    began: int
    """Number of the line in the trace where the call was made, and `ended` of that where it was done."""
    ended: int
    result: str = "?"
    """`?`: the process was killed in it."""
    is_injected: bool = False

    @property
    def words(self) -> list[str]:
        """Return what strace's `-P` compares: names as they were given, and then the paths of descriptors."""
        tokens = list(_TOKEN.finditer(self.arguments.partition(") = ")[0]))
        if self.name in _WITH_DATA:
            return [tokens[0]["at"]]
        named = [token["text"] for token in tokens if token["text"] is not None]
        return named + [token["at"] for token in tokens if token["fd"] not in (None, "AT_FDCWD")]

    @property
    def has_failed(self) -> bool:
        return self.result.startswith("-") or self.result == "?"

    @property
    def is_writable_opening(self) -> bool:
        return self.name in OPENING and any(flag in self.arguments for flag in ("O_WRONLY", "O_RDWR", "O_CREAT"))


def parse(lines: Iterable[str]) -> list[Call]:
    """Return the calls of a trace made with `-f -y`, in the order in which they began."""
    calls: list[Call] = []
    unfinished: dict[int, Call] = {}
    for number, line in enumerate(lines):
        matched = _LINE.match(line)
        if matched is None:
            continue
        thread, rest = int(matched["thread"]), matched["rest"].rstrip("\n")
        resumed = _RESUMED.match(rest)
        if resumed is not None:
            call = unfinished.pop(thread, None)
            if call is not None:
                call.ended = number
                _note_result(call, resumed["rest"])
            continue
        begun = _CALL.match(rest)
        if begun is None:
            continue  # a signal, or an exit
        arguments = begun["arguments"]
        call = Call(begun["name"], thread, _paths(begun["name"], arguments), arguments, number, number)
        calls.append(call)
        if arguments.endswith(_UNFINISHED):
            unfinished[thread] = call
        else:
            _note_result(call, arguments)
    return calls


def below(calls: Iterable[Call], *places: str) -> list[Call]:
    """Return the calls about one of these paths, or what is below one."""
    return [call for call in calls if any(_is_within(path, place) for path in call.paths for place in places)]


def _is_within(path: str, place: str) -> bool:
    return path == place or path.startswith(place + "/")


def _note_result(call: Call, text: str) -> None:
    found = _RESULT.search(text)
    if found is not None:
        call.result = found["result"]
        call.is_injected = "INJECTED" in found["after"]


def _paths(name: str, arguments: str) -> tuple[str, ...]:
    """Return the paths in the arguments: names, below the descriptor before them, or else that of a descriptor."""
    descriptor, paths = "", []
    for token in _TOKEN.finditer(arguments.partition(") = ")[0]):
        if token["text"] is None:
            descriptor = token["at"]
        elif name not in _WITH_DATA:
            paths.append(os.path.normpath(os.path.join(descriptor, token["text"])))
        if name in _WITH_DATA:
            break
    return tuple(paths) or ((descriptor,) if descriptor else ())
