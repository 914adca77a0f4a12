"""What of the things that are told of is worth a look: not what is left out everywhere, or was ignored before."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from bm_gitindex.rules import GITIGNORE, Classifier
from bm_gitindex.worktree.walk import parents

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bm_gitindex.options import Options

_REMEMBERED = 1_000


class Hearsay:
    """Judges paths by what the options say, and by what came of looking at them before."""

    def __init__(self, options: Options) -> None:
        self._classifier = Classifier(options)
        self._ignored: OrderedDict[bytes, None] = OrderedDict()

    def changes_rules(self, paths: Iterable[bytes]) -> bool:
        """Return whether rules may have changed by which files are ignored; what was ignored before may be none now."""
        changed = any(map(is_of_rules, paths))
        if changed:
            self._ignored.clear()
        return changed

    def worth_a_look(self, paths: Iterable[bytes]) -> frozenset[bytes]:
        """Return those of some paths that may be files of the project, or folders of it."""
        return frozenset(path for path in paths if path not in self._ignored and not self._is_left_out(path))

    def is_ignored(self, paths: Iterable[bytes]) -> None:
        """Take note of files that are there, and are none of the project's: a log of 1,000 of them is kept."""
        for path in paths:
            self._ignored[path] = None
            if len(self._ignored) > _REMEMBERED:
                self._ignored.popitem(last=False)

    def forget(self) -> None:
        """Take what was ignored for worth a look again."""
        self._ignored.clear()

    def forget_below(self, folders: Iterable[bytes]) -> None:
        """Do so with these folders and what is in them: they may be others now, with other rules."""
        changed = frozenset(folders)
        if changed:
            for path in [path for path in self._ignored if path in changed or not changed.isdisjoint(parents(path))]:
                del self._ignored[path]

    def _is_left_out(self, path: bytes) -> bool:
        return bool(path) and any(self._classifier.is_left_out(name) for name in path.split(b"/"))


def is_of_rules(path: bytes) -> bool:
    """Return whether it is decided by this file which others are ignored."""
    return path.rpartition(b"/")[2] == GITIGNORE
