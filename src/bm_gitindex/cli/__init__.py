"""The command `bm-gitindex`. One small file per command: arguments, one call of the library, output.

argparse, because it starts in a quarter of the time of its rivals and nothing here needs more; what a command needs
beyond that is imported by the command.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from bm_gitindex import __version__
from bm_gitindex.cli import config, find, import_basic_memory, links, ls_files, show, status, sync, verify
from bm_gitindex.cli.output import EXIT_DAMAGED, EXIT_INTERRUPTED, plain, print_error
from bm_gitindex.errors import BmGitIndexError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = (status, sync, ls_files, show, find, links, verify, config, import_basic_memory)


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
        close = get_close_matches(typed, [command.NAME for command in _COMMANDS], n=1)
        return f"; do you mean {close[0]}?" if close else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    verbosity = 0
    _open_missing_streams()
    try:
        arguments = _parser().parse_args(argv)
        verbosity = arguments.verbose - arguments.quiet
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BmGitIndexError as error:
        return _failed(error, verbosity)
    except BrokenPipeError:
        # Whoever read our output has seen enough. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print_error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return EXIT_DAMAGED
    except KeyboardInterrupt:
        print_error("interrupted; what was committed is kept")
        return EXIT_INTERRUPTED
    return code


def _open_missing_streams() -> None:
    """Give the command something to write to where its caller closed an output: a sync is to be done all the same."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def _failed(error: BmGitIndexError, verbosity: int) -> int:
    print_error(str(error))
    if verbosity >= 2:
        # Imported here, since it serves only those who look for a defect.
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            sys.stderr.write(plain(line) + "\n")
    return error.exit_code


def _add_volume(parser: argparse.ArgumentParser) -> None:
    """Let -v and -q stand before the command and after it."""
    volume = parser.add_mutually_exclusive_group()
    for short, long, text in (
        ("-v", "--verbose", "say more; -vv shows tracebacks"),
        ("-q", "--quiet", "say nothing but errors"),
    ):
        volume.add_argument(short, long, action="count", default=argparse.SUPPRESS, help=text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bm-gitindex",
        description="See what changed in a folder of notes, and sync just that into an entity database.",
        epilog="examples:\n  bm-gitindex sync\n  bm-gitindex -C ~/notes status",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-C", dest="directory", metavar="DIR", help="the project's root folder")
    parser.add_argument("--version", action="version", version=f"bm-gitindex {__version__}")
    parser.set_defaults(verbose=0, quiet=0)
    _add_volume(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in _COMMANDS:
        subparser = commands.add_parser(
            command.NAME,
            help=command.SUMMARY,
            description=command.SUMMARY[0].upper() + command.SUMMARY[1:] + ".",
            epilog=f"example:\n  {command.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(subparser)
        _add_volume(subparser)
        subparser.set_defaults(run=command.run)
    return parser
