"""The plots of a measurement, as SVG through matplotlib; the same measurement gives the same bytes.

    python benchmarks/run.py --from benchmark-results/results.json

Time and memory over the number of files for `status` and the first `sync`, time over the number of files for the
library, and what changes cost. Each line is named where it ends.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from results import USUAL
from words import bytes_words, seconds_words
from workloads import (
    BASIC_MEMORY,
    GIT,
    GIT_ADD,
    GIT_REFRESH,
    GIT_UNTRACKED,
    OURS,
    OURS_PURE,
    OURS_SYNC,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from results import Figure, Measurement, Series

_STYLE = {
    "svg.hashsalt": "bm-gitindex",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#444444",
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
}
_OURS_COLOUR = "#0b5cad"
_COLOURS = {
    OURS: _OURS_COLOUR,
    OURS_SYNC: _OURS_COLOUR,
    OURS_PURE: "#6aa3d8",
    GIT: "#c2410c",
    GIT_ADD: "#c2410c",
    GIT_REFRESH: "#8f2f08",
    GIT_UNTRACKED: "#e58a5c",
    BASIC_MEMORY: "#6b7280",
}
_OTHER_COLOUR = "#8a8f98"
_LABEL_GAP = 0.062
"""How far the names of two lines are apart at least, as a part of the height."""
_OVER_SIZE_COLUMNS = (0.8, 3.3, 2.0)
_CHANGES_COLUMNS = (2.7, 3.2, 0.4)
"""Inches to the left of what is drawn, of what is drawn, and to the right of it."""
_CHANGES = ("status-1-change", "status-100-changes", "sync-1-change", "sync-100-changes")
_FIGURES: tuple[tuple[Figure, str, Callable[[float], str]], ...] = (
    ("wall_s", "time", seconds_words),
    ("peak_bytes", "peak memory", bytes_words),
)


def write_plots(measurement: Measurement, folder: Path) -> list[tuple[str, str]]:
    """Write the plots into a folder, and return the name and the title of each."""
    written = []
    with mpl.rc_context(_STYLE):
        for workload, title, shown in (
            ("status", "status, nothing changed", 2),
            ("first-sync", "first sync", 2),
            ("library-status", "library status(), second call", 1),
        ):
            if len(measurement.sizes(workload, is_usual=False)) > 1:
                _save(_over_size(measurement, workload, title, shown), folder / f"{workload}.svg")
                written.append((f"{workload}.svg", f"{title}, over the number of files"))
        if any(series.workload in _CHANGES for series in measurement.series):
            _save(_changes(measurement), folder / "changes.svg")
            written.append(("changes.svg", "what changes cost"))
    return written


def _save(canvas: Canvas, path: Path) -> None:
    canvas.savefig(path, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})


def _over_size(measurement: Measurement, workload: str, title: str, shown: int) -> Canvas:
    """Return time, and memory, over the number of files."""
    canvas, panels = _panels(shown, _OVER_SIZE_COLUMNS, 3.9)
    lines = _lines(measurement, workload)
    for axes, (figure, name, words) in zip(panels, _FIGURES, strict=False):
        _log_axes(axes, words, sorted({one.files for series in lines.values() for one in series}))
        axes.set_title(f"{title}: {name}", loc="left")
        for who, series in lines.items():
            medians = [one.spread(figure) for one in series]
            files = [one.files for one in series]
            colour = _COLOURS.get(who, _OTHER_COLOUR)
            is_ours = colour == _OURS_COLOUR
            axes.fill_between(
                files, [m.least for m in medians], [m.most for m in medians], color=colour, alpha=0.12, lw=0
            )
            axes.plot(
                files,
                [m.median for m in medians],
                color=colour,
                linewidth=2.0 if is_ours else 1.2,
                marker="o",
                markersize=3.5 if is_ours else 2.5,
                zorder=3 if is_ours else 2,
            )
        _name_lines(axes, {who: _right_end(axes, series[-1], figure) for who, series in lines.items()})
    return canvas


def _panels(count: int, columns: tuple[float, float, float], height: float) -> tuple[Canvas, list[Axes]]:
    """Return a canvas, and the places to draw on from left to right."""
    width = sum(columns)
    canvas = Canvas(figsize=(width * count, height))
    whole, bottom, top = width * count, 0.55 / height, 1 - 0.4 / height
    left = [(width * number + columns[0]) / whole for number in range(count)]
    return canvas, [canvas.add_axes((start, bottom, columns[1] / whole, top - bottom)) for start in left]


def _right_end(axes: Axes, last: Series, figure: Figure) -> float:
    """Return where a line would meet the right edge: one that ends before is taken to grow with the files."""
    return last.spread(figure).median * max(1.0, float(axes.dataLim.x1) / last.files)


def _lines(measurement: Measurement, workload: str) -> dict[str, list[Series]]:
    """Return the series of each contender from small to large, over the vaults of chosen sizes."""
    found: dict[str, list[Series]] = {}
    for size in measurement.sizes(workload, is_usual=False):
        for who, series in measurement.of(workload, *size).items():
            found.setdefault(who, []).append(series)
    return found


def _log_axes(axes: Axes, words: Callable[[float], str], sizes: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(list(sizes), [f"{size / 1000:g}k" for size in sizes])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(words(value))))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if words is seconds_words else (1.0, 2.0, 5.0)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=3)
    axes.set_xlabel("files")


def _short(words: str) -> str:
    """Return `10 ms` for `10.0 ms`."""
    number, unit = words.split(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def _name_lines(axes: Axes, ends: dict[str, float]) -> None:
    """Write each line's name to the right of its end, moved where two would overlap."""
    low, high = (math.log10(value) for value in axes.get_ylim())
    wanted = sorted((((math.log10(y) - low) / (high - low), who) for who, y in ends.items()))
    for height, (_, who) in zip(_apart([height for height, _ in wanted]), wanted, strict=True):
        colour = _COLOURS.get(who, _OTHER_COLOUR)
        weight = "bold" if colour == _OURS_COLOUR else "normal"
        axes.annotate(
            who, (1.02, height), xycoords="axes fraction", color=colour, fontsize=8, fontweight=weight, va="center"
        )


