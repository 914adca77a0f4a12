"""`bm-gitindex sync`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from bm_gitindex.cli.output import (
    EXIT_UNREADABLE,
    ProgressLine,
    Style,
    counters_json,
    given_paths,
    human_bytes,
    plain,
    print_error,
    print_json,
    print_skipped,
    print_text,
    project_of,
    shown,
    skipped_json,
    text,
)

if TYPE_CHECKING:
    import argparse

    from bm_gitindex.syncing.report import SyncReport

NAME = "sync"
SUMMARY = "bring index and entity database up to date"
EXAMPLE = "bm-gitindex sync --dry-run notes/"

_SHOWN_WARNINGS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    manner = parser.add_mutually_exclusive_group()
    manner.add_argument("--dry-run", action="store_true", help="only say what would be done; nothing is created")
    manner.add_argument("--paranoid", action="store_true", help="read every hashed file, and store it anew")
    parser.add_argument("--allow-mass-delete", action="store_true", help="go on where a safety stop would end the run")
    parser.add_argument(
        "--wait", type=_seconds, default=10.0, metavar="SECONDS", help="how long to wait for the lock (default: 10)"
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="only these files and folders")


def _seconds(text: str) -> float:
    """Return a waiting time. Raises ArgumentTypeError, which argparse reports."""
    from argparse import ArgumentTypeError

    with suppress(ValueError):
        seconds = float(text)
        if 0 <= seconds < float("inf"):
            return seconds
    raise ArgumentTypeError(f"{text!r} is no number of seconds")


def run(arguments: argparse.Namespace) -> int:
    """Bring a project's index and database up to date."""
    # Imported here: what a sync needs, `status` does not.
    from bm_gitindex.syncing.report import SyncRequest

    project = project_of(arguments)
    paths = given_paths(arguments)
    progress = ProgressLine(is_wanted=not arguments.quiet)
    request = SyncRequest(
        paranoid=arguments.paranoid,
        allow_mass_delete=arguments.allow_mass_delete,
        wait_s=arguments.wait,
        on_progress=progress,
    )
    perform = project.rehearse_sync if arguments.dry_run else project.sync_blocking
    try:
        report = perform(paths, request)
    finally:
        progress.clear()
    if arguments.json:
        print_json(_as_json(report))
    else:
        _print_for_people(report, arguments)
    return EXIT_UNREADABLE if report.failed else 0


def _as_json(report: SyncReport) -> dict[str, object]:
    return {
        "root": str(report.root),
        **report.counts,
        "failed": [{"path": text(one.path), "error": one.why} for one in report.failed],
        "warnings": [{"path": text(path), "warning": warning} for path, warning in report.warnings],
        "skipped": skipped_json(report.skipped),
        "notices": report.notices,
        "counters": {
            **counters_json(report.counters),
            "files_parsed": report.files_parsed,
            "entities_written": report.entities_written,
        },
        "seconds": round(report.seconds, 6),
        "peak_rss_bytes": report.peak_rss_bytes,
    }


def _print_for_people(report: SyncReport, arguments: argparse.Namespace) -> None:
    for notice in report.notices:
        print_error(notice)
    for one in report.failed:
        print_error(f"{shown(one.path)}: {one.why}")
    if arguments.quiet:
        return
    style = Style()
    _print_warnings(report, style, is_verbose=bool(arguments.verbose))
    if arguments.verbose:
        print_skipped((one for one in report.skipped if not one.reason.is_failure), style)
    changed = [f"{count:,} {name}" for name, count in report.counts.items() if count and name != "unchanged"]
    summary = style("bold", ", ".join(changed) or "nothing changed")
    if arguments.dry_run:
        summary = f"a sync would find: {summary}"
    print_text(f"{summary} ({report.unchanged:,} unchanged) in {report.seconds:.2f} s")
    if arguments.verbose:
        counters = report.counters
        print_text(
            f"{counters.files_seen:,} files seen, {counters.files_read:,} read ({human_bytes(counters.bytes_read)}), "
            f"{report.files_parsed:,} parsed, {report.entities_written:,} entities written, "
            f"peak memory {human_bytes(report.peak_rss_bytes)}"
        )


def _print_warnings(report: SyncReport, style: Style, *, is_verbose: bool) -> None:
    shown_count = len(report.warnings) if is_verbose else _SHOWN_WARNINGS
    for path, warning in report.warnings[:shown_count]:
        print_text(f"{style('yellow', 'warning:')} {shown(path)}: {plain(warning)}")
    if len(report.warnings) > shown_count:
        print_text(f"... and {len(report.warnings) - shown_count:,} more warnings (-v shows all)")
