"""`bm-gitindex status`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bm_gitindex.changes import ChangeStatus
from bm_gitindex.cli.output import (
    EXIT_CHANGES,
    EXIT_DAMAGED,
    EXIT_UNREADABLE,
    ProgressLine,
    Style,
    counters_json,
    given_paths,
    human_bytes,
    print_error,
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
from bm_gitindex.statefolder import stamp

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from bm_gitindex.changes import Change, Status
    from bm_gitindex.project import Project
    from bm_gitindex.rules import Skipped

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
_ATTEMPTS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON object")
    output.add_argument("--porcelain", action="store_true", help="print as git diff --name-status does")
    parser.add_argument("-z", dest="nul", action="store_true", help="with --porcelain: raw paths, ended by NUL")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 if anything differs")
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument("--no-daemon", action="store_true", help="look at every file, whoever watches the project")
    whom.add_argument(
        "--paranoid",
        action="store_true",
        help="ask the watcher, look at every file, and report a difference as a defect",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="only these files and folders")


def run(arguments: argparse.Namespace) -> int:
    """Show how a project differs from its index."""
    project, paths = project_of(arguments), given_paths(arguments)
    is_asked = not arguments.no_daemon and not paths and os.path.lexists(project.state.watch_socket)
    index_stamp = stamp(project.state.index)
    told = _told(project) if is_asked else None
    if told is None or arguments.paranoid:
        progress = ProgressLine(is_wanted=not arguments.quiet)
        try:
            status = project.status(paths, progress)
        finally:
            progress.clear()
    else:
        status = told
    if arguments.json:
        print_json(_as_json(status))
    elif arguments.porcelain or arguments.nul:
        for change in status.changes:
            write_bytes(_porcelain(change, nul=arguments.nul))
    elif not arguments.quiet:
        _print_for_people(status, is_verbose=bool(arguments.verbose))
    if arguments.paranoid and told is not None and (lies := _lies(project, index_stamp, told, status)):
        for line in lies:
            print_error(f"the watcher is wrong: {line}; please report this, and run `bm-gitindex watch --stop`")
        return EXIT_DAMAGED
    if any(skipped.reason.is_failure for skipped in status.skipped):
        return EXIT_UNREADABLE
    return EXIT_CHANGES if arguments.exit_code and status.changes else 0


def _told(project: Project) -> Status | None:
    """Return the status that the project's watcher knows; None where it leaves that to a look of one's own."""
    # Imported here: most projects are not watched.
    from bm_gitindex.watching.asking import ask
    from bm_gitindex.watching.wire import told_status

    return told_status(ask(str(project.state.path), "status") or b"", project.root)


def _lies(project: Project, index_stamp: tuple[int, ...] | None, told: Status, found: Status) -> list[str]:
    """Return where a watcher tells something else than a look at every file, both before that look and after it.

    A sync that came in between explains it as well: then the question is put anew.
    """
    for attempt in range(_ATTEMPTS):
        if attempt:
            index_stamp, asked_anew = stamp(project.state.index), _told(project)
            if asked_anew is None:
                break
            told, found = asked_anew, project.status()
        again = _told(project)
        if again is None:
            break
        lines = _differences("differs", told.changes, found.changes, again.changes)
        lines += _differences("is passed over", told.skipped, found.skipped, again.skipped)
        if not lines or stamp(project.state.index) == index_stamp:
            return lines
    return []


def _differences(
    what: str, told: Sequence[Change | Skipped], found: Sequence[Change | Skipped], again: Sequence[Change | Skipped]
) -> list[str]:
    before, by_look, after = ({one.path: one for one in listed} for listed in (told, found, again))
    lines = []
    for path in sorted(before.keys() | by_look.keys()):
        if before.get(path) == after.get(path) != by_look.get(path):
            if path not in before:
                lines.append(f"{shown(path)} {what}, and it does not know")
            elif path not in by_look:
                lines.append(f"it says that {shown(path)} {what}")
            else:
                lines.append(f"{shown(path)} {what} otherwise than it says")
    return lines


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
