"""`bm-gitindex verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.cli.output import (
    EXIT_DAMAGED,
    EXIT_MISMATCH,
    EXIT_UNREADABLE,
    ProgressLine,
    Style,
    plain,
    print_json,
    print_text,
    project_of,
    shown,
    text,
)

if TYPE_CHECKING:
    import argparse

    from bm_gitindex.verify import Verification

NAME = "verify"
SUMMARY = "compare index, files (by content) and database; writes nothing"
EXAMPLE = "bm-gitindex verify --json"

_DAMAGE = ("index", "database")
"""Kinds of mismatch that mean a file of ours cannot be read as what it is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Check that everything that is stored is true."""
    progress = ProgressLine(is_wanted=not arguments.quiet)
    try:
        verification = project_of(arguments).verify(progress)
    finally:
        progress.clear()
    if arguments.json:
        print_json(_as_json(verification))
    elif not arguments.quiet:
        _print_for_people(verification)
    if any(mismatch.kind in _DAMAGE for mismatch in verification.mismatches):
        return EXIT_DAMAGED
    if verification.unreadable:
        return EXIT_UNREADABLE
    return 0 if verification.ok else EXIT_MISMATCH


def _as_json(verification: Verification) -> dict[str, object]:
    return {
        "ok": verification.ok,
        "mismatches": [
            {"path": text(mismatch.path), "kind": mismatch.kind, "detail": mismatch.detail}
            for mismatch in verification.mismatches
        ],
        "pending": [text(path) for path in verification.pending],
        "unreadable": [text(path) for path in verification.unreadable],
        "files_checked": verification.files_checked,
        "seconds": round(verification.seconds, 6),
    }


def _print_for_people(verification: Verification) -> None:
    style = Style()
    for mismatch in verification.mismatches:
        print_text(f"{style('red', mismatch.kind)}: {shown(mismatch.path)}: {plain(mismatch.detail)}")
    if verification.mismatches:
        print_text("`bm-gitindex sync --paranoid` reads every file anew, and mends this")
    for path in verification.pending:
        print_text(f"{style('yellow', 'pending')}: {shown(path)}")
    for path in verification.unreadable:
        print_text(f"{style('red', 'unreadable')}: {shown(path)}")
    verdict = style("green", "ok") if verification.ok else style("red", _count(len(verification.mismatches)))
    pending = f", {len(verification.pending):,} pending" if verification.pending else ""
    print_text(f"{verdict} ({verification.files_checked:,} files checked{pending}) in {verification.seconds:.2f} s")


def _count(mismatches: int) -> str:
    return "1 mismatch" if mismatches == 1 else f"{mismatches:,} mismatches"
