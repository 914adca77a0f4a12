"""`bm-gitindex show`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bm_gitindex.cli.output import Style, given_paths, plain, print_json, print_text, project_of, shown, text
from bm_gitindex.errors import NotFoundError, UsageError
from bm_gitindex.syncing.cancellation import run_in_loop

if TYPE_CHECKING:
    import argparse

    from bm_gitindex.entities.reader import Entities
    from bm_gitindex.entities.records import Entity
    from bm_gitindex.project import Project

NAME = "show"
SUMMARY = "show one entity with its observations and relations, in and out"
EXAMPLE = "bm-gitindex show notes/search.md --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("paths", nargs=1, metavar="PATH|PERMALINK", help="a file, or a permalink or external id")


def run(arguments: argparse.Namespace) -> int:
    """Show one entity."""
    project = project_of(arguments)
    entity = run_in_loop(lambda: _find(project, arguments))
    if arguments.json:
        print_json(_as_json(entity))
    else:
        _print_for_people(entity)
    return 0


async def _find(project: Project, arguments: argparse.Namespace) -> Entity:
    async with project.entities() as entities:
        return await named_entity(project, entities, arguments)


async def named_entity(project: Project, entities: Entities, arguments: argparse.Namespace) -> Entity:
    """Return the entity that the command line names, as a path or otherwise. Raises NotFoundError."""
    key: str = arguments.paths[0]
    entity = await entities.get_by_path(_path_in(project, arguments)) or await entities.get(key)
    if entity is None:
        raise NotFoundError(f"there is no entity {key!r}; `bm-gitindex status` shows what is not synced yet")
    return entity


def _path_in(project: Project, arguments: argparse.Namespace) -> bytes:
    try:
        return b"".join(project.relative(given_paths(arguments)))
    except UsageError:
        return os.fsencode(arguments.paths[0])  # outside of the root as a path, but it may be a permalink


def _as_json(entity: Entity) -> dict[str, object]:
    return {
        "id": entity.id,
        "external_id": entity.external_id,
        "title": entity.title,
        "type": entity.type,
        "permalink": entity.permalink,
        "file_path": text(entity.file_path),
        "kind": entity.kind.value,
        "content_type": entity.content_type,
        "blob_id": entity.blob_id.hex(),
        "size": entity.size_bytes,
        "mtime_ns": entity.mtime_ns,
        "created_at": entity.created_at.isoformat(),
        "updated_at": entity.updated_at.isoformat(),
        "tags": list(entity.tags),
        "metadata": entity.metadata,
        "warnings": list(entity.warnings),
        "observations": [
            {"category": item.category, "content": item.content, "tags": list(item.tags), "context": item.context}
            for item in entity.observations
        ],
        "relations": [
            {
                "type": item.type,
                "target": item.target,
                "to_permalink": item.to_permalink,
                "to_path": item.to_path and text(item.to_path),
                "context": item.context,
            }
            for item in entity.relations
        ],
        "incoming": [
            {
                "type": item.type,
                "from_permalink": item.from_permalink,
                "from_path": text(item.from_path),
                "context": item.context,
            }
            for item in entity.incoming
        ],
    }


def _print_for_people(entity: Entity) -> None:
    style = Style()
    print_text(style("bold", plain(entity.title)))
    rows = {
        "path": shown(entity.file_path),
        "permalink": entity.permalink or "",
        "type": f"{entity.type}, {entity.content_type}",
        "blob id": entity.blob_id.hex(),
        "size": f"{entity.size_bytes:,} bytes",
        "created": f"{entity.created_at:%Y-%m-%d %H:%M} UTC",
        "updated": f"{entity.updated_at:%Y-%m-%d %H:%M} UTC",
        "tags": " ".join(f"#{tag}" for tag in entity.tags),
    }
    # One after the other: a key of the front matter may have the name of a row.
    for name, value in (*rows.items(), *((key, str(value)) for key, value in entity.metadata.items())):
        if value:
            print_text(f"  {style('dim', f'{plain(name)}:')} {plain(value)}")
    for warning in entity.warnings:
        print_text(f"  {style('yellow', 'warning:')} {plain(warning)}")
    _print_list("Observations", [f"[{item.category}] {item.content}" for item in entity.observations])
    _print_list("Relations", [f"{item.type} -> {_target(item.target, item.to_path)}" for item in entity.relations])
    _print_list("Incoming", [f"{shown(item.from_path)} {item.type} ->" for item in entity.incoming])


def _target(target: str, to_path: bytes | None) -> str:
    return f"{target} ({shown(to_path)})" if to_path is not None else f"{target} (unresolved)"


def _print_list(heading: str, lines: list[str]) -> None:
    if lines:
        print_text(f"{heading}:")
    for line in lines:
        print_text(f"  {plain(line)}")
