"""Changes to a tree in the middle of a run, each at one exact step of it."""

from __future__ import annotations

import os
from threading import RLock
from typing import TYPE_CHECKING, Any, Self

from support import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

HAS_DESCRIPTOR_PATHS = os.path.exists("/proc/self/fd")
"""Whether the path that a descriptor leads to can be told, without which no call can be placed."""

_ENDLESS = 5_000
_PLAIN = ("stat", "lstat", "fstat", "read", "pread", "listdir")


class Interposer:
    """Stands between a run and the system: counts its calls on the user's files, and lets a change come before one.

    Calls on the state folder are not counted, and neither are those of the change itself.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.calls: list[str] = []
        """What was called on which path, in order."""
        self.opened: list[bytes] = []
        """Where each descriptor that was opened really leads."""
        self.before_each: Callable[[], object] | None = None
        """Called before each call after the change: what goes on for ever."""
        self._root = os.fsencode(os.path.realpath(root))
        self._at = -1
        self._change: Callable[[Interposer], object] | None = None
        self._is_changing = False
        self._lock = RLock()
        self._real = {
            name: getattr(os, name) for name in ("open", "stat", "lstat", "fstat", "read", "pread", "listdir")
        }
        self._real |= {name: getattr(os, name) for name in ("scandir", "fdopen")}
        faults.in_python(monkeypatch)
        for name in ("stat", "lstat", "fstat", "read", "pread", "listdir"):
            monkeypatch.setattr(os, name, self._counted(name))
        monkeypatch.setattr(os, "open", self._open)
        monkeypatch.setattr(os, "scandir", self._scandir)
        monkeypatch.setattr(os, "fdopen", self._fdopen)

    def change_before(self, number: int, change: Callable[[Interposer], object]) -> None:
        """Let `change` happen just before the call of this number, the first being 0."""
        self._at = number
        self._change = change

    @property
    def has_changed(self) -> bool:
        return self._at < len(self.calls)

    def note(self, name: str, target: Any, dir_fd: int | None = None) -> None:
        with self._lock:
            if self._is_changing:
                return
            path = self._below_root(target, dir_fd)
            if path is None:
                return
            number = len(self.calls)
            self.calls.append(f"{name} {os.fsdecode(path) or '.'}")
            assert number < _ENDLESS, "a run without an end"
            self._is_changing = True
            try:
                if number == self._at and self._change is not None:
                    self._change(self)
                elif number > self._at >= 0 and self.before_each is not None:
                    self.before_each()
            finally:
                self._is_changing = False

    def _below_root(self, target: Any, dir_fd: int | None) -> bytes | None:
        """Return the path of a call relative to the root; None where it is not about one of the user's files."""
        try:
            if isinstance(target, int):
                path = os.readlink(b"/proc/self/fd/%d" % target)
            else:
                start = os.getcwdb() if dir_fd is None else os.readlink(b"/proc/self/fd/%d" % dir_fd)
                path = os.path.normpath(os.path.join(start, os.fsencode(target)))
        except (OSError, TypeError):
            return None
        if path != self._root and not path.startswith(self._root + b"/"):
            return None
        relative = path[len(self._root) + 1 :]
        return None if relative.startswith(b".basic-memory") else relative

    def _counted(self, name: str) -> Callable[..., Any]:
        real = self._real[name]

        def call(target: Any = ".", *args: Any, **kwargs: Any) -> Any:
            self.note(name, target, kwargs.get("dir_fd"))
            return real(target, *args, **kwargs)

        return call

    def _open(self, target: Any, *args: Any, **kwargs: Any) -> int:
        self.note("open", target, kwargs.get("dir_fd"))
        fd: int = self._real["open"](target, *args, **kwargs)
        if not self._is_changing:
            self.opened.append(os.readlink(b"/proc/self/fd/%d" % fd))
        return fd

    def _scandir(self, target: Any = ".") -> Any:
        self.note("scandir", target)
        real = self._real["scandir"](target)
        is_of_others = self._is_changing or self._below_root(target, None) is None
        return real if is_of_others else _Listing(real, self, target)

    def _fdopen(self, fd: int, *args: Any, **kwargs: Any) -> Any:
        file = self._real["fdopen"](fd, *args, **kwargs)
        return file if self._below_root(fd, None) is None else _File(file, self, fd)


class _Listing:
    """A listing that is complete before anything else happens, as it is in one call of getdents."""

    def __init__(self, real: Any, interposer: Interposer, target: Any) -> None:
        with real:
            self._entries = [_Entry(entry, interposer, target) for entry in real]

    def __enter__(self) -> Iterator[_Entry]:
        return iter(self._entries)

    def __exit__(self, *_: object) -> None:
        pass


class _Entry:
    def __init__(self, real: os.DirEntry[str], interposer: Interposer, folder: Any) -> None:
        self.name = real.name
        self._real = real
        self._interposer = interposer
        self._folder = folder

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self._real.is_dir(follow_symlinks=follow_symlinks)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        self._interposer.note("entry.stat", self.name, self._folder if isinstance(self._folder, int) else None)
        return self._real.stat(follow_symlinks=follow_symlinks)


class _File:
    """An open file, each reading of which is a call."""

    def __init__(self, real: Any, interposer: Interposer, fd: int) -> None:
        self._real = real
        self._interposer = interposer
        self._fd = fd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._real.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def read(self, *args: Any) -> Any:
        self._interposer.note("file.read", self._fd)
        return self._real.read(*args)
