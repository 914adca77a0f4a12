"""What was measured, as values, and as JSON that a report can be made from again.

A `Measurement` is one invocation of `run.py`; `merged` takes several together. The JSON has every single run.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from measuring import Cost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FORMAT = 1
USUAL = "usual"
"""The name of the vault of notes as people have them, with PDFs; the others are called by the shape of their notes."""

Figure = Literal["wall_s", "cpu_s", "peak_bytes"]


class Spread(NamedTuple):
    """A median, and how far the runs lie apart."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Series:
    """All runs of one contender in one workload over one vault."""

    workload: str
    vault: str
    files: int
    who: str
    runs: tuple[Cost, ...]
    instructions: int | None = None
    together_bytes: int | None = None
    """The most that all its processes held at one time, where that was looked at."""

    def spread(self, figure: Figure) -> Spread:
        """Return median, least and most of a figure; of memory, what the processes held together where it is more."""
        values = [getattr(run, figure) for run in self.runs]
        found = Spread(statistics.median(values), min(values), max(values))
        if figure == "peak_bytes" and self.together_bytes and self.together_bytes > found.median:
            return Spread(self.together_bytes, self.together_bytes, self.together_bytes)
        return found


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one invocation found, and where."""

    machine: Mapping[str, str]
    conditions: tuple[Mapping[str, float], ...]
    """Of each invocation that is in here: loads, seconds, the share of the machine that others took."""
    left_out: tuple[str, ...]
    series: tuple[Series, ...]

    def of(self, workload: str, vault: str, files: int) -> dict[str, Series]:
        """Return the series of a workload over a vault, by who it was."""
        found = (series for series in self.series if series.workload == workload)
        return {series.who: series for series in found if series.vault == vault and series.files == files}

    def sizes(self, workload: str, *, is_usual: bool) -> list[tuple[str, int]]:
        """Return the vaults that a workload was measured over, the usual one or the others, from small to large."""
        found = {(one.files, one.vault) for one in self.series if one.workload == workload}
        return [(vault, files) for files, vault in sorted(found) if (vault == USUAL) is is_usual]


def merged(measurements: Iterable[Measurement]) -> Measurement:
    """Return several measurements as one: of a workload over a vault that two have, the later one's runs count.

    What only some of them left out is not said to be left out: where it belongs, its row is missing.
    """
    first, *others = measurements
    for other in others:
        replaced = {(one.workload, one.vault, one.files) for one in other.series}
        kept = [one for one in first.series if (one.workload, one.vault, one.files) not in replaced]
        first = Measurement(
            {**first.machine, **other.machine},
            first.conditions + other.conditions,
            tuple(what for what in first.left_out if what in other.left_out),
            (*kept, *other.series),
        )
    return first


def to_json(measurement: Measurement) -> str:
    """Return a measurement as JSON."""
    fields = {**asdict(measurement), "series": [_series_fields(series) for series in measurement.series]}
    return json.dumps({"format": FORMAT, **fields}, indent=1) + "\n"


def _series_fields(series: Series) -> dict[str, object]:
    return {**asdict(series), "runs": [run._asdict() for run in series.runs]}


def from_json(text: str) -> Measurement:
    """Return the measurement that JSON holds. Raises ValueError for another format."""
    value = json.loads(text)
    if value.get("format") != FORMAT:
        raise ValueError(f"not a measurement of format {FORMAT}")
    series = (Series(**{**one, "runs": tuple(Cost(**run) for run in one["runs"])}) for one in value["series"])
    return Measurement(value["machine"], tuple(value["conditions"]), tuple(value["left_out"]), tuple(series))


def read(path: Path) -> Measurement:
    """Return the measurement in a file. Raises ValueError for what is none."""
    return from_json(path.read_text("utf-8"))
