"""`bm-gitindex status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.changes import ChangeStatus
from bm_gitindex.cli.output import (
    EXIT_CHANGES,
    EXIT_UNREADABLE,
    ProgressLine,
    Style,
    counters_json,
    given_paths,
    human_bytes,
    print_json,
    print_skipped,
    print_text,
    project_of,
    quoted,
    shown,
    skipped_json,
    text,
    write_bytes,
)

if TYPE_CHECKING:
    import argparse

    from bm_gitindex.changes import Change, Status

NAME = "status"
SUMMARY = "show what differs from the index; writes nothing, ever"
EXAMPLE = "bm-gitindex status --porcelain notes/"

_HEADINGS = {
    ChangeStatus.ADDED: ("New:", "green"),
    ChangeStatus.MODIFIED: ("Modified:", "yellow"),
    ChangeStatus.MOVED: ("Moved:", "cyan"),
    ChangeStatus.DELETED: ("Deleted:", "red"),
}
_LETTERS = {
    ChangeStatus.ADDED: b"A",
    ChangeStatus.MODIFIED: b"M",
    ChangeStatus.DELETED: b"D",
    ChangeStatus.MOVED: b"R100",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON object")
    output.add_argument("--porcelain", action="store_true", help="print as git diff --name-status does")
    parser.add_argument("-z", dest="nul", action="store_true", help="with --porcelain: raw paths, ended by NUL")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 if anything differs")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="only these files and folders")


def run(arguments: argparse.Namespace) -> int:
    """Show how a project differs from its index."""
    progress = ProgressLine(is_wanted=not arguments.quiet)
    try:
        status = project_of(arguments).status(given_paths(arguments), progress)
    finally:
        progress.clear()
    if arguments.json:
        print_json(_as_json(status))
    elif arguments.porcelain or arguments.nul:
        for change in status.changes:
            write_bytes(_porcelain(change, nul=arguments.nul))
    elif not arguments.quiet:
        _print_for_people(status, is_verbose=bool(arguments.verbose))
    if any(skipped.reason.is_failure for skipped in status.skipped):
        return EXIT_UNREADABLE
    return EXIT_CHANGES if arguments.exit_code and status.changes else 0


def _as_json(status: Status) -> dict[str, object]:
    return {
        "root": str(status.root),
        "changes": [
            {
                "status": change.status.value,
                "path": text(change.path),
                "old_path": change.old_path and text(change.old_path),
                "kind": change.kind.value,
                "size": change.size_bytes,
            }
            for change in status.changes
        ],
        "skipped": skipped_json(status.skipped),
        "counters": counters_json(status.counters),
        "seconds": round(status.seconds, 6),
    }


def _porcelain(change: Change, *, nul: bool) -> bytes:
    paths = [path for path in (change.old_path, change.path) if path is not None]
    if nul:
        return b"".join(part + b"\0" for part in (_LETTERS[change.status], *paths))
    return b"\t".join((_LETTERS[change.status], *map(quoted, paths))) + b"\n"


def _print_for_people(status: Status, *, is_verbose: bool) -> None:
    style = Style()
    for wanted, (heading, colour) in _HEADINGS.items():
        changes = [change for change in status.changes if change.status is wanted]
        if changes:
            print_text(heading)
        for change in changes:
            source = f"{shown(change.old_path)} -> " if change.old_path is not None else ""
            print_text(f"  {style(colour, source + shown(change.path))}")
    print_skipped(status.skipped, style)
    if status.is_clean:
        print_text(f"nothing differs ({status.counters.files_seen:,} files)")
    if is_verbose:
        counters = status.counters
        print_text(
            f"{counters.files_seen:,} files in {counters.dirs_seen:,} folders seen, {counters.files_read:,} read "
            f"({human_bytes(counters.bytes_read)}), {status.seconds:.3f} s"
        )
