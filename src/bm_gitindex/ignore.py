"""gitignore(5): which paths the user's own rules leave out. pathspec is imported once there is a rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pathspec import GitIgnoreSpec


class IgnoreRules:
    """The rules in force in one folder: its own `.gitignore`, those of the folders above, and the configuration's.

    A value: a folder with a `.gitignore` makes a new one for itself and what is below it.
    """

    __slots__ = ("_configured", "_levels")

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        """Rules of the configuration, which win over every `.gitignore`, as ripgrep's own ignore file does."""
        lines = list(patterns)
        self._configured = _compile(lines) if lines else None
        self._levels: tuple[tuple[int, GitIgnoreSpec], ...] = ()

    def with_gitignore(self, folder: bytes, data: bytes) -> IgnoreRules:
        """Return the rules in force below `folder` (empty, or ending in a slash), given its `.gitignore`."""
        lines = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")
        rules = IgnoreRules()
        rules._configured = self._configured
        rules._levels = ((len(folder), _compile(lines)), *self._levels)
        return rules

    def is_ignored(self, path: bytes) -> bool:
        """Return whether a path is left out; that of a folder ends in a slash. A folder left out is not entered.

        The last matching pattern decides within a file, and the nearest file that has one (gitignore(5)).
        """
        if self._configured is None and not self._levels:
            return False
        text = path.decode("utf-8", "surrogateescape")
        if self._configured is not None:
            verdict = self._configured.check_file(text).include
            if verdict is not None:
                return verdict
        for prefix_length, spec in self._levels:
            relative = path[prefix_length:].decode("utf-8", "surrogateescape")
            verdict = spec.check_file(relative).include
            if verdict is not None:
                return verdict
        return False


def _compile(lines: Iterable[str]) -> GitIgnoreSpec:
    # Imported here, since it costs 70 ms, and most runs have no rule to compile.
    from pathspec import GitIgnoreSpec

    patterns = [line.removesuffix("\r") for line in lines]
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except (ValueError, re.error):
        return GitIgnoreSpec.from_lines(line for line in patterns if _is_valid(line))


def _is_valid(pattern: str) -> bool:
    """Return whether a pattern means anything. git passes over the others without a word, and so is it done here."""
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([pattern])
    except (ValueError, re.error):
        return False
    return True
