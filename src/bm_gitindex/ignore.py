"""gitignore(5): which paths the user's own rules leave out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WILD = re.compile(rb"[*?[\\]")
# The path of a folder ends in a slash. There has to be a name before it: `a/*` does not match the folder `a/`.
_END = rb"(?<!/)/?\Z"
_FOLDER_END = rb"(?<!/)/\Z"
_DEFAULT_MAX_BYTES = 256 * 1024
_PATTERN_MAX_BYTES = 4096
_EXPRESSION_BYTES = 32 * 1024
"""What is compiled at once: a compiler's memory is some hundred times what it compiles."""


class TooManyRulesError(ValueError):
    """A `.gitignore` goes beyond a bound; the message names it. None of its rules can be had without the others."""


class IgnoreRules:
    """The rules in force in one folder: its own `.gitignore`, those of the folders above, and the configuration's.

    A value: a folder with a `.gitignore` makes a new one for itself and what is below it.
    """

    __slots__ = ("_configured", "_levels", "_max_bytes", "free_bytes")

    def __init__(self, patterns: Iterable[str] = (), max_bytes: int = _DEFAULT_MAX_BYTES) -> None:
        """Rules of the configuration, which win over every `.gitignore`, as ripgrep's own ignore file does.

        `max_bytes` is for all the `.gitignore` files that are in force together.
        """
        self._max_bytes = max_bytes
        self.free_bytes = max_bytes
        """How large a further `.gitignore` may be."""
        rules = _Rules(pattern.encode("utf-8", "surrogateescape") for pattern in patterns)
        self._configured = [(0, rules)] if rules else []
        self._levels = self._configured

    def __bool__(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._levels)

    def require_room(self, size_bytes: int) -> None:
        """Raise TooManyRulesError unless a further `.gitignore` may be so large."""
        if size_bytes > self.free_bytes:
            raise TooManyRulesError(f"more than ignore_max_bytes ({self._max_bytes}) with those of the folders above")

    def with_gitignore(self, folder: bytes, data: bytes) -> IgnoreRules:
        """Return the rules in force below `folder` (empty, or ending in a slash), given its `.gitignore`.

        Raises TooManyRulesError.
        """
        self.require_room(len(data))
        own = _Rules(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
        if not own:
            return self
        rules = IgnoreRules((), self._max_bytes)
        rules.free_bytes = self.free_bytes - len(data)
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
                continue
            if len(glob) > _PATTERN_MAX_BYTES:
                raise TooManyRulesError(f"a pattern is longer than {_PATTERN_MAX_BYTES} bytes")
            # Imported here, since most folders have no pattern.
            from bm_gitindex.wildmatch import translate

            if (expression := translate(glob.removeprefix(b"/"))) is not None:
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
        number = max(number, self._of_names.highest(path, name_start), self._of_paths.highest(path, start))
        return None if number < 0 else self._excludes[number]


class _Alternation:
    """Numbered expressions, joined so that the one with the highest number is the first to be tried."""

    __slots__ = ("_joined",)

    def __init__(self, numbered: list[tuple[int, bytes]]) -> None:
        self._joined = [_Joined(part) for part in _parts(reversed(numbered))]

    def highest(self, path: bytes, start: int) -> int:
        """Return the highest number whose expression matches a path from `start` on, or -1."""
        for joined in self._joined:
            found = joined.match(path, start)
            if found is not None:
                assert found.lastindex is not None
                return joined.numbers[found.lastindex - 1]
        return -1


class _Joined:
    """Some of the expressions, compiled as one."""

    __slots__ = ("match", "numbers")

    def __init__(self, numbered: list[tuple[int, bytes]]) -> None:
        self.numbers = [number for number, _ in numbered]
        # The empty group that ends each tells which one it was.
        self.match = re.compile(b"|".join(expression + b"()" for _, expression in numbered), re.DOTALL).match


def _parts(numbered: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the expressions in parts that are compiled without much memory."""
    part: list[tuple[int, bytes]] = []
    size_bytes = 0
    for number, expression in numbered:
        part.append((number, expression))
        size_bytes += len(expression)
        if size_bytes > _EXPRESSION_BYTES:
            yield part
            part, size_bytes = [], 0
    if part:
        yield part


def _trimmed(line: bytes) -> bytes:
    """Return a line without what git does not read of it: a carriage return, what follows a NUL, trailing spaces."""
    line = line.removesuffix(b"\r").partition(b"\0")[0]
    bare = line.rstrip(b" ")
    backslashes = len(bare) - len(bare.rstrip(b"\\"))
    return line[: len(bare) + backslashes % 2]  # an odd one out escapes the space after it
