"""Workers decide how long parsing takes, and nothing else: not what is found, nor whether a run comes to its end."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bm_gitindex import Project, SyncRequest
from bm_gitindex.options import NoteBounds
from bm_gitindex.processors import cpu_count
from bm_gitindex.syncing import parsing, workers
from bm_gitindex.syncing.parsing import Parser, parse
from bm_gitindex.syncing.parsing_worker import NICENESS
from parity.grammar import note
from support.child import environment
from support.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bm_gitindex import Progress
    from bm_gitindex.entities.records import Parsed

BOUNDS = NoteBounds()
AWKWARD = [
    b"",
    b"\xff\xfe\x00",
    "naïve [[ünï]] 漢字 \u2028".encode("utf-16"),
    b"---\ncreated: 2024-02-30\nmodified: 2024-02-29T23:59:59.999999-11:30\na: {b: [1, ~, {c: 1.0}]}\n---\n- x #t (c)",
    b"---\ntitle: " + b"t" * 10_000 + b"\npermalink: [1]\n---\n" + b"[[" * 1_000,
    b"\n".join(b"- [fact] %d #a #b" % number for number in range(2_000)),
]
NOTES = [*(note(seed) for seed in range(120)), *AWKWARD]


@pytest.fixture(autouse=True)
def processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be three of them, and every note be worth a worker, of the package that is under test."""
    monkeypatch.setattr(parsing, "cpu_count", lambda: 3)
    monkeypatch.setattr(parsing, "FEWEST_NOTES", 1)
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])


@pytest.fixture
def parser() -> Iterator[Parser]:
    parser = Parser(BOUNDS)
    yield parser
    parser.close()
    assert children() == set()


def children() -> set[int]:
    """Workers that this process has started, and that it has not waited for."""
    tasks = Path("/proc/self/task").iterdir()
    pids = {pid for task in tasks for pid in (task / "children").read_text().split()}
    return {int(pid) for pid in pids if _may_be_worker(Path("/proc", pid, "cmdline").read_bytes())}


def _may_be_worker(command: bytes) -> bool:
    """Whether a process is a worker by its command, which is empty once the process has ended."""
    return not command or workers.MODULE.encode() in command


def expected(notes: Sequence[bytes]) -> list[Parsed]:
    return [parse(data, BOUNDS) for data in notes]


def put_all(parser: Parser, notes: Sequence[bytes]) -> None:
    parser.expect(len(notes))
    for data in notes:
        parser.put(data)
    parser.flush()


def get_all(parser: Parser, notes: Sequence[bytes]) -> list[Parsed]:
    return [parser.get() for _ in notes]


def refuse(_data: bytes, _bounds: NoteBounds) -> Parsed:
    pytest.fail("a note is parsed in this process")


