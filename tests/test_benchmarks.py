"""The benchmarks: anyone makes the same vault, and a report can be made again from what was measured."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from typing import get_args

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import measuring
from goals import GOALS, Ceiling, Growth, Ratio
from live import percentile
from measuring import Cost, environment, measured, peak_together_bytes, smallest_peak_bytes
from report import report
from results import Measurement, Series, from_json, merged, to_json
from run import take_turns
from vault import Layout, NoteSize, Shape, VaultMaker
from workloads import GIT, OURS, OURS_SYNC, Contender, Workload

SIZED = "short notes, wide"
CONDITIONS = {"load_at_start": 0.1, "load_at_end": 1.0, "seconds": 60.0, "others_share": 0.01}


def series(workload: str, files: int, who: str, *wall_s: float, peak_mb: float = 10) -> Series:
    runs = tuple(Cost(wall, wall, int(peak_mb * 1e6)) for wall in wall_s)
    return Series(workload, SIZED, files, who, runs)


def measurement(*found: Series) -> Measurement:
    return Measurement({"cores": "2"}, (CONDITIONS,), ("rsync: not installed",), found)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("note_size", get_args(NoteSize))
@pytest.mark.parametrize("layout", get_args(Layout))
def test_equal_shapes_give_equal_vaults_and_another_seed_does_not(
    tmp_path: Path, note_size: NoteSize, layout: Layout
) -> None:
    shape = Shape(60, 2, note_size, layout, pdf_bytes=100)
    VaultMaker(shape).write(tmp_path / "one")
    VaultMaker(shape).write(tmp_path / "two")
    VaultMaker(Shape(60, 2, note_size, layout, pdf_bytes=100, seed=1)).write(tmp_path / "other")
    assert tree(tmp_path / "one") == tree(tmp_path / "two") != tree(tmp_path / "other")
    assert len(tree(tmp_path / "one")) == shape.files


def test_usual_vault_is_the_same_everywhere() -> None:
    maker = VaultMaker(Shape())
    texts = "".join(maker.path(number) + maker.text(number) for number in range(100))
    assert sha1(texts.encode(), usedforsecurity=False).hexdigest() == "5f72165f5975cac2bf08dedbc2c84c3112315b0d"


@pytest.mark.parametrize(("layout", "folders"), [("areas", 161), ("flat", 1), ("wide", 40), ("deep", 200)])
def test_layout_decides_how_many_folders_have_notes(layout: Layout, folders: int) -> None:
    maker = VaultMaker(Shape(2_000, 0, "tiny", layout))
    assert len({maker.path(number).rpartition("/")[0] for number in range(2_000)}) == folders


def test_cost_is_that_of_the_process_and_not_of_who_started_it(tmp_path: Path) -> None:
    own_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    assert smallest_peak_bytes(tmp_path) < min(own_bytes, 12_000_000)
    work = [sys.executable, "-c", "block = b'x' * 60_000_000\nfor _ in range(3_000_000): pass"]
    cost = measured(work, environment(), tmp_path / "log")
    assert cost.peak_bytes > 60_000_000
    assert 0.01 < cost.cpu_s < cost.wall_s + 0.05


_says_what_processes_hold = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="no /proc that says what processes hold"
)


_STAY = """
import os, time
open({name!r}, "w").close()
for _ in range(6000):
    if os.path.exists({looked_at!r}):
        break
    time.sleep(0.01)
