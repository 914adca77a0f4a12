"""Moments within a sync at which a user may come in between."""

from __future__ import annotations

import errno
import inspect
import os
from typing import TYPE_CHECKING, Any

from bm_gitindex.entities.store import EntityStore
from bm_gitindex.indexlock import IndexLock
from bm_gitindex.worktree.reading import _OpenFile
from bm_gitindex.worktree.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

_NOT_COUNTING = -2
_STEPS = (
    (Tree, "folder"),
    (Tree, "open_file"),
    (_OpenFile, "_check_unchanged"),
    (EntityStore, "known"),
    (EntityStore, "open_tie"),
    (EntityStore, "put"),
    (EntityStore, "remove"),
    (EntityStore, "move"),
    (EntityStore, "resolve_links"),
    (EntityStore, "close_tie"),
    (IndexLock, "commit"),
)
"""Steps of a sync. What is done before one of them happens between it and the one before."""


class Moments:
    """Runs what was asked for when a sync comes to a certain step, and keeps a file from being opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._steps_left = _NOT_COUNTING
        self._awaited = ""
        self._interruption: Callable[[], None] = lambda: None
        self.denied: bytes | None = None
        """A file that cannot be opened."""
        for owner, name in _STEPS:
            monkeypatch.setattr(owner, name, self._interrupted(name, getattr(owner, name)))
        self._deny(monkeypatch)

    def interrupt(self, at: int, interruption: Callable[[], None]) -> None:
        """Run `interruption` before step `at` of the next sync, counted from 0."""
        self._steps_left, self._interruption = at, interruption

    def interrupt_before(self, step: str, interruption: Callable[[], None]) -> None:
        """Run `interruption` before the next sync comes to one of its steps, by name."""
        self._awaited, self._interruption = step, interruption

    def calm(self) -> None:
        """Ask for nothing any more."""
        self._steps_left, self._awaited, self.denied = _NOT_COUNTING, "", None

    def _deny(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real_open = Tree.open_file

        def open_file(tree: Tree, path: bytes) -> int:
            if path == self.denied:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return real_open(tree, path)

        monkeypatch.setattr(Tree, "open_file", open_file)

    def _interrupted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(real):

            async def step(*args: Any, **kwargs: Any) -> Any:
                self._reach(name)
                return await real(*args, **kwargs)

            return step

        def call(*args: Any, **kwargs: Any) -> Any:
            self._reach(name)
            return real(*args, **kwargs)

        return call

    def _reach(self, name: str) -> None:
        self._steps_left = max(self._steps_left - 1, _NOT_COUNTING)
        if self._steps_left == -1 or name == self._awaited:
            self._steps_left, self._awaited = _NOT_COUNTING, ""
            self._interruption()
