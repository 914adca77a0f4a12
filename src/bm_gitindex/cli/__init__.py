"""The command `bm-gitindex`. One small file per command: arguments, one call of the library, output."""

from __future__ import annotations

import gc
import os
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

from bm_gitindex.cli.output import EXIT_DAMAGED, EXIT_INTERRUPTED, plain, print_error
from bm_gitindex.errors import BmGitIndexError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_STATUS_FLAGS = {
    "--json": "json",
    "--porcelain": "porcelain",
    "-z": "nul",
    "--exit-code": "exit_code",
    "--no-daemon": "no_daemon",
    "--paranoid": "paranoid",
}
_CONTRADICTIONS = ({"--json", "--porcelain"}, {"--no-daemon", "--paranoid"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    verbosity = 0
    _open_missing_streams()
    try:
        argv = sys.argv[1:] if argv is None else argv
        arguments = _quick_status(argv) or _parsed(argv)
        verbosity = arguments.verbose - arguments.quiet
        gc.freeze()
        gc.enable()
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


def _quick_status(argv: Sequence[str]) -> SimpleNamespace | None:
    """Return what argparse would make of a `status` of the whole project: asked for most, it should be there at once.

    None leaves the command line to argparse.
    """
    match list(argv):
        case ["status", *flags]:
            directory = None
        case ["-C", directory, "status", *flags] if not directory.startswith("-"):
            pass
        case _:
            return None
    is_plain = len(_STATUS_FLAGS.keys() & flags) == len(flags)  # each is known, and stands there once
    if not is_plain or any(pair <= set(flags) for pair in _CONTRADICTIONS):
        return None
    # Imported here, like every command.
    from bm_gitindex.cli import status

    return SimpleNamespace(
        command=status.NAME,
        directory=directory,
        run=status.run,
        verbose=0,
        quiet=0,
        paths=[],
        **{name: flag in flags for flag, name in _STATUS_FLAGS.items()},
    )


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    # Imported here, since that takes as long as a look at a small project.
    from bm_gitindex.cli.arguments import parsed

    return parsed(argv)
