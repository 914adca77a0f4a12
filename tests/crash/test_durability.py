"""A kill loses no page that was written; a power failure does. What is safe against that is the order of the calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.durability import problems
from support.profile import sample
from support.stage import SCENARIOS, Scenario, Stage
from support.trace import below, parse

if TYPE_CHECKING:
    from pathlib import Path

    from support.strace import Tracer

STATE = "/v/.basic-memory"
SAFE = """\
1 mkdir("/v/.basic-memory", 0700) = 0
1 openat(AT_FDCWD</>, "/v", O_RDONLY) = 3</v>
1 fsync(3</v>) = 0
1 openat(AT_FDCWD</>, "/v/.basic-memory/index.new", O_WRONLY|O_CREAT|O_EXCL, 0600) = 3</v/.basic-memory/index.new>
1 link("/v/.basic-memory/index.new", "/v/.basic-memory/index.lock") = 0
1 rename("/v/.basic-memory/index", "/v/.basic-memory/index.corrupt-1") = 0
1 fsync(3</v/.basic-memory>) = 0
2 pwrite64(4</v/.basic-memory/entities.db-wal>, ""..., 4096, 0) = 4096
2 fdatasync(4</v/.basic-memory/entities.db-wal>) = 0
2 pwrite64(5</v/.basic-memory/entities.db>, ""..., 4096, 0) = 4096
2 fdatasync(5</v/.basic-memory/entities.db>) = 0
2 ftruncate(4</v/.basic-memory/entities.db-wal>, 0) = 0
2 unlink("/v/.basic-memory/entities.db-wal") = 0
1 write(3</v/.basic-memory/index.own.new>, ""..., 92) = 92
1 fsync(3</v/.basic-memory/index.own.new> <unfinished ...>
2 read(9</v/note.md>, ""..., 4096) = 4096
1 <... fsync resumed>) = 0
1 rename("/v/.basic-memory/index.own.new", "/v/.basic-memory/index.own") = 0
1 fsync(3</v/.basic-memory>) = 0
1 write(3</v/.basic-memory/index.lock>, ""..., 316) = 316
1 fsync(3</v/.basic-memory/index.lock>) = 0
1 rename("/v/.basic-memory/index.lock", "/v/.basic-memory/index") = 0
1 fsync(3</v/.basic-memory>) = 0
1 unlink("/v/.basic-memory/index.new") = 0
""".splitlines()


def line(start: str, count: int = 1) -> int:
    return [number for number, text in enumerate(SAFE) if text.startswith(start)][count - 1]


def told(lines: list[str]) -> str:
    return "; ".join(problem.what for problem in problems(parse(lines), STATE))


def test_the_safe_order_is_found_to_be_safe() -> None:
    assert told(SAFE) == ""


@pytest.mark.parametrize(
    ("start", "count", "complaint"),
    [
        ("1 fsync(3</v>)", 1, "mkdir .basic-memory: the folder was not synced after"),
        ("2 fdatasync(4", 1, "pwrite64 entities.db: before entities.db-wal was synced"),
        ("2 fdatasync(5", 1, "ftruncate entities.db-wal: before entities.db was synced"),
        ("1 fsync(3</v/.basic-memory/index.own.new>", 1, "index.own.new -> index.own: the file was not synced before"),
        ('1 rename("/v/.basic-memory/index.own.new"', 1, "index.own was not stored before"),
        ("1 fsync(3</v/.basic-memory>)", 2, "index.lock -> index: overtakes rename index.own.new -> index.own"),
        ("1 fsync(3</v/.basic-memory/index.lock>", 1, "index.lock -> index: the file was not synced before"),
        ("1 fsync(3</v/.basic-memory>)", 3, "index.lock -> index: the folder was not synced after"),
    ],
)
def test_a_step_left_out_or_failed_is_found(start: str, count: int, complaint: str) -> None:
    number = line(start, count)
    assert complaint in told(SAFE[:number] + SAFE[number + 1 :])
    failed = SAFE[number].replace("= 0", "= -1 EIO (Input/output error) (INJECTED)").replace(" <unf", "= -1 <unf")
    if "unfinished" not in failed:
        assert complaint in told([*SAFE[:number], failed, *SAFE[number + 1 :]])


@pytest.mark.parametrize(
    ("moved", "behind", "complaint"),
    [
        ("1 fsync(3</v/.basic-memory/index.lock>", '1 rename("/v/.basic-memory/index.lock"', "was not synced before"),
        ("1 write(3</v/.basic-memory/index.lock>", "1 fsync(3</v/.basic-memory/index.lock>", "was not synced before"),
        ("1 <... fsync resumed>", '1 rename("/v/.basic-memory/index.own.new"', "was not synced before"),
        ('1 rename("/v/.basic-memory/index.own.new"', '1 rename("/v/.basic-memory/index.lock"', "was not stored"),
        ("2 pwrite64(4", "2 fdatasync(4", "before entities.db-wal was synced"),
        ("2 pwrite64(5", "2 fdatasync(5", "before entities.db was synced"),
    ],
)
def test_a_step_taken_too_late_is_found(moved: str, behind: str, complaint: str) -> None:
    lines = list(SAFE)
    step = lines.pop(line(moved))
    place = next(number for number, text in enumerate(lines) if text.startswith(behind))
    lines.insert(place + 1, step)
    assert complaint in told(lines)


@pytest.mark.parametrize("name", ["index", "index.own", "config.toml"])
def test_a_file_written_in_place_is_found(name: str) -> None:
    opening = f'1 openat(AT_FDCWD</>, "{STATE}/{name}", O_WRONLY|O_CREAT|O_TRUNC, 0600) = 3<{STATE}/{name}>'
    assert "written in place" in told([*SAFE, opening])
    assert "written in place" in told([*SAFE, f'1 write(3<{STATE}/{name}>, ""..., 3) = 3'])


class TestTrace:
    def test_paths_are_those_of_descriptors_or_of_names_below_them(self) -> None:
        calls = parse(
            [
                '7 openat(5</v>, "a b", O_RDONLY) = 6</v/a b>',
                '7 renameat(AT_FDCWD</v>, "a", 5</w>, "b") = 0',
                '7 unlink("/v/x") = -1 ENOENT (No such file or directory)',
                '7 write(1<pipe:[5]>, "/v/x"..., 4) = 4',
                "7 --- SIGCHLD {si_signo=SIGCHLD} ---",
                "7 +++ exited with 0 +++",
            ]
        )
        assert [call.paths for call in calls] == [("/v/a b",), ("/v/a", "/w/b"), ("/v/x",), ("pipe:[5]",)]
        assert [call.has_failed for call in calls] == [False, False, True, False]
        assert below(calls, "/v/x") == calls[2:3]

    def test_a_call_in_which_the_process_was_killed_has_not_been_made(self) -> None:
        calls = parse(
            ["7 fsync(3</v/a>) = ?", '8 write(4</v/b>, ""..., 3 <unfinished ...>', "7 +++ killed by SIGKILL +++"]
        )
        assert [(call.name, call.result, call.has_failed) for call in calls] == [
            ("fsync", "?", True),
            ("write", "?", True),
        ]


@pytest.mark.parametrize("scenario", sample(SCENARIOS, 6), ids=lambda scenario: scenario.name)
def test_every_sync_stores_its_files_in_a_safe_order(tracer: Tracer, scenario: Scenario, tmp_path: Path) -> None:
    stage = Stage(scenario, tmp_path)
    ended = tracer.trace(stage.argv)
    assert ended.status == 0, ended.err
    calls = below(ended.calls, str(stage.state_path), str(stage.root))
    assert problems(calls, str(stage.state_path)) == []
    # No file is synced without need: if one of them is not, the order is found to be unsafe.
    synced = {call.paths[0] for call in calls if call.name == "fsync"}
    assert synced
    for path in synced:
        fewer = [call for call in calls if call.name != "fsync" or call.paths[0] != path]
        assert problems(fewer, str(stage.state_path)), path


def test_a_new_file_owes_nothing_to_what_an_old_one_of_its_name_left_unsynced() -> None:
    wal, main = f"{STATE}/entities.db-wal", f"{STATE}/entities.db"
    written = [f'1 pwrite64(4<{wal}>, ""..., 4096, 0) = 4096', f'1 pwrite64(5<{main}>, ""..., 4096, 0) = 4096']
    assert "before entities.db-wal was synced" in told(written)
    assert told([written[0], f'1 unlink("{wal}") = 0', written[1]]) == ""


def test_a_name_given_anew_before_the_old_file_has_its_own_is_found() -> None:
    main = f"{STATE}/entities.db"
    aside = f'1 rename("{main}", "{main}.corrupt-1") = 0'
    synced = f"1 fsync(3<{STATE}>) = 0"
    created = f'1 openat(AT_FDCWD</>, "{main}", O_RDWR|O_CREAT, 0600) = 4<{main}>'
    assert "reuses the name of rename entities.db" in told([aside, created, synced])
    assert told([aside, synced, created]) == ""