"""


class Stay:
    """What processes run at their end: they hold what they have until they were looked at, however late that is."""

    def __init__(self, folder: Path, processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._looked_at = folder / "looked at"
        self._names = [folder / f"{number} is up" for number in range(processes)]
        self._were_up = False
        self._family = measuring._family
        monkeypatch.setattr(measuring, "_family", self._look)

    def __getitem__(self, number: int) -> str:
        return _STAY.format(name=str(self._names[number]), looked_at=str(self._looked_at))

    def _look(self, pid: int) -> list[int]:
        if self._were_up:  # at the look before this one, which is over
            self._looked_at.touch()
        self._were_up = all(name.exists() for name in self._names)
        return self._family(pid)


@_says_what_processes_hold
def test_memory_of_processes_at_one_time_is_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stay = Stay(tmp_path, 2, monkeypatch)
    hold = "block = b'x' * 40_000_000"
    start = f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {hold + stay[1]!r}])\n"
    held = peak_together_bytes([sys.executable, "-c", f"{start}{hold}{stay[0]}child.wait()"], environment())
    assert held is not None
    assert 80_000_000 < held < 130_000_000


@_says_what_processes_hold
def test_memory_of_one_process_is_what_the_kernel_charges_it_with_though_others_run_the_same_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stay = Stay(tmp_path, 1, monkeypatch)
    work = [sys.executable, "-c", f"import email.mime.text, sqlite3{stay[0]}"]
    held = peak_together_bytes(work, environment())
    assert held == pytest.approx(measured(work, environment(), tmp_path / "log").peak_bytes, rel=0.05)


@_says_what_processes_hold
def test_command_that_fails_has_no_peak() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        peak_together_bytes([sys.executable, "-c", "raise SystemExit(1)"], environment())


def test_peak_memory_is_what_processes_hold_together_where_that_is_more() -> None:
    alone = series("first-sync", 1_000, OURS_SYNC, 1.0, peak_mb=50)
    assert alone.spread("peak_bytes").median == 50_000_000
    assert replace(alone, together_bytes=40_000_000).spread("peak_bytes").median == 50_000_000
    assert replace(alone, together_bytes=90_000_000).spread("peak_bytes").median == 90_000_000
    assert replace(alone, together_bytes=90_000_000).spread("wall_s").median == 1.0


def test_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        measured([sys.executable, "-c", "raise SystemExit('why')"], environment(), tmp_path / "log")
    assert b"why" in caught.value.output


def test_contenders_take_turns_and_what_is_slow_runs_less_often(tmp_path: Path) -> None:
    order: list[str] = []

    def run(name: str, most_runs: int | None = None) -> Contender:
        def measure(*_: object) -> Cost:
            order.append(name)
            return Cost(1, 1, 1)

        return Contender(name, [], {}, measure, before=lambda: order.append("-"), most_runs=most_runs)

    workload = Workload("status", "", lambda _: [])
    costs = take_turns(workload, [run("ours"), run("slow", 1)], 2, tmp_path / "log")
    assert order == ["-", "ours", "-", "slow", "-", "ours", "-", "slow", "-", "ours"]  # the first turns do not count
    assert [len(runs) for runs in costs] == [2, 1]


def test_every_run_is_in_the_json_and_comes_back() -> None:
    known = measurement(series("status", 1_000, OURS, 1.0, 2.0, 4.0), series("status", 1_000, GIT, 0.5))
    assert from_json(to_json(known)) == known
    with pytest.raises(ValueError, match="format"):
        from_json("{}")


def test_later_runs_of_a_workload_take_the_place_of_earlier_ones() -> None:
    earlier = measurement(
        series("status", 1_000, OURS, 1.0), series("status", 1_000, GIT, 1.0), series("x", 1, OURS, 1.0)
    )
    later = measurement(series("status", 1_000, OURS, 2.0))
    together = merged([earlier, later])
    assert together.of("status", SIZED, 1_000) == {OURS: later.series[0]}
    assert together.of("x", SIZED, 1) == {OURS: earlier.series[2]}
    assert len(together.conditions) == 2
    assert together.left_out == earlier.left_out
    assert merged([earlier, replace(later, left_out=())]).left_out == ()


@pytest.mark.parametrize(("ours_s", "met"), [((0.5, 1.0, 9.0), "yes"), ((0.1, 1.1, 1.2), "**no**")])
def test_ratio_is_one_of_medians(ours_s: tuple[float, ...], met: str) -> None:
    goal = Ratio("status", "status", 100_000, GIT, 1.0)
    known = measurement(series("status", 100_000, OURS, *ours_s), series("status", 100_000, GIT, 1.0))
    assert goal.row(known).met == met


def test_goal_says_what_was_measured_in_the_place_of_its_size() -> None:
    goal = Ratio("status", "status", 100_000, GIT, 1.0)
    known = measurement(series("status", 10, OURS, 1.0), series("status", 1_000, OURS, 1.0))
    row = goal.row(known)
    assert "1,000 files (the goal is for 100,000)" in row.workload
    assert row.met == f"no {GIT}"


@pytest.mark.parametrize(("peak_mb", "met"), [(100, "yes"), (300, "**no**")])
def test_peak_memory_has_a_ceiling_and_grows_with_files_by_little(peak_mb: int, met: str) -> None:
    small = series("first-sync", 100_000, OURS_SYNC, 1.0, peak_mb=90)
    large = series("first-sync", 300_000, OURS_SYNC, 1.0, peak_mb=peak_mb)
    assert Growth("memory", "first-sync", (100_000, 300_000), 200, OURS_SYNC).row(measurement(small, large)).met == met
    assert Ceiling("memory", "first-sync", 300_000, 200_000_000, OURS_SYNC).row(measurement(small, large)).met == met


def test_report_says_what_is_missing_and_whether_the_machine_was_busy() -> None:
    known = measurement(series("status", 1_000, OURS, 0.0123, 0.0125, 0.02))
    text = "\n".join(report(known))
    assert "**Left out:** rsync: not installed." in text
    assert "12.5 ms (12.3 ms to 20.0 ms)" in text
    assert "busy" not in text.partition("## Goals")[0]
    busy = Measurement(known.machine, ({**CONDITIONS, "others_share": 0.3},), (), known.series)
    assert "30% of all cores: **the machine was busy" in "\n".join(report(busy))
    assert all(goal.row(known).met for goal in GOALS)


def test_equal_measurements_give_equal_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from plots import write_plots

    sizes = (1_000, 10_000)
    found = [
        series(workload, files, who, files / 1e5, files / 0.9e5, peak_mb=files / 100)
        for workload in ("status", "first-sync", "library-status", "sync-1-change")
        for files in sizes
        for who in (OURS, OURS_SYNC, GIT)
    ]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        plots = write_plots(measurement(*found), tmp_path / name)
        assert [plot for plot, _ in plots] == ["status.svg", "first-sync.svg", "library-status.svg", "changes.svg"]
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert b"<dc:date>" not in (tmp_path / "one" / "status.svg").read_bytes()


@pytest.mark.parametrize(("count", "percent", "expected"), [(1_000, 99, 990), (40, 99, 40), (1, 99, 1), (4, 50, 2)])
def test_percentile_is_the_smallest_value_that_so_many_do_not_exceed(count: int, percent: int, expected: int) -> None:
    values = [float(value) for value in range(count, 0, -1)]
    assert percentile(values, percent) == expected
    assert sum(value <= expected for value in values) * 100 >= percent * count
