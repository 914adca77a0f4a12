"""The same vault, imported by us and by basic-memory: time, memory, and whether both databases say the same.

    python benchmarks/against_basic_memory.py --basic-memory PATH [--notes N] [--pdfs N] [--runs N] [--their-runs N]
                                              [--folder DIR] [--output FILE]

PATH is the command of an installed basic-memory (0.23.2 was compared). Makes the vault of `vault.py` in a temporary
folder, or in DIR, which is kept. Each run has a fresh copy of the vault and an empty database; ours and theirs take
turns. Then `import-basic-memory` takes over their identities. Prints tables in Markdown, and writes them to FILE.

Theirs is `basic-memory reindex --search`, with embeddings, updates and the project's name in permalinks switched off;
its database, which `project add` makes, is there before. Ours is `bm-gitindex sync`, which makes its own. Times and
memory are those of whole processes (os.wait4).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

sys.path.insert(0, str(Path(__file__).parent))
from peers import BasicMemory, Ours, fresh_copy, warm_up
from vault import NOTES, PDFS, Shape, VaultMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from measuring import Cost

_SHOWN_DIFFERENCES = 5
_OURS = (
    "SELECT file_path, title, type, permalink, external_id FROM entity",
    """SELECT file_path, category, content, observation.tags, context FROM observation
       JOIN entity ON entity.id = entity_id""",
    """SELECT source.file_path, relation.type, target, aim.file_path FROM relation
       JOIN entity AS source ON source.id = from_id LEFT JOIN entity AS aim ON aim.id = to_id""",
)
_THEIRS = (
    """SELECT file_path, title, note_type, entity.permalink, entity.external_id FROM entity
       JOIN project ON project.id = project_id WHERE project.name = 'vault'""",
    "SELECT file_path, category, content, tags, context FROM observation JOIN entity ON entity.id = entity_id",
    """SELECT source.file_path, relation_type, to_name, aim.file_path FROM relation
       JOIN entity AS source ON source.id = from_id LEFT JOIN entity AS aim ON aim.id = to_id""",
)


_Link: TypeAlias = tuple[str, str]
"""Type and target."""


class Content(NamedTuple):
    """What a database says of all notes, by path."""

    entities: Mapping[str, tuple[str, str, str | None]]
    """Title, type, permalink."""
    external_ids: Mapping[str, str]
    observations: Mapping[str, Counter[tuple[object, ...]]]
    relations: Mapping[str, Mapping[_Link, str | None]]
    """By type and target, where it leads; basic-memory keeps one of several that are equal."""


class Comparison:
    """One table: what was compared, and what differs."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, int]] = []
        self.examples: list[str] = []

    def add(self, name: str, compared: int, differences: Sequence[str]) -> None:
        """Add a row, and examples of its differences."""
        self.rows.append((name, compared, len(differences)))
        self.examples += [f"{name}: {one}" for one in differences[:_SHOWN_DIFFERENCES]]