def test_workers_make_of_every_note_what_this_process_makes_of_it(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = expected(NOTES)
    monkeypatch.setattr(parsing, "parse", refuse)
    put_all(parser, NOTES)
    assert parser.works_ahead
    assert get_all(parser, NOTES) == found


def test_notes_come_out_in_the_order_in_which_they_go_in(parser: Parser) -> None:
    choice = random.Random(19)
    notes = [b"# %d\n" % number + b"x" * choice.choice((0, 100, 100_000)) for number in range(400)]
    found: list[Parsed] = []
    parser.expect(len(notes))
    for number, data in enumerate(notes):
        parser.put(data)
        if choice.random() < 0.1:
            parser.flush()
            found += [parser.get() for _ in range(choice.randint(0, number + 1 - len(found)))]
    parser.flush()
    found += [parser.get() for _ in range(len(notes) - len(found))]
    assert found == expected(notes)
    with pytest.raises(IndexError):
        parser.get()


@pytest.mark.parametrize(("count", "cpus"), [(parsing.FEWEST_NOTES - 1, 64), (10**6, 1)])
def test_no_worker_is_started_for_few_notes_or_for_one_processor(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, count: int, cpus: int
) -> None:
    monkeypatch.setattr(parsing, "FEWEST_NOTES", 1_000)
    monkeypatch.setattr(parsing, "cpu_count", lambda: cpus)
    parser.expect(count)
    assert not parser.works_ahead
    put_all(parser, NOTES[:9])
    assert get_all(parser, NOTES[:9]) == expected(NOTES[:9])


@pytest.mark.parametrize(("cpus", "workers"), [(2, 1), (3, 2), (200, parsing.MOST_WORKERS)])
def test_one_processor_is_left_and_workers_are_few(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, cpus: int, workers: int
) -> None:
    monkeypatch.setattr(parsing, "cpu_count", lambda: cpus)
    parser.expect(10**6)
    parser.expect(10**6)
    assert len(children()) == workers


def test_processors_that_are_not_ours_to_use_do_not_count() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cpu_count() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert cpu_count() == len(allowed)


@pytest.mark.parametrize("which", [slice(1), slice(None)])
@pytest.mark.parametrize("after", ["starting", "asking", "the first answer"])
def test_a_worker_that_is_killed_loses_nothing(parser: Parser, after: str, which: slice) -> None:
    def kill(moment: str) -> None:
        if moment == after:
            for pid in sorted(children())[which]:
                os.kill(pid, signal.SIGKILL)

    parser.expect(len(NOTES))
    kill("starting")
    put_all(parser, NOTES)
    kill("asking")
    found = [parser.get()]
    kill("the first answer")
    assert [*found, *get_all(parser, NOTES[1:])] == expected(NOTES)


def test_a_worker_that_does_not_answer_is_not_waited_for(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PATIENCE_S", 0.05)
    monkeypatch.setattr(workers, "END_S", 0.05)
    notes = [*NOTES, b"x" * 1_000_000]  # more than a pipe takes
    parser.expect(len(notes))
    for pid in children():
        os.kill(pid, signal.SIGSTOP)
    put_all(parser, notes)
    assert get_all(parser, notes) == expected(notes)


@pytest.mark.parametrize("executable", [None, "", "/usr/bin/some-application", "/nowhere/python3"])
def test_where_python_cannot_be_run_again_notes_are_parsed_here(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    put_all(parser, NOTES)
    assert not parser.works_ahead
    assert get_all(parser, NOTES) == expected(NOTES)


def test_a_frozen_application_is_not_started_once_more(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    put_all(parser, NOTES)
    assert not parser.works_ahead
    assert get_all(parser, NOTES) == expected(NOTES)


def test_where_there_is_no_room_for_a_process_notes_are_parsed_here(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_process(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refuse_process)
    put_all(parser, NOTES)
    assert not parser.works_ahead
    assert get_all(parser, NOTES) == expected(NOTES)


@pytest.mark.parametrize("module", ["bm_gitindex.nothing", "this"])
def test_a_program_that_is_no_worker_is_not_believed(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setattr(workers, "MODULE", module)
    put_all(parser, NOTES)
    assert get_all(parser, NOTES) == expected(NOTES)


def test_a_worker_of_another_release_is_not_believed(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "identity", lambda: ["another"])
    here: list[bytes] = []

    def parse_here(data: bytes, bounds: NoteBounds) -> Parsed:
        here.append(data)
        return parse(data, bounds)

    monkeypatch.setattr(parsing, "parse", parse_here)
    put_all(parser, NOTES)
    assert get_all(parser, NOTES) == expected(NOTES)
    assert here == NOTES
    assert not parser.works_ahead


def test_what_lies_in_the_present_folder_is_not_imported(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("yaml.py", "bm_gitindex.py", "json.py"):
        (tmp_path / name).write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    put_all(parser, NOTES)
    assert get_all(parser, NOTES) == expected(NOTES)
    assert parser.works_ahead
    assert not (tmp_path / "imported").exists()


def test_the_process_that_asks_goes_before_its_workers(parser: Parser) -> None:
    put_all(parser, NOTES)
    get_all(parser, NOTES)  # answers of both: a worker that is still being started is not nice yet
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in children()} == {min(mine + NICENESS, 19)}


def test_ctrl_c_is_left_to_who_asks(parser: Parser) -> None:
    put_all(parser, NOTES)
    first = parser.get()
    for pid in children():
        os.kill(pid, signal.SIGINT)
    parser.put(NOTES[0])
    parser.flush()
    assert [first, *get_all(parser, NOTES[1:])] == expected(NOTES)
    assert parser.get() == first
    assert parser.works_ahead


def test_workers_end_with_the_process_that_asks_even_if_it_is_killed() -> None:
    program = """
import os, sys
from bm_gitindex.options import NoteBounds
from bm_gitindex.syncing import parsing
parsing.cpu_count = lambda: 3
parser = parsing.Parser(NoteBounds())
parser.expect(10**6)
for number in range(200):
    parser.put(b"x" * 100_000)
parser.get()
print(*(worker.pid for worker in parser._workers), flush=True)
sys.stdin.read()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    )
    with child:
        assert child.stdout is not None
        pids = [int(pid) for pid in child.stdout.readline().split()]
        assert len(pids) == 2
        ends = [os.pidfd_open(pid) for pid in pids]
        child.kill()
    for end in ends:
        assert wait_readable(end)
        os.close(end)


def wait_readable(fd: int) -> bool:
    """Wait for what a descriptor tells, for as long as nothing takes that works."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(60_000))


def filled(root: Path) -> Vault:
    vault = Vault(root)
    for number, content in enumerate(NOTES):
        vault.write(f"folder-{number % 7}/{number}.md", content)
    for number in range(20):
        vault.write(f"links/{number}.md", f"[[{number + 1}]] and [[folder-1/{number}]]\n\n- next [[{number + 1}]]")
    return vault


def test_a_sync_with_workers_stores_what_one_without_them_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = filled(tmp_path / "beside")
    with monkeypatch.context() as here:
        here.setattr(parsing, "cpu_count", lambda: 1)
        alone = filled(tmp_path / "alone")
        for vault in (beside, alone):
            for file in vault.root.rglob("*.md"):
                os.utime(file, ns=(1_700_000_000_000_000_000,) * 2)
        alone.sync()
    monkeypatch.setattr(parsing, "parse", refuse)
    report = beside.sync()
    assert report.files_parsed == report.added == len(NOTES) + 20
    assert beside.meaning() == alone.meaning()
    assert beside.project.verify().ok


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_workers_that_are_killed_in_the_middle_of_a_sync_are_not_missed(tmp_path: Path, sent: signal.Signals) -> None:
    vault = filled(tmp_path / "vault")

    def kill(progress: Progress) -> None:
        if progress.activity == "reading" and progress.files == len(NOTES) // 2:
            for pid in children():
                os.kill(pid, sent)

    assert vault.sync(on_progress=kill).added == len(NOTES) + 20
    assert vault.project.verify().ok
    assert children() == set()


async def test_a_sync_that_is_cancelled_leaves_no_worker(tmp_path: Path) -> None:
    vault = filled(tmp_path / "vault")
    seen: set[int] = set()
    loop = asyncio.get_running_loop()

    def cancel(progress: Progress) -> None:
        if progress.activity == "reading" and progress.files == 50:
            seen.update(children())
            loop.call_soon_threadsafe(run.cancel)

    run = asyncio.create_task(Project(vault.root).sync((), SyncRequest(on_progress=cancel)))
    with pytest.raises(asyncio.CancelledError):
        await run
    assert len(seen) == 2
    assert children() == set()
    await asyncio.to_thread(vault.sync)
    assert (await asyncio.to_thread(vault.project.verify)).ok


@pytest.mark.parametrize("how", ["script", "command", "stdin"])
def test_the_main_module_of_a_host_with_threads_is_not_run_again(tmp_path: Path, how: str) -> None:
    vault = filled(tmp_path / "vault")
    program = f"""
import threading
print("run", __name__, flush=True)
threading.Thread(target=threading.Event().wait, daemon=True).start()
from bm_gitindex import Project, SyncRequest
from bm_gitindex.syncing import parsing
parsing.FEWEST_NOTES, parsing.cpu_count = 1, lambda: 3
parsing.parse = None
print(Project({str(vault.root)!r}).sync_blocking().added)
"""
    script = tmp_path / "script.py"
    script.write_text(program)
    arguments = {"script": [str(script)], "command": ["-c", program], "stdin": ["-"]}[how]
    done = subprocess.run(
        [sys.executable, *arguments], input=program, capture_output=True, text=True, check=True, env=environment()
    )
    assert done.stdout.split("\n")[:2] == ["run __main__", str(len(NOTES) + 20)]
