"""What a watcher takes: from an edit to its committed row, to answer a status, and while nothing happens.

    python benchmarks/live.py [--only PART]... [--latency-sizes 1000,100000] [--edits N]
        [--status-sizes 1000,10000,100000] [--runs N] [--idle-sizes 10000] [--idle-seconds S] [--interval S]
        [--note-size SIZE] [--folders LAYOUT] [--folder DIR] [--output FILE.json]

PART is `latency`, `status` or `idle`; all of them unless told otherwise. The sizes are numbers of notes, those of
`vault.py`; DIR, which is kept, is where the vaults are made, else a temporary folder. A watcher runs as users start
it, with its usual interval unless another is given. Tables are printed; every single value goes into the FILE
(`watching.json` unless told otherwise), which is written after each vault.

latency: N notes (1,000) are edited one after the other, each 0.15 to 0.3 s after the row of the one before was there.
    It is the time from the return of close() until another connection with the database, which asks every 0.5 ms, reads
    the row with the note's new blob id.
status: whole processes take turns, N times each (21), after one turn that does not count: `bm-gitindex status` with a
    watcher, the same with `--no-daemon`, and `git status --porcelain` without and with its cache of untracked files. A
    status that the watcher left to a full look is counted.
idle: share of one core, memory and switches of the watcher over S seconds (600) in which nothing happens; and before
    that, over the minute after a status, when it looks for events more often. Linux only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

sys.path.insert(0, str(Path(__file__).parent))
from bm_gitindex.options import WatchOptions
from bm_gitindex.watching.asking import ask
from bm_gitindex.watching.notifier import ALERT_S
from measuring import Cost, environment, measured
from peers import warm_up
from surroundings import Others, facts
from vault import Layout, NoteSize, Shape, VaultMaker
from workloads import Limits, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FORMAT = 1
PARTS = ("latency", "status", "idle")
WATCHED, FULL, GIT, GIT_CACHED = (
    "bm-gitindex, watched",
    "bm-gitindex, a full look",
    "git",
    "git, untracked cache",
)
_SEED = 23
_LEAST_PAUSE_S, _MOST_PAUSE_S = 0.15, 0.3
_LOOK_EVERY_S = 0.0005
_LOST_AFTER_S = 60.0
_UP_AFTER_S = 600.0
_ASK_S = 5.0
_QUERY = "SELECT blob_id FROM entity JOIN project ON project.id = project_id WHERE name = 'local' AND file_path = ?"
"""By the index of paths: a look at every row would take as long as what is measured."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Watched:
    """A place that is watched by a process of its own."""

    def __init__(self, place: Place, process: subprocess.Popen[bytes]) -> None:
        self.place = place
        self.pid = process.pid
        self._process = process
        self._state_folder = str(place.ours.database.parent)

    def state(self) -> dict[str, Any]:
        """Return what the watcher says of itself."""
        answer = ask(self._state_folder, "state", _ASK_S) or b""
        known: dict[str, Any] = json.loads(answer.partition(b" ")[2] or b"{}")
        return known

    def wait_until_clean(self) -> None:
        """Wait until a status is answered, and nothing differs. Raises RuntimeError where that is never so."""
        deadline_s = time.monotonic() + _UP_AFTER_S
        while not (ask(self._state_folder, "status", _ASK_S) or b"").startswith(b"clean "):
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"the watcher of {self.place.vault} is not up; see {self.place.log}")
            time.sleep(0.05)


