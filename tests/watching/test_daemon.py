"""`bm-gitindex watch` as processes: in front, in the background, stopped in all ways."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.watching.asking import ask, socket_address
from bm_gitindex.watching.daemon import state_of
from bm_gitindex.watching.presence import watcher_fields
from support.watching import eventually_without_loop
from support.writers import ENVIRONMENT, command, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.vault import Vault


@contextmanager
def in_front(vault: Vault, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A watcher that has made its first pass, or another `watch`."""
    line = command(vault.root, "watch", *arguments)
    pipe = subprocess.PIPE
    with subprocess.Popen(line, env=ENVIRONMENT, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def in_background(vault: Vault) -> Iterator[int]:
    """A watcher in the background that has made its first pass; what is left of it is ended."""
    started = run(vault.root, "watch", "--daemon")
    assert started.returncode == 0, started.stderr
    fields = watcher_fields(vault.project.state)
    assert fields is not None
    pid = int(fields["pid"])
    try:
        wait_for_pass(vault)
        yield pid
    finally:
        if (now := watcher_fields(vault.project.state)) is not None and now["pid"] == str(pid):
            os.kill(pid, signal.SIGKILL)
            eventually_without_loop(lambda: watcher_fields(vault.project.state) is None)


def wait_for_pass(vault: Vault) -> None:
    def has_passed() -> bool:
        known = state_of(vault.project.state)
        return bool(known and known["alive"] and known["passes"] and not known["queue"])

    eventually_without_loop(has_passed)


def shown_state(vault: Vault, *arguments: str) -> bytes:
    """Return what is shown of a watcher once it has answered in time, whenever a busy machine lets it."""
    shown: list[bytes] = []

    def is_answered() -> bool:
        done = run(vault.root, "watch", "--state", *arguments)
        assert done.returncode == 0, done.stderr
        shown.append(done.stdout)
        return not any(words in done.stdout for words in (b"does not answer", b'"alive": false'))

    eventually_without_loop(is_answered, shown)
    return shown[-1]


def line_of(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def assert_clean(vault: Vault) -> None:
    """Nothing is left of a watcher, and index and database agree."""
    assert not os.path.lexists(vault.project.state.watch_socket)
    assert watcher_fields(vault.project.state) is None
    assert vault.project.verify().ok


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_watcher_that_leaves_a_clean_state(vault: Vault, number: signal.Signals) -> None:
    vault.write("five.md", "five\n")
    began_s = time.time()
    with in_front(vault, "--json") as process:
        told = json.loads(line_of(process))
        assert (told["reason"], told["added"], told["changed"]) == ("start", 1, ["five.md"])
        assert round(began_s, 3) <= told["at_s"] <= round(time.time(), 3)  # it is told to the millisecond
        wait_for_pass(vault)
        vault.write("one.md", "changed\n")
        assert json.loads(line_of(process))["changed"] == ["one.md"]
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output, errors) == (0, b"", b"")
    assert_clean(vault)


def test_reports_are_lines_for_people_that_say_when(vault: Vault) -> None:
    vault.write("five.md", "five\n")
    began = datetime.now(UTC).replace(microsecond=0)  # it is told to the second
    with in_front(vault) as process:
        line = line_of(process).decode()
        at = datetime.strptime(line[:19], "%Y-%m-%d %H:%M:%S").astimezone()
        assert began <= at <= datetime.now(UTC)
        assert line[19:] == " 1 added: five.md [pass: start]\n"
        wait_for_pass(vault)
        (vault.root / "one.md").rename(vault.root / "moved.md")
        assert line_of(process)[19:] == b" 1 moved: moved.md\n"


def test_on_a_terminal_it_says_that_it_watches_and_leaves_out_the_day(vault: Vault) -> None:
    vault.write("five.md", "five\n")
    controller, terminal = pty.openpty()
    line = command(vault.root, "watch")
    with subprocess.Popen(line, env=ENVIRONMENT, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        with os.fdopen(controller, "rb") as screen:
            assert screen.readline() == b"watching %s; Ctrl-C ends it\r\n" % os.fsencode(vault.root)
            assert screen.readline()[8:] == b" 1 added: five.md [pass: start]\r\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0


def test_a_watcher_in_the_background_is_refused_twice_told_of_followed_and_stopped(vault: Vault) -> None:
    with in_background(vault) as pid, in_front(vault, "--follow", "--json") as follower:
        for second in (("watch",), ("watch", "--daemon")):
            refused = run(vault.root, *second)
            assert refused.returncode == 4
            assert b"process %d on" % pid in refused.stderr
        vault.write("one.md", "changed\n")
        assert run(vault.root, "status", "--exit-code").returncode in {0, 1}
        eventually_without_loop(lambda: vault.status().is_clean)
        for number in range(200):  # until the follower has come
            vault.write("two.md", f"changed {number}\n")
            eventually_without_loop(lambda: vault.status().is_clean)
            if has_output(follower):
                break
        assert json.loads(line_of(follower))["changed"] in (["one.md"], ["two.md"])
        assert run(vault.root, "sync").returncode == 0
        assert b"process %d, by events, since" % pid in shown_state(vault)
        known = json.loads(shown_state(vault, "--json"))
        assert (known["alive"], known["pid"], known["mode"], known["failures"]) == (True, pid, "events", 0)
        assert known["rss_bytes"] > 1_000_000
        stopped = run(vault.root, "watch", "--stop")
        assert (stopped.returncode, stopped.stderr) == (0, b"")
        assert follower.wait(timeout=60) == 0
    assert_clean(vault)


def test_of_several_that_are_started_at_once_one_watches_and_the_others_name_it(vault: Vault) -> None:
    pipe = subprocess.PIPE
    line = command(vault.root, "watch", "--daemon")
    started = [subprocess.Popen(line, env=ENVIRONMENT, stdout=pipe, stderr=pipe) for _ in range(3)]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in started]
    assert sorted(code for _, _, code in ended) == [0, 4, 4]
    fields = watcher_fields(vault.project.state)
    assert fields is not None
    for _, errors, code in ended:
        assert code == 0 or b"watched already by process %d on" % int(fields["pid"]) in errors
    assert run(vault.root, "watch", "--stop").returncode == 0
    assert_clean(vault)


def test_clients_that_say_nothing_neither_keep_a_watcher_nor_make_it_complain(vault: Vault) -> None:
    with in_front(vault) as process, ExitStack() as clients:
        wait_for_pass(vault)
        folder_fd = os.open(vault.state_path, os.O_RDONLY)
        clients.callback(os.close, folder_fd)
        for number in range(20):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(socket_address(folder_fd, str(vault.state_path)))
            client.sendall(b"" if number % 2 else b"nonsense")
        assert ask(str(vault.state_path), "status", 30.0) is not None
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output, errors) == (0, b"", b"")
    assert_clean(vault)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk that is always full")
