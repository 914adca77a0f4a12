"""`bm-gitindex import-basic-memory`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bm_gitindex.cli.output import (
    EXIT_UNREADABLE,
    ProgressLine,
    Style,
    plain,
    print_error,
    print_json,
    print_text,
    project_of,
    shown,
    text,
)

if TYPE_CHECKING:
    import argparse

    from bm_gitindex.syncing.importing import ImportReport

NAME = "import-basic-memory"
SUMMARY = "take over external ids, permalinks and times of creation from basic-memory's database"
EXAMPLE = "bm-gitindex import-basic-memory --dry-run ~/.basic-memory/memory.db main"

_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done; nothing is changed")
    parser.add_argument("database", metavar="DB", help="basic-memory's SQLite file, usually ~/.basic-memory/memory.db")
    parser.add_argument("project", metavar="PROJECT", help="the project in it, by name or path")


def run(arguments: argparse.Namespace) -> int:
    """Sync, then take over what basic-memory knows the files by."""
    # Imported here: what an import needs, `status` does not.
    from bm_gitindex.syncing.importing import ImportRequest

    project = project_of(arguments)
    progress = ProgressLine(is_wanted=not arguments.quiet)
    request = ImportRequest(
        Path(arguments.database), arguments.project, is_rehearsal=arguments.dry_run, on_progress=progress
    )
    try:
        report = project.import_basic_memory_blocking(request)
    finally:
        progress.clear()
    if arguments.json:
        print_json(_as_json(report))
    else:
        _print_for_people(report, arguments)
    return EXIT_UNREADABLE if report.sync is not None and report.sync.failed else 0


def _as_json(report: ImportReport) -> dict[str, object]:
    return {
        "root": str(report.root),
        "project": report.project,
        "adopted": report.adopted,
        "unchanged": report.unchanged,
        "conflicts": [
            {
                "path": text(one.path),
                "field": one.field,
                "theirs": one.theirs,
                "ours": one.ours,
                "reason": one.reason,
            }
            for one in report.conflicts
        ],
        "not_found": [text(path) for path in report.not_found],
        "skipped": [{"path": text(one.path), "reason": one.reason} for one in report.skipped],
        "failed": [{"path": text(one.path), "error": one.why} for one in report.sync.failed] if report.sync else [],
        "links_before": report.links_before,
        "links_after": report.links_after,
        "notices": report.sync.notices if report.sync else [],
        "synced": report.sync.counts if report.sync else None,
        "seconds": round(report.seconds, 6),
    }


def _print_for_people(report: ImportReport, arguments: argparse.Namespace) -> None:
    for notice in report.sync.notices if report.sync else ():
        print_error(notice)
    for one in report.sync.failed if report.sync else ():
        print_error(f"{shown(one.path)}: {one.why}")
    if arguments.quiet:
        return
    style = Style()
    conflict = style("yellow", "conflict:")
    lines = [f"{conflict} {shown(one.path)}: {one.field} {one.theirs}: {one.reason}" for one in report.conflicts]
    lines += [f"{style('yellow', 'skipped:')} {shown(one.path)}: {one.reason}" for one in report.skipped]
    lines += [f"{style('yellow', 'not found:')} {shown(path)}" for path in report.not_found]
    most = len(lines) if arguments.verbose else _SHOWN
    for line in lines[:most]:
        print_text(line)
    if len(lines) > most:
        print_text(f"... and {len(lines) - most:,} more (-v shows all)")
    counts = [
        (len(report.conflicts), "conflicts"),
        (len(report.not_found), "not found"),
        (len(report.skipped), "skipped"),
    ]
    others = "".join(f", {count:,} {name}" for count, name in counts if count)
    adopted = f"{report.adopted:,} adopted" if report.adopted else "nothing to adopt"
    if report.links_after != report.links_before:
        lead = "would lead" if arguments.dry_run else "lead"
        print_text(f"{report.links_after:,} links {lead} to an entity, where {report.links_before:,} did before")
    if report.not_found and not report.adopted + report.unchanged:
        print_text(f"none of its files is here; basic-memory has the project in {plain(report.project_path)}")
    would = "an import would find: " if arguments.dry_run else ""
    summary = style("bold", f"{adopted} from {plain(report.project)}")
    print_text(f"{would}{summary} ({report.unchanged:,} unchanged{others}) in {report.seconds:.2f} s")
