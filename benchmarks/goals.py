"""The goals: each is a value that can say, of a measurement, what was reached.

A goal names the number of files that it is about. Where that was not measured, the largest number that was takes its
place, and the row says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from words import bytes_words, limit_words, ratio_words, spread_words
from workloads import (
    BASIC_MEMORY,
    GIT,
    GIT_LIST,
    GIT_REFRESH,
    HASHING,
    INTERPRETER,
    OURS,
    OURS_SYNC,
)

if TYPE_CHECKING:
    from results import Figure, Measurement, Series

_NOT_MEASURED = "not measured"


class Row(NamedTuple):
    """One line of the table of goals; what does not apply is empty."""

    workload: str
    goal: str
    met: str
    ours: str = ""
    peer: str = ""
    ratio: str = ""
    least_ratio: str = ""
    cpu_ratio: str = ""
    instructions_ratio: str = ""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours is to take at most `limit` times what a peer takes in the same workload."""

    title: str
    workload: str
    files: int | None
    """None is the usual vault."""
    peer: str
    limit: float
    ours: str = OURS
    figure: Figure = "wall_s"

    def row(self, measurement: Measurement) -> Row:
        """Return what was reached."""
        found, note = _measured(measurement, self.workload, self.files)
        title, goal = self.title + note, limit_words(self.limit)
        ours, peer = found.get(self.ours), found.get(self.peer)
        if not ours or not peer:
            missing = f"no {self.peer}" if ours else _NOT_MEASURED
            return Row(title, goal, missing, _words(ours, self.figure), _words(peer, self.figure))
        mine, theirs = ours.spread(self.figure), peer.spread(self.figure)
        ratio = mine.median / theirs.median
        row = Row(
            title,
            goal,
            _met(is_met=ratio <= self.limit),
            _words(ours, self.figure),
            f"{_words(peer, self.figure)} {self.peer if self.peer != OURS else 'our status'}",
            ratio_words(ratio),
        )
        if self.figure == "peak_bytes":
            return row
        cpu_ratio = ours.spread("cpu_s").median / max(peer.spread("cpu_s").median, 1e-6)
        counted = ours.instructions / peer.instructions if ours.instructions and peer.instructions else None
        return row._replace(
            least_ratio=ratio_words(mine.least / theirs.least),
            cpu_ratio=ratio_words(cpu_ratio),
            instructions_ratio="" if counted is None else ratio_words(counted),
        )


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The peak memory is to be at most so many bytes."""

    title: str
    workload: str
    files: int | None
    limit_bytes: int
    ours: str = OURS

    def row(self, measurement: Measurement) -> Row:
        """Return what was reached."""
        found, note = _measured(measurement, self.workload, self.files)
        goal = f"≤ {bytes_words(self.limit_bytes)}"
        ours = found.get(self.ours)
        if not ours:
            return Row(self.title + note, goal, _NOT_MEASURED)
        is_met = ours.spread("peak_bytes").median <= self.limit_bytes
        return Row(self.title + note, goal, _met(is_met=is_met), _words(ours, "peak_bytes"))


@dataclass(frozen=True, slots=True)
class Growth:
    """The peak memory is to grow by at most so many bytes for each file more."""

    title: str
    workload: str
    sizes: tuple[int, int]
    limit_bytes: int
    ours: str = OURS

    def row(self, measurement: Measurement) -> Row:
        """Return what was reached."""
        goal = f"≤ {self.limit_bytes} B a file"
        known = measurement.sizes(self.workload, is_usual=False)
        wanted = [size for size in known if size[1] in self.sizes]
        pair = wanted if len(wanted) == 2 else known[-2:]
        if len(pair) < 2:
            return Row(self.title, goal, _NOT_MEASURED)
        small, large = (measurement.of(self.workload, *size)[self.ours] for size in pair)
        grown = large.spread("peak_bytes").median - small.spread("peak_bytes").median
        each = grown / (large.files - small.files)
        title = f"{self.title}, {small.files:,} to {large.files:,} files"
        return Row(title, goal, _met(is_met=each <= self.limit_bytes), f"{each:.0f} B a file")


@dataclass(frozen=True, slots=True)
class Cores:
    """How many cores are kept busy: CPU time by wall time. A profile has to say why it is not all of them."""

    title: str
    workload: str
    files: int | None
    ours: str = OURS

    def row(self, measurement: Measurement) -> Row:
        """Return what was reached."""
        found, note = _measured(measurement, self.workload, self.files)
        cores = measurement.machine.get("cores", "?")
        ours = found.get(self.ours)
        busy = f"{ours.spread('cpu_s').median / ours.spread('wall_s').median:.2f} cores busy" if ours else ""
        met = "see the profile" if ours else _NOT_MEASURED
        return Row(self.title + note, f"all of {cores} cores", met, busy)


Goal = Ratio | Ceiling | Growth | Cores

_LARGE = 100_000
GOALS: tuple[Goal, ...] = (
    Ratio("`status`, clean, whole process", "status", _LARGE, GIT, 1.0),
    Ratio("`status`, clean, no ignore file, whole process", "status", None, INTERPRETER, 4),
    Ratio("library `status()`, clean, in process, second call", "library-status", _LARGE, GIT_REFRESH, 1.0),
    Ratio("load the index", "index-load", _LARGE, GIT_LIST, 0.5),
    Ratio("write it with 1 change", "index-write", _LARGE, GIT_LIST, 1.0),
    Ratio("`sync`, nothing changed, whole process", "sync-unchanged", _LARGE, OURS, 1.3, ours=OURS_SYNC),
    Ratio("first `sync`", "first-sync", None, BASIC_MEMORY, 1 / 200, ours=OURS_SYNC),
    Ratio("`sync` after 1 edit", "sync-1-change", None, BASIC_MEMORY, 1 / 50, ours=OURS_SYNC),
    Ratio("first `sync`", "first-sync", _LARGE, HASHING, 4, ours=OURS_SYNC),
    Ceiling("peak memory, first `sync`", "first-sync", None, 80_000_000, OURS_SYNC),
    Ratio("peak memory, `status`", "status", _LARGE, GIT, 2, figure="peak_bytes"),
    Ceiling("peak memory, first `sync`", "first-sync", _LARGE, 200_000_000, OURS_SYNC),
    Growth("peak memory, first `sync`", "first-sync", (_LARGE, 300_000), 200, OURS_SYNC),
    Cores("CPU of parsing and storing", "first-sync", _LARGE, OURS_SYNC),
)


def _measured(measurement: Measurement, workload: str, files: int | None) -> tuple[dict[str, Series], str]:
    """Return the series by who it was, and the words that say over how many files."""
    known = measurement.sizes(workload, is_usual=files is None)
    if not known:
        return {}, "" if files is None else f", {files:,} files"
    vault, size = next((one for one in known if one[1] == files), known[-1])
    note = f", {size:,} files" if files in (None, size) else f", {size:,} files (the goal is for {files:,})"
    return measurement.of(workload, vault, size), note


def _words(series: Series | None, figure: Figure) -> str:
    return spread_words(series.spread(figure), figure) if series else ""


def _met(*, is_met: bool) -> str:
    return "yes" if is_met else "**no**"