def test_a_log_that_there_is_no_room_for_ends_no_watcher(vault: Vault) -> None:
    with open("/dev/full", "wb") as full:
        line = command(vault.root, "watch")
        with subprocess.Popen(line, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE) as process:
            wait_for_pass(vault)
            for number in range(3):
                vault.write("one.md", f"changed {number}\n")
                eventually_without_loop(lambda: vault.status().is_clean)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
            assert (process.returncode, errors) == (0, b"")
    assert_clean(vault)


def test_without_a_watcher_there_is_nothing_to_stop_follow_or_show(vault: Vault) -> None:
    for flag in ("--stop", "--follow", "--state"):
        assert run(vault.root, "watch", flag).returncode == 1
    assert json.loads(run(vault.root, "watch", "--state", "--json").stdout) == {"alive": False}


def test_after_a_watcher_was_killed_a_status_is_right_and_the_next_one_starts(vault: Vault) -> None:
    with in_background(vault) as pid:
        os.kill(pid, signal.SIGKILL)
        eventually_without_loop(lambda: watcher_fields(vault.project.state) is None)
    assert os.path.lexists(vault.project.state.watch_socket)
    vault.write("one.md", "changed\n")
    assert run(vault.root, "status", "--porcelain").stdout == b"M\tone.md\n"
    with in_background(vault):
        eventually_without_loop(lambda: vault.status().is_clean)
        assert run(vault.root, "watch", "--stop").returncode == 0
    assert_clean(vault)


