"""Where the time of one workload goes.

    python benchmarks/hotspots.py WORKLOAD [VAULT] [--lines N] [--strace] [--pure]

WORKLOAD is `startup` (what a status imports, by its own time), `status`, `index-load` or `index-write` (functions, by
cProfile, of a call after the first), or `first-sync`, `sync-1-change` or `sync-unchanged` (functions, by the CPU time
of all threads, whose stacks are looked at every millisecond; Linux only, and other processes are not looked at). VAULT
is a folder that may be changed, for example one of `run.py --folder`; without it, one of 10,000 short notes is made.
`--strace` counts system calls instead, where strace is installed. `--pure` sets BM_GITINDEX_PURE=1.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))
from measuring import environment
from peers import Ours, warm_up
from vault import Shape, VaultMaker

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_SYNCS = ("first-sync", "sync-1-change", "sync-unchanged")
_WORKLOADS = ("startup", "status", "index-load", "index-write", *_SYNCS)
_LOOK_EVERY_S = 0.001
_IMPORT = re.compile(r"import time: +(\d+) \| +(\d+) \| ( *)(.+)")


def main() -> None:
    """Print where the time goes of the workload that the command line names."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        vault = arguments.vault or Path(temporary) / "vault"
        if not vault.exists():
            VaultMaker(Shape(10_000, 0, "short", "wide")).write(vault)
            time.sleep(2.2)  # until no note is young
        ours = Ours(vault.resolve(), Path(temporary) / "log.txt")
        warm_up()
        _prepare(arguments.workload, ours)
        if arguments.strace:
            _count_calls(ours.line(*_command(arguments.workload)), Path(temporary) / "calls.txt", arguments.lines)
        elif arguments.workload == "startup":
            _print_imports(ours.line("status"), arguments.lines)
        elif arguments.workload in _SYNCS:
            _sample(ours.vault, arguments.lines)
        else:
            _profile(arguments.workload, ours.vault, arguments.lines)


def _prepare(workload: str, ours: Ours) -> None:
    if workload == "first-sync":
        ours.forget()
        return
    ours.settle()
    if workload == "sync-1-change":
        with next(ours.vault.rglob("*.md")).open("a") as note:
            note.write("\n- [edit] one\n")


def _command(workload: str) -> tuple[str, ...]:
    return {"startup": ("--version",), "index-load": ("ls-files",)}.get(
        workload, ("sync",) if workload in _SYNCS else ("status",)
    )


def _profile(workload: str, vault: Path, lines: int) -> None:
    """Print the functions that one call takes its time in, the second of the process."""
    import bm_gitindex
    import inside
    from bm_gitindex.indexfile import read_index

    project = bm_gitindex.Project(vault)
    works: dict[str, Callable[[], object]] = {
        "status": project.status,
        "index-load": lambda: read_index(project.state),
        "index-write": inside.one_change(str(vault)),
    }
    work = works[workload]
    work()
    started_s = time.perf_counter()
    work()
    print(f"{(time.perf_counter() - started_s) * 1000:.1f} ms without the profiler")
    with cProfile.Profile() as profile:
        work()
    pstats.Stats(profile).sort_stats("tottime").print_stats(lines)


class _Sampler:
    """The CPU time of all threads but its own, by the functions they were found in."""

    def __init__(self) -> None:
        self.alone: Counter[str] = Counter()
        self.within: Counter[str] = Counter()
        self._known_ns: dict[int, int] = {}
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> None:
        for thread in threading.enumerate():
            self._used_ns(thread.native_id or 0)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_done.wait(_LOOK_EVERY_S):
            frames = sys._current_frames()  # noqa: SLF001 - there is no public name
            for thread in threading.enumerate():
                if thread is not self._thread and thread.ident in frames and thread.native_id:
                    self._count(frames[thread.ident], self._used_ns(thread.native_id))

    def _count(self, frame: FrameType, used_ns: int) -> None:
        names = _names(frame)
        self.alone[names[0]] += used_ns
        self.within.update(dict.fromkeys(names, used_ns))

    def _used_ns(self, thread: int) -> int:
        """Return the CPU time of a thread since this was last asked."""
        try:
            total_ns = int(Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[0])
        except OSError:  # it has just ended
            return 0
        used_ns = total_ns - self._known_ns.get(thread, 0)
        self._known_ns[thread] = total_ns
        return used_ns


def _sample(vault: Path, lines: int) -> None:
    """Print where the threads of a sync take their CPU time."""
    from bm_gitindex import Project

    project, sampler = Project(vault), _Sampler()
    started_s, before_s = time.perf_counter(), sum(os.times()[2:4])
    with sampler:
        project.sync_blocking()
    seconds, children_s = time.perf_counter() - started_s, sum(os.times()[2:4]) - before_s
    seen_s = sampler.alone.total() / 1e9
    print(f"{seconds:.2f} s; {seen_s:.2f} s of CPU in these threads, {children_s:.2f} s in other processes")
    for title, counted in (("innermost function", sampler.alone), ("in it, or called by it", sampler.within)):
        print(f"\n{'of CPU time':>14}  {title}")
        for name, used_ns in counted.most_common(lines):
            print(f"{used_ns / 1e9 / max(seen_s, 1e-9):>14.1%}  {name}")


def _names(frame: FrameType | None) -> list[str]:
    """Return the functions of a stack, the innermost first."""
    names = []
    while frame is not None:
        place = Path(frame.f_code.co_filename)
        names.append(f"{place.parent.name}/{place.name}:{frame.f_code.co_firstlineno} {frame.f_code.co_qualname}")
        frame = frame.f_back
    return names


def _print_imports(line: list[str], lines: int) -> None:
    """Print what a command imports, by the time that each module takes itself."""
    command = [sys.executable, "-X", "importtime", *(line[1:] if line[0] == sys.executable else line)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=_environment())
    rows = [(int(own), int(whole), name) for own, whole, _, name in _IMPORT.findall(done.stderr)]
    print(f"{len(rows)} modules, {sum(own for own, _, _ in rows) / 1000:.1f} ms")
    print(f"{'itself, ms':>12}{'in all, ms':>12}  module")
    for own, whole, name in sorted(rows, reverse=True)[:lines]:
        print(f"{own / 1000:>12.2f}{whole / 1000:>12.2f}  {name}")


def _count_calls(command: list[str], output: Path, lines: int) -> None:
    """Print how often each system call was made, and what it took."""
    subprocess.run(["strace", "-c", "-f", "-o", str(output), *command], check=True, env=_environment())
    print("\n".join(output.read_text().splitlines()[: lines + 2]))


def _environment() -> dict[str, str]:
    """Return the environment of other processes, which does without the compiled part where we do."""
    pure = {name: value for name, value in os.environ.items() if name == "BM_GITINDEX_PURE"}
    return environment(**pure)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=_WORKLOADS, metavar="WORKLOAD")
    parser.add_argument("vault", type=Path, nargs="?", metavar="VAULT")
    parser.add_argument("--lines", type=int, default=25, metavar="N")
    parser.add_argument("--strace", action="store_true", help="count system calls")
    parser.add_argument("--pure", action="store_true", help="without the compiled scanner")
    arguments = parser.parse_intermixed_args()
    if arguments.pure:
        os.environ["BM_GITINDEX_PURE"] = "1"
    return arguments


if __name__ == "__main__":
    main()