def _apart(heights: Sequence[float]) -> list[float]:
    """Return ascending heights with a gap between any two, near to where they were."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + _LABEL_GAP) if moved else height)
    excess = max(0.0, moved[-1] - 1.0) if moved else 0.0
    for position in reversed(range(len(moved))):
        above = moved[position + 1] - _LABEL_GAP if position + 1 < len(moved) else moved[position] - excess
        moved[position] = min(moved[position], above)
    return moved


def _changes(measurement: Measurement) -> Canvas:
    """Return what changes cost: a point for each contender, over the usual vault and over a large one."""
    vaults = sorted({(one.files, one.vault) for one in measurement.series if one.workload in _CHANGES})
    usual = [one for one in vaults if one[1] == USUAL]
    shown = [*usual, *[one for one in vaults if one[1] != USUAL and one[0] <= 100_000][-1:]] or vaults[-1:]
    canvas, panels = _panels(len(shown), _CHANGES_COLUMNS, 4.6)
    for axes, (files, vault) in zip(panels, shown, strict=True):
        axes.set_title(f"{files:,} files", loc="left")
        rows = [
            (workload, series) for workload in _CHANGES for series in measurement.of(workload, vault, files).values()
        ]
        _draw_rows(axes, rows)
    return canvas


def _draw_rows(axes: Axes, rows: Sequence[tuple[str, Series]]) -> None:
    labels: dict[float, str] = {}
    height = 0.0
    before = rows[0][0]
    for workload, series in rows:
        height -= 1.0 if workload == before else 1.5
        before = workload
        colour = _COLOURS.get(series.who, _OTHER_COLOUR)
        median, least, most = series.spread("wall_s")
        axes.plot([least, most], [height, height], color=colour, linewidth=1.2)
        axes.plot([median], [height], marker="o", markersize=5, color=colour)
        words, place = seconds_words(median), (median, height)
        axes.annotate(words, place, (0, 6), textcoords="offset points", ha="center", color=colour, fontsize=7)
        changes = workload.split("-")[1]
        labels[height] = f"{series.who}, {changes} {'change' if changes == '1' else 'changes'}"
    axes.set_xscale("log")
    axes.margins(x=0.15, y=0.06)
    axes.set_yticks(list(labels), list(labels.values()))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(seconds_words(value))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.6)
    axes.spines["left"].set_visible(False)
    axes.set_axisbelow(True)
