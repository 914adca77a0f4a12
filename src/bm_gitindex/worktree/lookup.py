"""Asking for one file by its name, where a listing has not shown it.

A listing is no proof of absence: whether it has a name that is added or removed meanwhile is unspecified (readdir in
POSIX), and an editor that renames a new version over a note does both.
"""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.rules import Skipped, SkipReason, is_git_folder
from bm_gitindex.worktree import placeholders
from bm_gitindex.worktree.tree import skipped_for
from bm_gitindex.worktree.walk import with_gitignore

if TYPE_CHECKING:
    import os

    from bm_gitindex.ignore import IgnoreRules
    from bm_gitindex.rules import Classifier
    from bm_gitindex.worktree.tree import Tree

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Answer(NamedTuple):
    """What asking for a path came to."""

    st: os.stat_result | None = None
    """Of a file that counts; None: there is none."""
    skipped: Skipped | None = None
    """Why that cannot be told."""


class Lookup:
    """Asks for files by their names. Rules are read once for each folder, so it is good for one run."""

    def __init__(self, tree: Tree, classifier: Classifier, rules: IgnoreRules) -> None:
        self._tree = tree
        self._classifier = classifier
        self._rules = {b"": self._rules_of(b"", rules)}

    def ask(self, path: bytes) -> Answer:
        """Return whether a regular file is there, and not left out by name or rule."""
        try:
            st = self._tree.lstat(path)
        except OSError as error:
            return Answer() if error.errno in _NOT_THERE else Answer(skipped=skipped_for(path, error))
        if not stat.S_ISREG(st.st_mode) or placeholders.is_placeholder(st) or self._is_left_out(path):
            return Answer()
        is_ignored, unread = self._judge(path)
        if not is_ignored:
            return Answer(st)
        return Answer(skipped=unread and Skipped(path, SkipReason.UNSTABLE, f"{unread.why} (its ignore file)"))

    def _is_left_out(self, path: bytes) -> bool:
        if self._classifier.is_too_long(path):
            return True
        return any(self._classifier.is_left_out(name) or is_git_folder(name) for name in path.split(b"/"))

    def _judge(self, path: bytes) -> tuple[bool, Skipped | None]:
        """Return whether the rules leave a path out, and the ignore file that could not be asked, if any."""
        parts = path.split(b"/")
        rules, unread = self._rules[b""]
        for length in range(1, len(parts)):
            folder = b"/".join(parts[:length])
            if rules.is_ignored(folder + b"/"):
                return True, unread
            if folder not in self._rules:
                self._rules[folder] = self._rules_of(folder + b"/", rules)
            rules, below = self._rules[folder]
            unread = unread or below
        return rules.is_ignored(path), unread

    def _rules_of(self, prefix: bytes, rules: IgnoreRules) -> tuple[IgnoreRules, Skipped | None]:
        skipped: list[Skipped] = []
        rules = with_gitignore(self._tree, rules, prefix, skipped)
        unread = (one for one in skipped if one.reason.keeps_known and one.reason is not SkipReason.VANISHED)
        return rules, next(unread, None)
