"""`bm-gitindex watch`."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bm_gitindex.cli.output import human_bytes, plain, print_json, print_text, root_of, shown
from bm_gitindex.errors import NotFoundError, UsageError
from bm_gitindex.options import WatchOptions
from bm_gitindex.project import Project

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from bm_gitindex.watching.report import WatchReport
    from bm_gitindex.watching.watcher import Watcher

NAME = "watch"
SUMMARY = "sync what changes as it changes, and answer `status` at once"
EXAMPLE = "bm-gitindex watch --daemon"

_NAMED = 5
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Why a line may not be told in a log: that is no reason to watch no longer."""
_ON_TERMINAL, _IN_LOG = "%H:%M:%S", "%Y-%m-%d %H:%M:%S"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--daemon", action="store_true", help="start in the background, with a log in the state folder")
    what.add_argument("--stop", action="store_true", help="end the watcher, when it has finished what it is doing")
    what.add_argument("--state", action="store_true", help="show how the watcher fares")
    what.add_argument("--follow", action="store_true", help="print what the project's watcher does")
    parser.add_argument("--json", action="store_true", help="print JSON: one object a line")
    parser.add_argument("--poll", action="store_true", help="ask for every file again and again")
    defaults = WatchOptions()
    parser.add_argument(
        "--interval",
        type=_positive,
        default=defaults.interval_s,
        metavar="SECONDS",
        help=f"between two passes over everything (default: {defaults.interval_s:.0f})",
    )
    parser.add_argument(
        "--most-stats", type=_positive, metavar="N", help="when polling, ask for at most N files a second"
    )


def _positive(text: str) -> float:
    """Return a positive number. Raises ArgumentTypeError, which argparse reports."""
    from argparse import ArgumentTypeError

    with suppress(ValueError):
        number = float(text)
        if 0 < number < float("inf"):
            return number
    raise ArgumentTypeError(f"{text!r} is no positive number")


def run(arguments: argparse.Namespace) -> int:
    """Watch a project, or see to its watcher."""
    project = Project(root_of(arguments))
    if arguments.state:
        return _show_state(project, as_json=arguments.json)
    if arguments.stop:
        return _stop(project)
    if arguments.follow:
        return _follow(project, arguments)
    if arguments.daemon:
        return _start(project, arguments)
    return _watch(project, arguments)


def _watch(project: Project, arguments: argparse.Namespace) -> int:
    # Imported here, and below: a watcher needs what no other command needs.
    from bm_gitindex.syncing.cancellation import run_in_loop
    from bm_gitindex.watching.presence import refuse_second

    watcher = project.watcher(_how(arguments))
    refuse_second(project.state)
    if sys.stderr.isatty() and not arguments.quiet:
        sys.stderr.write(plain(f"watching {project.root}; Ctrl-C ends it") + "\n")
    run_in_loop(lambda: _tell(watcher, arguments))
    return 0


async def _tell(watcher: Watcher, arguments: argparse.Namespace) -> None:
    import asyncio

    from bm_gitindex.watching.daemon import turn_log
    from bm_gitindex.watching.session import watch
    from bm_gitindex.watching.wire import report_text

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, watcher.stop)
    # While it is suspended, the kernel's queue may overflow in no time, and nobody is told.
    loop.add_signal_handler(signal.SIGCONT, watcher.distrust, "this process was suspended for a while")
    async for report in watch(watcher):
        try:
            if arguments.json:
                print_text(report_text(report))
            elif not arguments.quiet:
                _print_report(report)
            sys.stdout.flush()
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            _forget_unprinted()
        turn_log(watcher.folder)


def _forget_unprinted() -> None:
    """Let go of what is still to be printed, which would stand in the way of all that follows."""
    output = sys.stdout.fileno()
    kept_fd, nowhere_fd = os.dup(output), os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.dup2(nowhere_fd, output)
        sys.stdout.flush()
    finally:
        os.dup2(kept_fd, output)
        os.close(kept_fd)
        os.close(nowhere_fd)


def _print_report(report: WatchReport) -> None:
    from bm_gitindex.watching.wire import report_text

    _print_told(json.loads(report_text(report)))


