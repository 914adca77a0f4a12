"""The report of a measurement, in Markdown, with the plots beside it where matplotlib is installed."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from goals import GOALS
from results import USUAL
from words import ratio_words, spread_words
from workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from results import Measurement, Series
    from workloads import Workload

_BUSY_SHARE = 0.05
"""Where others took more of the machine than this, a measurement says that it was made on a busy one."""


def write_report(measurement: Measurement, folder: Path) -> None:
    """Write `report.md` and the plots into a folder."""
    if importlib.util.find_spec("matplotlib"):
        # Imported here, since matplotlib is not needed to measure.
        from plots import write_plots

        plots: Sequence[tuple[str, str]] = write_plots(measurement, folder)
    else:
        plots = []
    lines = report(measurement)
    if not plots:
        lines = [*lines, "No plots: matplotlib is not installed."]
    (folder / "report.md").write_text("\n".join([*lines, *_plot_lines(plots)]) + "\n", "utf-8")


def report(measurement: Measurement) -> list[str]:
    """Return the lines of the report, without the plots."""
    return [
        "# Benchmarks",
        "",
        *_conditions(measurement),
        "",
        *(line for what in measurement.left_out for line in (f"**Left out:** {what}.", "")),
        "## Goals",
        "",
        *_goals(measurement),
        "",
        *(line for workload in WORKLOADS for line in _workload(workload, measurement)),
    ]


def _conditions(measurement: Measurement) -> Iterator[str]:
    yield "; ".join(f"{name}: {value}" for name, value in measurement.machine.items()) + "."
    yield ""
    for one in measurement.conditions:
        share = one.get("others_share")
        words = f"Load {one['load_at_start']:.2f} at the start, {one['load_at_end']:.2f} at the end, "
        words += f"{one['seconds']:,.0f} s"
        if share is not None:
            words += f"; other processes took {share:.0%} of all cores"
            words += (
                ": **the machine was busy, so that CPU times say more than wall times**" if share > _BUSY_SHARE else ""
            )
        yield words + "."
    yield ""
    yield "Medians, in brackets the least and the most. Times are those of whole processes (os.wait4), the CPU time"
    yield "that of all threads and children; calls of the library, and the index, are timed inside a process. Peak"
    yield "memory is that of the largest process; where a sync has others parse, what they all hold at one time."


def _goals(measurement: Measurement) -> Iterator[str]:
    yield "| workload | ours | peer | ratio | of least times | of CPU times | of instructions | goal | met |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for goal in GOALS:
        workload, aim, met, *figures = goal.row(measurement)
        yield f"| {' | '.join([workload, *figures, aim, met])} |"


def _workload(workload: Workload, measurement: Measurement) -> Iterator[str]:
    sizes = [*measurement.sizes(workload.name, is_usual=True), *measurement.sizes(workload.name, is_usual=False)]
    if not sizes:
        return
    yield f"## {workload.title[0].upper()}{workload.title[1:]} (`{workload.name}`)"
    yield ""
    counted = any(one.instructions for one in measurement.series if one.workload == workload.name)
    yield "| files | who | runs | wall time | CPU time | peak memory | wall, ours = 1 |" + " instructions |" * counted
    yield "|---|---|---|---|---|---|---|" + "---|" * counted
    for size in sizes:
        yield from _rows(measurement.of(workload.name, *size), counted=counted)
    yield ""


def _rows(by_who: Mapping[str, Series], *, counted: bool) -> Iterator[str]:
    first = next(iter(by_who.values()))
    for who, series in by_who.items():
        where = f"{series.files:,}" + (f" ({USUAL})" if series.vault == USUAL else "")
        wall, cpu, peak = (spread_words(series.spread(name), name) for name in ("wall_s", "cpu_s", "peak_bytes"))
        ratio = ratio_words(series.spread("wall_s").median / first.spread("wall_s").median)
        row = f"| {where} | {who} | {len(series.runs)} | {wall} | {cpu} | {peak} | {ratio} |"
        instructions = f"{series.instructions:,}" if series.instructions else ""
        yield row + (f" {instructions} |" if counted else "")


def _plot_lines(plots: Sequence[tuple[str, str]]) -> Iterator[str]:
    if plots:
        yield "## Plots"
    for name, title in plots:
        yield ""
        yield f"![{title}]({name})"
