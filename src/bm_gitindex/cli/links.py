"""`bm-gitindex links`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bm_gitindex.cli.find import summary_json, summary_line
from bm_gitindex.cli.output import JsonList, Style, plain, print_error, print_json, print_text, project_of, shown, text
from bm_gitindex.cli.show import named_entity
from bm_gitindex.errors import UsageError
from bm_gitindex.syncing.cancellation import run_in_loop

if TYPE_CHECKING:
    import argparse

    from bm_gitindex.entities.records import Entity, Neighbour, Neighbourhood
    from bm_gitindex.project import Project

NAME = "links"
SUMMARY = "show what is linked with an entity, links that lead nowhere, or notes that nothing is linked with"
EXAMPLE = "bm-gitindex links notes/search.md --depth 2"

_MOST_SHOWN = 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--unresolved", action="store_true", help="links that lead to no entity")
    what.add_argument("--orphans", action="store_true", help="notes that no link connects with another entity")
    parser.add_argument(
        "--depth", type=int, default=1, metavar="N", help="follow up to N links, both ways (default: 1)"
    )
    parser.add_argument("paths", nargs="?", metavar="PATH|PERMALINK", help="what is linked with this entity")


def run(arguments: argparse.Namespace) -> int:
    """Show links."""
    is_general = arguments.unresolved or arguments.orphans
    if is_general is (arguments.paths is not None):
        raise UsageError("name an entity, or ask for --unresolved or --orphans")
    if arguments.depth < 1:
        raise UsageError("--depth is at least 1")
    project = project_of(arguments)
    if arguments.unresolved:
        run_in_loop(lambda: _print_unresolved(project, arguments))
    elif arguments.orphans:
        run_in_loop(lambda: _print_orphans(project, arguments))
    else:
        arguments.paths = [arguments.paths]
        run_in_loop(lambda: _print_neighbours(project, arguments))
    return 0


async def _print_unresolved(project: Project, arguments: argparse.Namespace) -> None:
    as_json = JsonList("unresolved")
    async with project.entities() as entities:
        async for link in entities.unresolved():
            if arguments.json:
                path = text(link.from_path)
                as_json.add(
                    {"from_path": path, "from_permalink": link.from_permalink, "type": link.type, "target": link.target}
                )
            else:
                print_text(f"{shown(link.from_path)}  {plain(link.type)} -> {plain(link.target)}")
    if arguments.json:
        as_json.end()


async def _print_orphans(project: Project, arguments: argparse.Namespace) -> None:
    style, as_json = Style(), JsonList("orphans")
    async with project.entities() as entities:
        async for found in entities.orphans():
            if arguments.json:
                as_json.add(summary_json(found))
            else:
                print_text(summary_line(found, style))
    if arguments.json:
        as_json.end()


async def _print_neighbours(project: Project, arguments: argparse.Namespace) -> None:
    async with project.entities() as entities:
        entity = await named_entity(project, entities, arguments)
        around = await entities.neighbours(entity.id, arguments.depth, _MOST_SHOWN)
    if arguments.json:
        print_json(_as_json(entity, around))
        return
    style = Style()
    names = {entity.id: shown(entity.file_path)} | {
        one.entity.id: shown(one.entity.file_path) for one in around.neighbours
    }
    for neighbour in around.neighbours:
        print_text(f"{neighbour.distance}  {_relation(neighbour, names, style)}")
    if not around.neighbours:
        print_text(f"nothing is linked with {shown(entity.file_path)}")
    if around.is_cut:
        print_error(f"there are more than {_MOST_SHOWN:,}; a smaller --depth shows the nearest")


def _relation(neighbour: Neighbour, names: dict[int, str], style: Style) -> str:
    near, far = names[neighbour.via_id], names[neighbour.entity.id]
    source, aim = (far, near) if neighbour.is_incoming else (near, far)
    return f"{source} {style('dim', f'{plain(neighbour.type)} ->')} {aim}"


def _as_json(entity: Entity, around: Neighbourhood) -> dict[str, object]:
    neighbours = [
        summary_json(one.entity)
        | {
            "distance": one.distance,
            "relation": one.type,
            "direction": "in" if one.is_incoming else "out",
            "via_id": one.via_id,
        }
        for one in around.neighbours
    ]
    return {"id": entity.id, "file_path": text(entity.file_path), "neighbours": neighbours, "cut": around.is_cut}