def test_a_watcher_that_is_not_run_leaves_a_status_to_a_full_pass(vault: Vault) -> None:
    with in_background(vault) as pid:
        os.kill(pid, signal.SIGSTOP)
        try:
            vault.write("one.md", "changed\n")
            told = run(vault.root, "status", "--porcelain")
            assert (told.returncode, told.stdout, told.stderr) == (0, b"M\tone.md\n", b"")
            assert json.loads(run(vault.root, "status", "--json").stdout)["changes"][0]["path"] == "one.md"
        finally:
            os.kill(pid, signal.SIGCONT)
        eventually_without_loop(lambda: vault.status().is_clean)
        assert run(vault.root, "status", "--porcelain").stdout == b""


def test_the_program_answers_from_the_watcher(vault: Vault) -> None:
    with in_background(vault):

        def is_answered() -> bool:
            assert run(vault.root, "status").stdout == b"nothing differs (4 files)\n"
            known = state_of(vault.project.state)
            assert known is not None
            return bool(known["questions"] > known["doubts"])

        eventually_without_loop(is_answered)
        assert ask(str(vault.state_path), "dance", 30.0) == b"doubt the question is not understood"


def test_a_watcher_that_does_not_come_up_is_told_with_its_last_words(vault: Vault) -> None:
    failed = run(vault.root, "watch", "--daemon", "--most-stats=5")
    assert failed.returncode == 6
    assert b"did not come up: " in failed.stderr
    assert b"--most-stats goes with --poll" in failed.stderr


def has_output(process: subprocess.Popen[bytes]) -> bool:
    assert process.stdout is not None
    return bool(select.select([process.stdout], [], [], 0)[0])


_TELLING = """
import os, sys
from pathlib import Path
from bm_gitindex.statefolder import StateFolder
from bm_gitindex.watching import daemon
daemon._LOG_BYTES = 100
state = StateFolder(Path(sys.argv[1]))
for number in range(4):
    os.write(1, b"%d" % number * 60)
    daemon.turn_log(state)
os.write(2, b"the end")
"""


@pytest.mark.parametrize("is_log", [True, False])
def test_a_log_that_has_grown_is_kept_apart_and_nothing_else_is(vault: Vault, is_log: bool) -> None:
    log = vault.project.state.watch_log
    log.write_bytes(b"")
    out = log if is_log else vault.root / "out"
    with open(out, "ab") as file:
        subprocess.run(
            [sys.executable, "-c", _TELLING, vault.root], env=ENVIRONMENT, stdout=file, stderr=file, check=True
        )
    zeros, ones, twos, threes = (b"%d" % number * 60 for number in range(4))
    if is_log:
        assert log.with_name("watch.log.1").read_bytes() == twos + threes
        assert log.read_bytes() == b"the end"
    else:
        assert out.read_bytes() == zeros + ones + twos + threes + b"the end"
        assert log.read_bytes() == b""


_TELLING_WITH_REFUSALS = """
import os, sys
from pathlib import Path
from bm_gitindex.statefolder import StateFolder
from bm_gitindex.watching import daemon

def refused(*_):
    raise OSError(28, "full")

daemon._LOG_BYTES = 100
state = StateFolder(Path(sys.argv[1]))
real = os.open
for number in range(4):
    os.write(1, b"%d" % number * 60)
    os.open = real if number == 3 else refused
    daemon.turn_log(state)
os.write(2, b"the end")
"""


def test_only_what_goes_to_the_log_is_turned_and_it_is_tried_again_where_it_fails(vault: Vault) -> None:
    log, errors = vault.project.state.watch_log, vault.root / "errors"
    telling: list[str | Path] = [sys.executable, "-c", _TELLING_WITH_REFUSALS, vault.root]
    with open(log, "ab") as out, open(errors, "ab") as err:
        subprocess.run(telling, env=ENVIRONMENT, stdout=out, stderr=err, check=True)
    assert log.read_bytes() == b""
    assert log.with_name("watch.log.1").read_bytes() == b"".join(b"%d" % number * 60 for number in range(4))
    assert errors.read_bytes() == b"the end"


@pytest.mark.parametrize("text", ["nonsense", "0", "-1", "inf", "nan"])
def test_an_interval_that_is_none_is_named(vault: Vault, text: str) -> None:
    ended = run(vault.root, "watch", f"--interval={text}")
    assert ended.returncode == 2
    assert f"argument --interval: {text!r} is no positive number".encode() in ended.stderr