@contextmanager
def watched(place: Place, interval_s: float) -> Iterator[Watched]:
    """Watch a place, of which everything is known before."""
    line = place.ours.line("watch", "--json", f"--interval={interval_s}")
    with open(place.log, "ab") as log:
        process = subprocess.Popen(line, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        found = Watched(place, process)
        found.wait_until_clean()
        yield found
        process.terminate()
        process.wait(_UP_AFTER_S)
    finally:
        process.kill()
        process.wait()


# --- latency ---------------------------------------------------------------------------------------------------------


def latencies_ms(watcher: Watched, maker: VaultMaker, notes: int, edits: int) -> list[float]:
    """Edit notes, and put them back in the end; return how long it took each time until the row was there."""
    chance = random.Random(_SEED)
    found = []
    numbers = [chance.randrange(notes) for _ in range(edits)]
    with closing(sqlite3.connect(f"{watcher.place.ours.database.as_uri()}?mode=ro", uri=True)) as connection:
        for edit, number in enumerate(numbers):
            time.sleep(chance.uniform(_LEAST_PAUSE_S, _MOST_PAUSE_S))
            content = f"{maker.text(number)}\n- [edit] number {edit}, in the run of {time.time_ns()}\n".encode()
            found.append(_latency_ms(watcher.place.vault, maker.path(number), content, connection))
    for number in set(numbers):
        (watcher.place.vault / maker.path(number)).write_bytes(maker.text(number).encode())
    return found


def _latency_ms(vault: Path, path: str, content: bytes, connection: sqlite3.Connection) -> float:
    """Write a note; return the time from then until its row is there. Raises RuntimeError where it never is."""
    blob_id = hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()
    (vault / path).write_bytes(content)
    began_s = time.perf_counter()
    while connection.execute(_QUERY, (path,)).fetchone() != (blob_id,):
        if time.perf_counter() - began_s > _LOST_AFTER_S:
            raise RuntimeError(f"the edit of {path} is not known after {_LOST_AFTER_S:.0f} s")
        time.sleep(_LOOK_EVERY_S)
    return (time.perf_counter() - began_s) * 1000


def measure_latency(place: Place, maker: VaultMaker, arguments: argparse.Namespace) -> dict[str, object]:
    """Measure one vault, and print its row."""
    place.settle()
    with watched(place, arguments.interval) as watcher:
        values = latencies_ms(watcher, maker, place.files, arguments.edits)
        state = watcher.state()
    row = (statistics.median(values), percentile(values, 99), min(values), max(values))
    print(f"{place.files:>9,} {len(values):>7,}" + "".join(f" {value:>9.1f}" for value in row), flush=True)
    return {"notes": place.files, "milliseconds": values, "state": state}


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


# --- status ----------------------------------------------------------------------------------------------------------


def measure_status(place: Place, _: VaultMaker, arguments: argparse.Namespace) -> dict[str, object]:
    """Measure one vault, and print its rows."""
    place.settle(place.git, place.git_untracked)
    lines = {
        WATCHED: place.ours.line("status"),
        FULL: place.ours.line("status", "--no-daemon"),
        GIT: place.git.line("status", "--porcelain"),
        GIT_CACHED: place.git_untracked.line("status", "--porcelain"),
    }
    costs: dict[str, list[Cost]] = {who: [] for who in lines}
    with watched(place, arguments.interval) as watcher:
        before = watcher.state()
        for turn in range(-1, arguments.runs):
            for who, line in lines.items():
                cost = measured(line, environment(), place.log)
                if turn >= 0:
                    costs[who].append(cost)
        state = watcher.state()
    asked, doubts = (state[name] - before[name] for name in ("questions", "doubts"))
    medians = {who: statistics.median(cost.wall_s for cost in known) for who, known in costs.items()}
    for who, wall_s in medians.items():
        cpu_s = statistics.median(cost.cpu_s for cost in costs[who])
        ratios = "".join(f" {wall_s / medians[git]:>12.2f}" for git in (GIT, GIT_CACHED))
        print(f"{place.files:>9,} {who:<26} {wall_s * 1000:>9.1f} {cpu_s * 1000:>9.1f}{ratios}")
    print(f"{'':>9} {asked} questions, {doubts} of them left to a full look", flush=True)
    runs = {who: [cost._asdict() for cost in known] for who, known in costs.items()}
    return {"files": place.files, "runs": runs, "questions": asked, "doubts": doubts}


# --- idle ------------------------------------------------------------------------------------------------------------


def measure_idle(place: Place, _: VaultMaker, arguments: argparse.Namespace) -> dict[str, object]:
    """Measure one vault, and print its rows."""
    place.settle()
    found: list[dict[str, object]] = []
    with watched(place, arguments.interval) as watcher:
        for when, seconds in (("after a status", ALERT_S), ("idle", arguments.idle_seconds)):
            taken = _taken_while(watcher, seconds)
            print(
                f"{place.files:>9,} {when:<16} {seconds:>7.0f} {100 * taken['cpu_share']:>9.3f}"
                f" {taken['switches_per_s']:>11.1f} {taken['rss_bytes'] / 1e6:>8.1f} {taken['peak_bytes'] / 1e6:>8.1f}"
                f" {taken['passes']:>7.0f}",
                flush=True,
            )
            found.append({"when": when, "seconds": seconds, **taken})
    return {"files": place.files, "spans": found}


def _taken_while(watcher: Watched, seconds: float) -> dict[str, float]:
    """Return what a watcher takes in a span of time in which nothing happens."""
    passes_before, cpu_before_s, switches_before = (
        watcher.state()["passes"],
        _cpu_s(watcher.pid),
        _switches(watcher.pid),
    )
    began_s = time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - began_s
    cpu_s, switches = _cpu_s(watcher.pid) - cpu_before_s, _switches(watcher.pid) - switches_before
    return {
        "cpu_s": cpu_s,
        "cpu_share": cpu_s / took_s,
        "switches_per_s": switches / took_s,
        "rss_bytes": 1024 * _number_in(Path(f"/proc/{watcher.pid}/status"), "VmRSS"),
        "peak_bytes": 1024 * _number_in(Path(f"/proc/{watcher.pid}/status"), "VmHWM"),
        "passes": watcher.state()["passes"] - passes_before,
    }


def _cpu_s(pid: int) -> float:
    """Return what all threads of a process have used, those that have ended too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _switches(pid: int) -> int:
    """Return how often the threads that a process has were run anew."""
    return sum(
        _number_in(task / "status", f"{kind}voluntary_ctxt_switches")
        for task in Path(f"/proc/{pid}/task").iterdir()
        for kind in ("", "non")
    )


def _number_in(status: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


# --- all of it -------------------------------------------------------------------------------------------------------

_HEADINGS = {
    "latency": f"{'notes':>9} {'edits':>7} {'median':>9} {'p99':>9} {'least':>9} {'most':>9}   (ms)",
    "status": f"{'notes':>9} {'who':<26} {'wall ms':>9} {'CPU ms':>9} {'of git':>12} {'of cached':>12}",
    "idle": f"{'notes':>9} {'when':<16} {'seconds':>7} {'% of core':>9} {'switches/s':>11} {'MB':>8} {'peak MB':>8}"
    f" {'passes':>7}",
}
_MEASURES: dict[str, Callable[[Place, VaultMaker, argparse.Namespace], dict[str, object]]] = {
    "latency": measure_latency,
    "status": measure_status,
    "idle": measure_idle,
}


def main() -> None:
    """Run the parts that the command line asks for."""
    arguments = _arguments(sys.argv[1:])
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        warm_up()
        others, known = Others(), {"format": FORMAT, "machine": facts(folder)}
        for part in arguments.only or PARTS:
            print(f"\n{part}\n{_HEADINGS[part]}", flush=True)
            found: list[dict[str, object]] = []
            for notes in getattr(arguments, f"{part}_sizes"):
                shape = Shape(notes, 0, arguments.note_size, arguments.layout)
                name = f"{arguments.note_size}-{arguments.layout}-{notes}"
                place = Place(folder / name, name, shape, Limits(0, 0, None))
                place.make()
                found.append(_MEASURES[part](place, VaultMaker(shape), arguments))
                known = {**known, part: found, "conditions": others.conditions()}
                arguments.output.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
    print(f"\nothers took {100 * others.conditions().get('others_share', 0):.0f}% of the machine")


def _sizes(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART")
    parser.add_argument("--latency-sizes", type=_sizes, default=[1_000, 100_000], metavar="N,N,...")
    parser.add_argument("--edits", type=int, default=1_000, metavar="N")
    parser.add_argument("--status-sizes", type=_sizes, default=[1_000, 10_000, 100_000], metavar="N,N,...")
    parser.add_argument("--runs", type=int, default=21, metavar="N", help="of each status")
    parser.add_argument("--idle-sizes", type=_sizes, default=[10_000], metavar="N,N,...")
    parser.add_argument("--idle-seconds", type=float, default=600.0, metavar="S")
    parser.add_argument("--interval", type=float, default=WatchOptions().interval_s, metavar="S", help="of the watcher")
    parser.add_argument("--note-size", choices=get_args(NoteSize), default="short")
    parser.add_argument("--folders", dest="layout", choices=get_args(Layout), default="wide")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where the vaults are made; it is kept")
    parser.add_argument("--output", type=Path, default=Path("watching.json"), metavar="FILE.json")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
