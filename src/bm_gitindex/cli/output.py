"""What the commands have in common: the project at hand, paths as text, colours, JSON and progress."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bm_gitindex.errors import UsageError
from bm_gitindex.project import Project
from bm_gitindex.statefolder import checked_root, find_root

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from bm_gitindex.progress import Progress
    from bm_gitindex.rules import Skipped
    from bm_gitindex.survey import Counters

EXIT_CHANGES = 1
EXIT_MISMATCH = 1
EXIT_UNREADABLE = 3
EXIT_DAMAGED = 6
EXIT_INTERRUPTED = 130

_PROGRESS_AFTER_S = 0.5
_PROGRESS_EVERY_S = 0.1
_QUOTED = frozenset('"\\')
_CODES = {"green": "32", "yellow": "33", "red": "31", "cyan": "36", "dim": "2", "bold": "1"}
_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of control and format characters, line ends, and (surrogates) bytes that are not UTF-8."""
_ESCAPES = {7: b"\\a", 8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 12: b"\\f", 13: b"\\r", 34: b'\\"', 92: b"\\\\"}


def root_of(arguments: argparse.Namespace) -> Path:
    """Return the root that a command is about: `-C`, or that of the nearest project from the working folder upwards."""
    return checked_root(arguments.directory) if arguments.directory is not None else find_root(Path.cwd())


def project_of(arguments: argparse.Namespace) -> Project:
    """Return the project that a command is about."""
    return Project(root_of(arguments))


def given_paths(arguments: argparse.Namespace) -> list[bytes]:
    """Return the paths of the command line: with `-C` relative to that folder, as in git, else to the working one."""
    if "" in arguments.paths:
        raise UsageError("a path is empty; the whole project is meant by none at all")
    folder = os.fsencode(checked_root(arguments.directory)) if arguments.directory is not None else os.getcwdb()
    return [os.path.join(folder, os.fsencode(path)) for path in arguments.paths]


def quoted(path: bytes) -> bytes:
    """Return a path as git prints it (core.quotePath): in C's notation where it has unusual bytes, else as it is."""
    escaped = b"".join(map(_escaped, path))
    return b'"%b"' % escaped if escaped != path else path


def _escaped(byte: int) -> bytes:
    """Return a byte as C's notation has it."""
    if byte in _ESCAPES:
        return _ESCAPES[byte]
    return bytes([byte]) if 32 <= byte < 127 else b"\\%03o" % byte


def shown(path: bytes) -> str:
    """Return a path for people: what could command a terminal or turn text around is escaped; the root is a dot."""
    name = text(path)
    if name.isascii() and name.isprintable() and not _QUOTED.intersection(name):
        return name or "."
    escaped = "".join(map(_shown_character, name))
    return f'"{escaped}"' if escaped != name else name or "."


def _shown_character(character: str) -> str:
    # Imported here, since it is a table of a megabyte that few names need.
    import unicodedata

    if character not in '"\\' and unicodedata.category(character) not in _UNSHOWN:
        return character
    return b"".join(map(_escaped, character.encode("utf-8", "surrogateescape"))).decode("ascii")


def text(path: bytes) -> str:
    """Return a path for JSON: bytes that are not UTF-8 become surrogates (PEP 383)."""
    return path.decode("utf-8", "surrogateescape")


def plain(words: str) -> str:
    """Return text of a note for people: what could move a terminal's cursor, or set its colours, is shown as `?`."""
    return "".join(character if character.isprintable() else "?" for character in words)


class Style:
    """Colours, where the output is a terminal and the user does not object (no-color.org)."""

    def __init__(self) -> None:
        self._is_on = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def __call__(self, colour: str, words: str) -> str:
        """Return words in a colour."""
        return f"\x1b[{_CODES[colour]}m{words}\x1b[0m" if self._is_on else words


def print_text(line: str = "") -> None:
    """Print a line whatever bytes stand in its paths."""
    write_bytes(line.encode("utf-8", "surrogateescape") + b"\n")


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def print_json(value: object) -> None:
    """Print a value as JSON on one line; what is not ASCII is escaped, so that any path can be told."""
    # Imported here: most runs print no JSON.
    import json

    print(json.dumps(value))


class JsonList:
    """One JSON object with a list in it, printed item by item, so that a long one is never held in memory."""

    def __init__(self, name: str) -> None:
        self._start = f'{{"{name}": ['

    def add(self, item: object) -> None:
        """Print one more item."""
        # Imported here: most runs print no JSON.
        import json

        sys.stdout.write(self._start + json.dumps(item))
        self._start = ", "

    def end(self) -> None:
        """Print the end of list and object."""
        print("]}" if self._start == ", " else f"{self._start}]}}")


def print_error(message: str) -> None:
    """Print one line to standard error."""
    line = f"bm-gitindex: {message}".replace("\n", " ")
    sys.stderr.write(plain(line) + "\n")


def print_skipped(skipped: Iterable[Skipped], style: Style) -> None:
    """Print what was passed over, and why."""
    skipped = list(skipped)
    if skipped:
        print_text("Skipped:")
    for one in skipped:
        print_text(f"  {shown(one.path)}  {style('dim', f'({plain(one.why)})')}")


def skipped_json(skipped: Iterable[Skipped]) -> list[Mapping[str, str]]:
    """Return what was passed over, for JSON."""
    return [{"path": text(one.path), "reason": one.why} for one in skipped]


def counters_json(counters: Counters) -> dict[str, int]:
    """Return counters for JSON."""
    return {
        "files_seen": counters.files_seen,
        "dirs_seen": counters.dirs_seen,
        "files_read": counters.files_read,
        "bytes_read": counters.bytes_read,
    }


def human_bytes(size_bytes: int) -> str:
    """Return a size in the unit that suits it."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


class ProgressLine:
    """One line on standard error that says what is being done, for runs of more than half a second on a terminal."""

    def __init__(self, *, is_wanted: bool) -> None:
        self._is_on = is_wanted and sys.stderr.isatty()
        self._next_s = time.monotonic() + _PROGRESS_AFTER_S
        self._is_shown = False

    def __call__(self, progress: Progress) -> None:
        """Show how far the run has come, not too often."""
        now_s = time.monotonic()
        if not self._is_on or now_s < self._next_s:
            return
        self._next_s = now_s + _PROGRESS_EVERY_S
        self._is_shown = True
        size = f", {human_bytes(progress.bytes)}" if progress.bytes else ""
        sys.stderr.write(f"\r\x1b[K{progress.activity}: {progress.files:,} files{size}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