def content(database: Path, queries: tuple[str, str, str]) -> Content:
    """Return what a database says."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        entities, observations, relations = (connection.execute(query).fetchall() for query in queries)
    by_path: dict[str, Counter[tuple[object, ...]]] = {row[0]: Counter() for row in entities}
    links: dict[str, dict[_Link, str | None]] = {row[0]: {} for row in entities}
    for path, category, text, tags, context in observations:
        by_path[path][category, text, tuple(json.loads(tags or "null") or ()), context] += 1
    for path, kind, target, aim in relations:
        links[path][kind, target] = aim
    titles = {path: (title, kind, permalink) for path, title, kind, permalink, _ in entities}
    return Content(titles, {row[0]: row[4] for row in entities}, by_path, links)


def compared(ours: Content, theirs: Content) -> Comparison:
    """Return the differences between two databases over all notes, and over all files."""
    table = Comparison()
    paths = sorted(ours.entities.keys() | theirs.entities.keys())
    only = [f"{path} is only in one" for path in paths if path not in ours.entities or path not in theirs.entities]
    table.add("files", len(paths), only)
    both = sorted(ours.entities.keys() & theirs.entities.keys())
    notes = [path for path in both if path.endswith(".md")]
    for column, name in enumerate(("title", "type", "permalink")):
        pairs = ((path, ours.entities[path][column], theirs.entities[path][column]) for path in notes)
        table.add(f"notes' {name}s", len(notes), [f"{path}: {a!r}, not {b!r}" for path, a, b in pairs if a != b])
    table.add(
        "observations",
        sum(ours.observations[path].total() for path in notes),
        [f"{path}: {one}" for path in notes for one in _unequal(ours.observations[path], theirs.observations[path])],
    )
    mine, known = ours.relations, theirs.relations
    missing = [(path, link) for path in notes for link in sorted(mine[path].keys() ^ known[path].keys())]
    doubled = {(path, link) for path, link in missing if _is_doubled(link, mine[path], known[path])}
    count = sum(len(mine[path]) for path in notes)
    table.add("relations (type and target)", count, [f"{one}" for one in missing if one not in doubled])
    table.add(
        "of these, a second one to the same note, which they drop",
        count,
        [f"{one}" for one in missing if one in doubled],
    )
    both_have = [(path, link) for path in notes for link in sorted(mine[path].keys() & known[path].keys())]
    aims = [(path, link, mine[path][link], known[path][link]) for path, link in both_have]
    led = [row for row in aims if row[2] is not None and row[3] is not None]
    table.add("links that both resolve", len(led), [f"{row}" for row in led if row[2] != row[3]])
    table.add("links that only they resolve", len(aims), [f"{row}" for row in aims if row[2] is None and row[3]])
    only_we = [row for row in aims if row[2] and row[3] is None]
    table.add(
        "links that only we resolve, without a #heading",
        len(aims),
        [f"{row}" for row in only_we if "#" not in row[1][1]],
    )
    table.add(
        "links that only we resolve, with a #heading", len(aims), [f"{row}" for row in only_we if "#" in row[1][1]]
    )
    return table


def _is_doubled(link: _Link, mine: Mapping[_Link, str | None], known: Mapping[_Link, str | None]) -> bool:
    """Return whether we have one relation more to a note, of a type that they have to it already."""
    aim = mine.get(link)
    return aim is not None and any(kind == link[0] and known_aim == aim for (kind, _), known_aim in known.items())


def _unequal(ours: Counter[tuple[object, ...]], theirs: Counter[tuple[object, ...]]) -> list[str]:
    return [f"ours {one}" for one in (ours - theirs).elements()] + [
        f"theirs {one}" for one in (theirs - ours).elements()
    ]


def report(arguments: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Yield the lines of the report as they are known."""
    source = folder / "vault"
    if not source.exists():
        VaultMaker(Shape(arguments.notes, arguments.pdfs)).write(source)
    ours, theirs = Ours(folder / "ours", folder / "ours.log"), BasicMemory(folder, arguments.basic_memory)
    warm_up()
    size_mb = _size_bytes(source) / 1e6
    yield f"{arguments.notes:,} notes and {arguments.pdfs} PDFs, {size_mb:.0f} MB; {os.cpu_count()} cores, "
    yield f"Python {platform.python_version()}; {theirs.version()}; load {os.getloadavg()[0]:.1f} at the start"
    costs: dict[str, list[Cost]] = {"bm-gitindex sync": [], "basic-memory reindex --search": []}
    for number in range(arguments.runs):
        for name, one, most in zip(
            costs, (_first_sync(ours), _first_reindex(theirs)), (arguments.runs, arguments.their_runs), strict=True
        ):
            if number < most:
                costs[name].append(one(source))
                print(f"{name}: {costs[name][-1]}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    yield ""
    yield from _cost_table(costs)
    yield ""
    yield from _parity_table(compared(content(ours.database, _OURS), content(theirs.database, _THEIRS)))
    yield ""
    yield from _import_lines(ours, theirs)
    yield f"Load at the end: {os.getloadavg()[0]:.1f}."


def _first_sync(ours: Ours) -> Callable[[Path], Cost]:
    def run(source: Path) -> Cost:
        fresh_copy(source, ours.vault)
        return ours.run("sync")

    return run


def _first_reindex(theirs: BasicMemory) -> Callable[[Path], Cost]:
    def run(source: Path) -> Cost:
        theirs.start_afresh(source)
        return theirs.run()

    return run


def _cost_table(costs: Mapping[str, Sequence[Cost]]) -> Iterator[str]:
    yield "| | runs | wall time | CPU time | peak memory |"
    yield "|---|---|---|---|---|"
    medians = []
    for name, runs in costs.items():
        wall_s, cpu_s, peak = (statistics.median(values) for values in zip(*runs, strict=True))
        medians.append((wall_s, cpu_s, peak))
        spread = f" ({min(run.wall_s for run in runs):.2f} to {max(run.wall_s for run in runs):.2f})"
        yield f"| `{name}` | {len(runs)} | {wall_s:.2f} s{spread} | {cpu_s:.2f} s | {peak / 1e6:.0f} MB |"
    ratios = [theirs / mine for mine, theirs in zip(*medians, strict=True)]
    yield f"| ratio | | {ratios[0]:.0f} | {ratios[1]:.0f} | {ratios[2]:.1f} |"


def _parity_table(table: Comparison) -> Iterator[str]:
    yield "| compared | count | differences |"
    yield "|---|---|---|"
    for name, count, differences in table.rows:
        yield f"| {name} | {count:,} | {differences:,} |"
    if table.examples:
        yield ""
        yield from (f"- {one}" for one in table.examples)


def _import_lines(ours: Ours, theirs: BasicMemory) -> Iterator[str]:
    cost = ours.run("import-basic-memory", str(theirs.database), theirs.PROJECT)
    mine, known = content(ours.database, _OURS).external_ids, content(theirs.database, _THEIRS).external_ids
    equal = sum(known.get(path) == external_id for path, external_id in mine.items())
    notes = sum(known.get(path) == external_id for path, external_id in mine.items() if path.endswith(".md"))
    yield f"`import-basic-memory` of that database: {cost.wall_s:.2f} s, {cost.peak_bytes / 1e6:.0f} MB; "
    yield f"{equal:,} of {len(mine):,} external ids are theirs now, {notes:,} of them notes'."
    again = ours.answer("import-basic-memory", str(theirs.database), theirs.PROJECT)
    listed = {name: len(found) for name, found in again.items() if isinstance(found, list)}
    yield f"Once more: {again['adopted']} adopted, {again['unchanged']} unchanged, {listed}."
    yield f"`verify`: {ours.answer('verify')['mismatches']}."


def _size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _arguments(argv: Iterable[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--basic-memory", required=True, metavar="PATH", help="the command basic-memory")
    parser.add_argument("--notes", type=int, default=NOTES)
    parser.add_argument("--pdfs", type=int, default=PDFS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--their-runs", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to work; it is kept")
    parser.add_argument("--output", type=Path)
    return parser.parse_args(list(argv))


def main() -> None:
    """Run the comparison that the command line asks for."""
    arguments = _arguments(sys.argv[1:])
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        lines = []
        for line in report(arguments, folder.resolve()):
            print(line, flush=True)
            lines.append(line)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
