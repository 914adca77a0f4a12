"""Faults that real files cannot show to a superuser: denied folders and files, failing stats, placeholders."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any

from bm_gitindex.worktree import placeholders, proof
from bm_gitindex.worktree.tree import Tree
from bm_gitindex.worktree.unproven import Unproven

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

DENIED = PermissionError(errno.EACCES, "Permission denied")


def in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python look at every file, so that it can be told lies about them."""
    monkeypatch.setattr(proof, "native", None)


def deny_folder(monkeypatch: pytest.MonkeyPatch, folder: bytes) -> None:
    """Make one folder impossible to open."""
    in_python(monkeypatch)
    real = Tree.folder

    def denied(self: Tree, path: bytes) -> int:
        if path == folder:
            raise DENIED
        return real(self, path)

    monkeypatch.setattr(Tree, "folder", denied)


def deny_file(monkeypatch: pytest.MonkeyPatch, file: bytes, error: OSError = DENIED) -> None:
    """Make one file impossible to open."""
    real = Tree.open_file

    def denied(self: Tree, path: bytes) -> int:
        if path == file:
            raise error
        return real(self, path)

    monkeypatch.setattr(Tree, "open_file", denied)


def fail_listing(monkeypatch: pytest.MonkeyPatch, folder: bytes) -> None:
    """Make one folder, given by its absolute path, fail while it is listed."""
    in_python(monkeypatch)
    real = os.scandir
    inode = os.stat(folder).st_ino

    def failing(fd: int) -> object:
        if os.fstat(fd).st_ino == inode:
            raise OSError(errno.EIO, "Input/output error")
        return real(fd)

    monkeypatch.setattr(os, "scandir", failing)


class Entry:
    """A directory entry of which some calls fail or answer otherwise."""

    def __init__(self, real: os.DirEntry[str], **overrides: Callable[..., Any]) -> None:
        self._real = real
        self._overrides = overrides

    @property
    def name(self) -> str:
        return self._real.name

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        override = self._overrides.get("is_dir")
        return bool(override() if override else self._real.is_dir(follow_symlinks=follow_symlinks))

    def stat(self, *, follow_symlinks: bool = True) -> Any:
        override = self._overrides.get("stat")
        return override() if override else self._real.stat(follow_symlinks=follow_symlinks)


def override_entry(monkeypatch: pytest.MonkeyPatch, name: str, **overrides: Callable[..., Any]) -> None:
    """Let the entries of this name, in any folder, answer otherwise."""
    in_python(monkeypatch)
    real = os.scandir

    @contextlib.contextmanager
    def scandir(fd: int) -> Iterator[list[object]]:
        with real(fd) as entries:
            yield [Entry(entry, **overrides) if entry.name == name else entry for entry in entries]

    monkeypatch.setattr(os, "scandir", scandir)
    for method, override in overrides.items():
        monkeypatch.setattr(Unproven, method, _overridden(getattr(Unproven, method), name, override))


def _overridden(real: Callable[..., Any], name: str, override: Callable[..., Any]) -> Callable[..., Any]:
    def call(entry: Unproven, **arguments: Any) -> Any:
        return override() if entry.name == name else real(entry, **arguments)

    return call


def fail_entry_stat(monkeypatch: pytest.MonkeyPatch, name: str, error: OSError) -> None:
    """Make the lstat of a directory entry fail."""
    override_entry(monkeypatch, name, stat=raising(error))


def raising(error: BaseException) -> Callable[..., Any]:
    def call(*_: object, **__: object) -> Any:
        raise error

    return call


def mark_placeholders(monkeypatch: pytest.MonkeyPatch, *paths: bytes) -> None:
    """Let a cloud service have the content of these files and folders, given by their absolute paths."""
    inodes = {os.lstat(path).st_ino for path in paths}
    monkeypatch.setattr(placeholders, "HAS_PLACEHOLDERS", True)
    monkeypatch.setattr(placeholders, "is_placeholder", lambda st: st.st_ino in inodes)
