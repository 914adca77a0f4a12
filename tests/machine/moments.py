"""Moments within a sync at which a user may come in between."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from bm_gitindex.entities.store import EntityStore
from bm_gitindex.indexlock import IndexLock
from bm_gitindex.worktree.reading import _OpenFile
from bm_gitindex.worktree.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

_STEPS = (
    (Tree, "folder"),
    (Tree, "open_file"),
    (_OpenFile, "_check_unchanged"),
    (EntityStore, "known"),
    (EntityStore, "open_tie"),
    (EntityStore, "put"),
    (EntityStore, "remove"),
    (EntityStore, "move"),
    (EntityStore, "close_tie"),
    (IndexLock, "commit"),
)
"""Steps of a sync. What is done before one of them happens between it and the one before."""


class Moments:
    """Runs what was asked for when a sync comes to a certain step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left = -1
        self._interruption: Callable[[], None] = lambda: None
        for owner, name in _STEPS:
            monkeypatch.setattr(owner, name, self._interrupted(getattr(owner, name)))

    def interrupt(self, at: int, interruption: Callable[[], None]) -> None:
        """Run `interruption` before step `at` of the next sync, counted from 0."""
        self._left, self._interruption = at, interruption

    def calm(self) -> bool:
        """Ask for nothing any more; return whether it came to it."""
        came, self._left = self._left < 0, -1
        return came

    def _interrupted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(real):

            async def step(*args: Any, **kwargs: Any) -> Any:
                self._reach()
                return await real(*args, **kwargs)

            return step

        def call(*args: Any, **kwargs: Any) -> Any:
            self._reach()
            return real(*args, **kwargs)

        return call

    def _reach(self) -> None:
        if self._left >= 0:
            self._left -= 1
            if self._left < 0:
                self._interruption()