def _print_told(told: dict[str, Any]) -> None:
    """Print one report in a line, and a line for each file that could not be read or has a problem."""
    at = _time(told["at_s"], _ON_TERMINAL if sys.stdout.isatty() else _IN_LOG)
    for note in told["notes"]:
        print_text(f"{at} {plain(note)}")
    if told["error"]:
        print_text(f"{at} could not sync: {plain(told['error'])}; it is tried again")
        return
    if "added" not in told:
        return
    counts = [f"{told[name]:,} {name}" for name in ("added", "modified", "deleted", "moved") if told[name]]
    names = [_shown(path) for path in told["changed"]]
    named = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
    why = f" [pass: {told['reason']}]" if told["reason"] else ""
    print_text(f"{at} {', '.join(counts) or 'nothing changed'}{': ' if named else ''}{named}{why}")
    if told["missed"]:
        print_text(f"{at}   of these, {len(told['missed']):,} had not been told of by the system")
    for kind, why in (("failed", "error"), ("skipped", "reason"), ("warnings", "warning")):
        word = "warning:" if kind == "warnings" else "skipped"
        for one in told[kind]:
            print_text(f"{at}   {word} {_shown(one['path'])}: {plain(one[why])}")
    for notice in told["notices"]:
        print_text(f"{at}   {plain(notice)}")


def _shown(path: str) -> str:
    return shown(os.fsencode(path))


def _start(project: Project, arguments: argparse.Namespace) -> int:
    from bm_gitindex.watching.daemon import start_in_background

    pid = start_in_background(project.state, _as_line(project, arguments))
    if not arguments.quiet:
        print_text(f"watching {project.root} in the background: process {pid}, log {project.state.watch_log}")
    return 0


def _as_line(project: Project, arguments: argparse.Namespace) -> Sequence[str]:
    line = ["-C", str(project.root), NAME, f"--interval={arguments.interval}"]
    line += ["--poll"] if arguments.poll else []
    line += [f"--most-stats={arguments.most_stats}"] if arguments.most_stats else []
    return line + (["--json"] if arguments.json else [])


def _stop(project: Project) -> int:
    from bm_gitindex.watching.daemon import stop

    if not stop(project.state):
        raise NotFoundError(f"{project.root} is not watched")
    return 0


def _show_state(project: Project, *, as_json: bool) -> int:
    from bm_gitindex.watching.daemon import state_of

    known = state_of(project.state)
    if as_json:
        print_json(known if known is not None else {"alive": False})
    elif known is None:
        print_text(f"{project.root} is not watched")
    else:
        for line in _state_lines(known):
            print_text(line)
    return 0 if known is not None else NotFoundError.exit_code


def _state_lines(known: dict[str, Any]) -> list[str]:
    memory = human_bytes(known["rss_bytes"]) if "rss_bytes" in known else "unknown"
    if not known["alive"]:
        return [f"process {known.get('pid')} on {known.get('host')} does not answer (memory: {memory})"]
    lines = [
        f"process {known['pid']}, by {known['mode']}, since {_time(known['started_s'])}",
        f"  folders:    {known['folders']:,} watched, {known['polled_folders']:,} asked for",
        f"  last event: {_time(known['last_event_s'])} ({known['events']:,} so far)",
        f"  last sync:  {_time(known['last_sync_s'])} ({known['syncs']:,} so far)",
        f"  last pass:  {_time(known['last_pass_s'])}, {known['last_pass_took_s']:.2f} s ({known['passes']:,} so far)",
        f"  next pass:  {_time(known['next_pass_s'])}",
        f"  queue:      {known['queue']:,} paths",
        f"  missed:     {known['missed']:,} changes that the system had not told of",
        f"  questions:  {known['questions']:,}, of which {known['doubts']:,} were left to a full pass",
        f"  failures:   {known['failures']:,}{': ' + plain(known['last_error']) if known['last_error'] else ''}",
        f"  memory:     {memory}",
    ]
    lines += [f"  not read:   {_shown(path)}" for path in known["unreadable"]]
    return lines + [f"  note:       {plain(note)}" for note in known["notes"]]


def _time(seconds: float, form: str = _IN_LOG) -> str:
    if not seconds:
        return "never"
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime(form)


def _follow(project: Project, arguments: argparse.Namespace) -> int:
    from bm_gitindex.watching.asking import listen

    is_there = False
    for line in listen(str(project.state.path), "follow", None):
        word, _, rest = line.partition(b" ")
        is_there = is_there or word == b"following"
        if word == b"report":
            if arguments.json:
                print_text(rest.decode())
            else:
                _print_told(json.loads(rest))
            sys.stdout.flush()
    if not is_there:
        raise NotFoundError(f"{project.root} is not watched")
    return 0


def _how(arguments: argparse.Namespace) -> WatchOptions:
    if arguments.most_stats and not arguments.poll:
        raise UsageError("--most-stats goes with --poll")
    return WatchOptions(arguments.interval, arguments.poll, arguments.most_stats)
