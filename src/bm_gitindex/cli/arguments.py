"""The arguments of the command line.

argparse, because it starts in a quarter of the time of its rivals and nothing here needs more; what a command needs
beyond that is imported by the command.
"""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from bm_gitindex import __version__
from bm_gitindex.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType

COMMANDS = (
    *("status", "sync", "ls-files", "show", "find", "links"),
    *("watch", "verify", "config", "import-basic-memory"),
)
_VOLUMES = ("-v", "-vv", "--verbose", "-q", "--quiet")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal: argparse makes one for each argument, and loads much to measure it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_terminal_columns() - 2)


def _terminal_columns() -> int:
    try:
        return int(os.environ.get("COLUMNS") or 0) or os.get_terminal_size().columns
    except (OSError, ValueError):
        return 80


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and guess what was meant."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}{self._guess(message)}; see {self.prog} --help")

    def _guess(self, message: str) -> str:
        # Imported here, since it serves only a user who mistyped.
        from difflib import get_close_matches

        if "invalid choice: '" not in message:
            return ""
        typed = message.partition("invalid choice: '")[2].partition("'")[0]
        close = get_close_matches(typed, COMMANDS, n=1)
        return f"; do you mean {close[0]}?" if close else ""


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Return what a command line says; `run` is what it asks for. Raises UsageError."""
    return _parser(_needed(argv)).parse_args(argv)


def _add_volume(parser: argparse.ArgumentParser) -> None:
    """Let -v and -q stand before the command and after it."""
    volume = parser.add_mutually_exclusive_group()
    for short, long, text in (
        ("-v", "--verbose", "say more; -vv shows tracebacks"),
        ("-q", "--quiet", "say nothing but errors"),
    ):
        volume.add_argument(short, long, action="count", default=argparse.SUPPRESS, help=text)


def _needed(argv: Sequence[str]) -> Sequence[str]:
    """Return the commands that a parser has to know: the one that is named, or all where that is not certain.

    Each costs a few milliseconds, and a look at an unchanged project takes not many more.
    """
    rest = list(argv)
    while rest and (rest[0].startswith("-C") or rest[0] in _VOLUMES):
        del rest[: 2 if rest[0] == "-C" else 1]
    return rest[:1] if rest and rest[0] in COMMANDS else COMMANDS


def command_module(name: str) -> ModuleType:
    """Return the module of a command."""
    return import_module(f"bm_gitindex.cli.{name.replace('-', '_')}")


def _parser(commands: Iterable[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bm-gitindex",
        description="See what changed in a folder of notes, and sync just that into an entity database.",
        epilog="examples:\n  bm-gitindex sync\n  bm-gitindex -C ~/notes status",
        formatter_class=_Help,
    )
    parser.add_argument("-C", dest="directory", metavar="DIR", help="the project's root folder")
    parser.add_argument("--version", action="version", version=f"bm-gitindex {__version__}")
    parser.set_defaults(verbose=0, quiet=0)
    _add_volume(parser)
    # Without `prog`, the parser would load what it takes to format it.
    subparsers = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True, prog=parser.prog
    )
    for command in map(command_module, commands):
        subparser = subparsers.add_parser(
            command.NAME,
            help=command.SUMMARY,
            description=command.SUMMARY[0].upper() + command.SUMMARY[1:] + ".",
            epilog=f"example:\n  {command.EXAMPLE}",
            formatter_class=_Help,
        )
        command.add_arguments(subparser)
        _add_volume(subparser)
        subparser.set_defaults(run=command.run)
    return parser
