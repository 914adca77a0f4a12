"""`bm-gitindex find`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bm_gitindex.cli.output import JsonList, Style, plain, print_text, project_of, shown, text
from bm_gitindex.errors import UsageError
from bm_gitindex.syncing.cancellation import run_in_loop

if TYPE_CHECKING:
    import argparse

    from bm_gitindex.entities.records import EntitySummary, Filter
    from bm_gitindex.project import Project

NAME = "find"
SUMMARY = "list entities by type, tag, front matter, time of change, or warnings"
EXAMPLE = "bm-gitindex find --tag idea --since 7d"

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--type", metavar="TYPE", help="of this type: `note`, `file`, or what the front matter says")
    parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="with this tag; of several, with all")
    parser.add_argument(
        "--meta", action="append", default=[], metavar="KEY=VALUE", help="with this in the front matter; KEY may be a.b"
    )
    parser.add_argument("--since", metavar="WHEN", help="changed since a date or time (ISO 8601), or 30m, 24h, 7d, 2w")
    parser.add_argument("--warnings", action="store_true", help="only notes with a problem in their content")
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many")


def run(arguments: argparse.Namespace) -> int:
    """List entities."""
    if arguments.limit is not None and arguments.limit < 1:
        raise UsageError("--limit is at least 1")
    project = project_of(arguments)
    wanted = _filter(arguments, datetime.now(UTC))
    run_in_loop(lambda: _print_found(project, wanted, arguments))
    return 0


def since(when: str, now: datetime) -> datetime:
    """Return the moment that a text names: a date or time, local where it has no zone, or an age. Raises UsageError."""
    ago = _AGO.fullmatch(when)
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(when).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--since {when!r} is neither a date or time (ISO 8601) nor an age such as 24h or 7d"
        ) from error


def summary_json(found: EntitySummary) -> dict[str, object]:
    """Return an entity in short, for JSON."""
    return {
        "id": found.id,
        "external_id": found.external_id,
        "title": found.title,
        "type": found.type,
        "permalink": found.permalink,
        "file_path": text(found.file_path),
        "kind": found.kind.value,
        "updated_at": found.updated_at.isoformat(),
        "tags": list(found.tags),
        "warnings": list(found.warnings),
    }


def summary_line(found: EntitySummary, style: Style) -> str:
    """Return an entity in a line, for people."""
    tags = "".join(f" #{plain(tag)}" for tag in found.tags)
    return f"{shown(found.file_path)}  {style('dim', f'{plain(found.title)} ({plain(found.type)}){tags}')}"


def _filter(arguments: argparse.Namespace, now: datetime) -> Filter:
    # Imported here: records are for those who ask the database.
    from bm_gitindex.entities.records import MOST_TAGS, Filter

    if len(arguments.tag) > MOST_TAGS:
        raise UsageError(f"--tag may be given {MOST_TAGS} times")
    metadata = {}
    for pair in arguments.meta:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"--meta takes KEY=VALUE, not {pair!r}")
        metadata[key] = value
    return Filter(
        type=arguments.type,
        tags=tuple(tag.removeprefix("#") for tag in arguments.tag),
        metadata=metadata,
        changed_since=None if arguments.since is None else since(arguments.since, now),
        has_warnings=arguments.warnings,
    )


async def _print_found(project: Project, wanted: Filter, arguments: argparse.Namespace) -> None:
    style, as_json = Style(), JsonList("entities")
    count = 0
    async with project.entities() as entities:
        async for found in entities.find(wanted):
            if count == arguments.limit:
                break
            count += 1
            if arguments.json:
                as_json.add(summary_json(found))
                continue
            print_text(summary_line(found, style))
            for warning in found.warnings if wanted.has_warnings else ():
                print_text(f"  {style('yellow', 'warning:')} {plain(warning)}")
    if arguments.json:
        as_json.end()
