"""gitignore(5): which paths the user's own rules leave out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bm_gitindex.wildmatch import translate

if TYPE_CHECKING:
    from collections.abc import Iterable

_WILD = re.compile(rb"[*?[\\]")
# The path of a folder ends in a slash. There has to be a name before it: `a/*` does not match the folder `a/`.
_END = rb"(?<!/)/?\Z"
_FOLDER_END = rb"(?<!/)/\Z"


class IgnoreRules:
    """The rules in force in one folder: its own `.gitignore`, those of the folders above, and the configuration's.

    A value: a folder with a `.gitignore` makes a new one for itself and what is below it.
    """

    __slots__ = ("_configured", "_levels")

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        """Rules of the configuration, which win over every `.gitignore`, as ripgrep's own ignore file does."""
        rules = _Rules(pattern.encode("utf-8", "surrogateescape") for pattern in patterns)
        self._configured = [(0, rules)] if rules else []
        self._levels = self._configured

    def with_gitignore(self, folder: bytes, data: bytes) -> IgnoreRules:
        """Return the rules in force below `folder` (empty, or ending in a slash), given its `.gitignore`."""
        own = _Rules(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
        if not own:
            return self
        rules = IgnoreRules()
        rules._configured = self._configured
        rules._levels = [*self._configured, (len(folder), own), *self._levels[len(self._configured) :]]
        return rules

    def is_ignored(self, path: bytes) -> bool:
        """Return whether a path is left out; that of a folder ends in a slash. A folder left out is not entered.

        The last matching pattern decides within a file, and the nearest file that has one (gitignore(5)).
        """
        name_start = path.rfind(b"/", 0, -1) + 1
        for start, rules in self._levels:
            verdict = rules.verdict(path, start, name_start)
            if verdict is not None:
                return verdict
        return False


class _Rules:
    """The patterns of one file, known by their numbers; the highest that matches decides."""

    __slots__ = ("_excludes", "_names", "_of_names", "_of_paths")

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._excludes: list[bool] = []
        self._names: dict[bytes, int] = {}  # most patterns are a mere name, for which nothing has to be tried
        of_names: list[tuple[int, bytes]] = []
        of_paths: list[tuple[int, bytes]] = []
        for line in lines:
            pattern = _trimmed(line)
            if not pattern or pattern.startswith(b"#"):
                continue
            number = len(self._excludes)
            self._excludes.append(not pattern.startswith(b"!"))
            glob = pattern.removeprefix(b"!")
            is_for_folders = glob.endswith(b"/")
            glob = glob.removesuffix(b"/")
            if b"/" not in glob and not _WILD.search(glob):
                self._names[glob + b"/"] = number
                if not is_for_folders:
                    self._names[glob] = number
            elif (expression := translate(glob.removeprefix(b"/"))) is not None:
                expression += _FOLDER_END if is_for_folders else _END
                (of_paths if b"/" in glob else of_names).append((number, expression))
        self._of_names = _Alternation(of_names)
        self._of_paths = _Alternation(of_paths)

    def __bool__(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._excludes)

    def verdict(self, path: bytes, start: int, name_start: int) -> bool | None:
        """Return whether a path is left out, or None where no pattern matches it.

        `start` is where the path relative to the folder of these rules begins, `name_start` where its last name does.
        """
        number = self._names.get(path[name_start:], -1)
        if (found := self._of_names.match(path, name_start)) is not None:
            number = max(number, self._of_names.number(found))
        if (found := self._of_paths.match(path, start)) is not None:
            number = max(number, self._of_paths.number(found))
        return None if number < 0 else self._excludes[number]


class _Alternation:
    """Numbered expressions, joined so that the one with the highest number is the first to be tried."""

    __slots__ = ("_numbers", "match")

    def __init__(self, numbered: list[tuple[int, bytes]]) -> None:
        self._numbers = [number for number, _ in reversed(numbered)]
        # The empty group that ends each tells which one it was; `(?!)` never matches.
        expressions = [expression + b"()" for _, expression in reversed(numbered)]
        self.match = re.compile(b"|".join(expressions or [b"(?!)"]), re.DOTALL).match

    def number(self, found: re.Match[bytes]) -> int:
        """Return the number of the expression that matched."""
        assert found.lastindex is not None
        return self._numbers[found.lastindex - 1]


def _trimmed(line: bytes) -> bytes:
    """Return a line without what git does not read of it: a carriage return, what follows a NUL, trailing spaces."""
    line = line.removesuffix(b"\r").partition(b"\0")[0]
    bare = line.rstrip(b" ")
    backslashes = len(bare) - len(bare.rstrip(b"\\"))
    return line[: len(bare) + backslashes % 2]  # an odd one out escapes the space after it
