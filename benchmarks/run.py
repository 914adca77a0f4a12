"""Measure bm-gitindex against all peers that are present, and write a report.

    python benchmarks/run.py [--only WORKLOAD]... [--sizes 1000,10000,100000,300000] [--runs N] [--slow-runs N]
        [--basic-memory PATH] [--their-runs N] [--notes N] [--pdfs N] [--note-size SIZE] [--folders LAYOUT]
        [--instructions] [--folder DIR] [--output DIR]
    python benchmarks/run.py --from FILE.json [--from FILE.json]... [--output DIR]

bm-gitindex is that of the interpreter; git has to be installed. pygit2, dulwich and rsync take part where they are
installed, basic-memory where PATH names its command (0.23.2 was compared). Every workload of `workloads.py` is measured
over the usual vault (2,569 notes, 31 PDFs), over vaults of short notes of each size, or over both; `--sizes ''` leaves
the latter out. Whole processes take turns, on warm caches, after one run each that does not count. DIR, which is kept,
is where the vaults are made, else a temporary folder; 300,000 files need some 3 GB.

Into the output folder (`benchmark-results` unless told otherwise) go `results.json` with every single run, written
after each workload, `report.md`, and plots as SVG where matplotlib is installed (`pip install '.[benchmarks]'`). With
`--from` nothing is measured: the report is made from such files, the later winning where two have the same.

WORKLOAD: startup, first-sync, status, library-status, index-load, index-write, sync-unchanged, status-1-change,
status-100-changes, sync-1-change, sync-100-changes.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, get_args

sys.path.insert(0, str(Path(__file__).parent))
from measuring import Cost, instructions, peak_together_bytes, smallest_peak_bytes
from peers import warm_up
from report import write_report
from results import USUAL, Measurement, Series, merged, read, to_json
from surroundings import Others, facts
from vault import NOTES, PDFS, Layout, NoteSize, Shape
from workloads import OURS_SYNC, WORKLOADS, Contender, Limits, Place, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_INSTRUCTIONS_OF = {"startup": None, "status": 3_000}
"""Workloads whose instructions are counted, and over how many files at most."""


def main() -> None:
    """Measure, or only report, as the command line asks for."""
    arguments = _arguments(sys.argv[1:])
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    if arguments.sources:
        write_report(merged([read(path) for path in arguments.sources]), output)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        warm_up()
        for measurement in measured_so_far(arguments, folder):
            (output / "results.json").write_text(to_json(measurement), "utf-8")
    write_report(measurement, output)


def measured_so_far(arguments: argparse.Namespace, folder: Path) -> Iterator[Measurement]:
    """Yield what is known after each workload."""
    others = Others()
    machine = facts(folder)
    machine["smallest peak that can be measured"] = f"{smallest_peak_bytes(folder) / 1e6:.1f} MB"
    left_out = tuple(_left_out(arguments))
    for line in left_out:
        _say(f"left out: {line}")
    found: list[Series] = []
    for place in _places(arguments, folder):
        wanted = _wanted(arguments.only, place)
        if not wanted:
            continue
        _say(f"{place.name}: {place.files:,} files")
        place.make()
        for workload in wanted:
            contenders = workload.contenders(place)
            runs = take_turns(workload, contenders, arguments.runs, place.log)
            for contender, costs in zip(contenders, runs, strict=True):
                counted = _instructions(workload, place, contender) if arguments.instructions else None
                held = _peak_together_bytes(workload, contender)
                found.append(Series(workload.name, place.name, place.files, contender.who, tuple(costs), counted, held))
                _say(f"  {workload.name:<20} {contender.who:<32} {found[-1].spread('wall_s').median * 1000:10.1f} ms")
            yield Measurement(machine, (others.conditions(),), left_out, tuple(found))


def take_turns(workload: Workload, contenders: Sequence[Contender], runs: int, log: Path) -> list[list[Cost]]:
    """Return the costs of all runs of each contender, who take turns."""
    costs: list[list[Cost]] = [[] for _ in contenders]
    for number in range(-1 if workload.warm_up else 0, runs):
        for contender, known in zip(contenders, costs, strict=True):
            if contender.most_runs is None or number < contender.most_runs:
                contender.before()
                cost = contender.measure(contender.line, contender.environment, log)
                if number >= 0:
                    known.append(cost)
    return costs


def _places(arguments: argparse.Namespace, folder: Path) -> Iterator[Place]:
    limits = Limits(arguments.slow_runs, arguments.their_runs, arguments.basic_memory)
    yield Place(folder / USUAL, USUAL, Shape(arguments.notes, arguments.pdfs), limits)
    name = f"{arguments.note_size} notes, {arguments.layout}"
    for size in arguments.sizes:
        shape = Shape(size, 0, arguments.note_size, arguments.layout)
        yield Place(folder / f"{arguments.note_size}-{arguments.layout}-{size}", name, shape, limits)


def _wanted(only: Sequence[str], place: Place) -> list[Workload]:
    usual = place.name == USUAL
    fitting = (workload for workload in WORKLOADS if not (workload.only_sized if usual else workload.only_usual))
    return [workload for workload in fitting if not only or workload.name in only]


def _instructions(workload: Workload, place: Place, contender: Contender) -> int | None:
    most_files = _INSTRUCTIONS_OF.get(workload.name, 0)
    if most_files is not None and place.files > most_files:
        return None
    return instructions(contender.line, contender.environment)


def _peak_together_bytes(workload: Workload, contender: Contender) -> int | None:
    if not workload.starts_others or contender.who != OURS_SYNC:
        return None
    contender.before()
    return peak_together_bytes(contender.line, contender.environment)


def _left_out(arguments: argparse.Namespace) -> Iterator[str]:
    if not arguments.basic_memory:
        yield "basic-memory: no --basic-memory PATH was given"
    if not shutil.which("rsync"):
        yield "rsync: not installed"
    if not importlib.util.find_spec("bm_gitindex._native"):
        yield "the compiled part of bm-gitindex: not built, so that all figures are pure Python's"
    for package in ("pygit2", "dulwich"):
        if not importlib.util.find_spec(package):
            yield f"{package}: not installed"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _sizes(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--only", action="append", choices=names, default=[], metavar="WORKLOAD")
    parser.add_argument("--sizes", type=_sizes, default=[1_000, 10_000, 100_000, 300_000], metavar="N,N,...")
    parser.add_argument("--runs", type=int, default=7, metavar="N")
    parser.add_argument(
        "--slow-runs", type=int, default=3, metavar="N", help="first syncs, and basic-memory's later ones"
    )
    parser.add_argument("--their-runs", type=int, default=1, metavar="N", help="basic-memory's first ones")
    parser.add_argument("--basic-memory", metavar="PATH", help="the command basic-memory")
    parser.add_argument("--notes", type=int, default=NOTES, metavar="N", help="of the usual vault")
    parser.add_argument("--pdfs", type=int, default=PDFS, metavar="N", help="of the usual vault")
    parser.add_argument("--note-size", choices=get_args(NoteSize), default="short", help="in the vaults of each size")
    parser.add_argument("--folders", dest="layout", choices=get_args(Layout), default="wide")
    parser.add_argument("--instructions", action="store_true", help="count them, for startup and small statuses")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where the vaults are made; it is kept")
    parser.add_argument("--output", type=Path, default=Path("benchmark-results"), metavar="DIR")
    parser.add_argument("--from", dest="sources", type=Path, action="append", metavar="FILE.json")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
