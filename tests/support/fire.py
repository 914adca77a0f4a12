"""A project under fire: many processes that sync it and are killed at random moments, readers, and an editor.

Run as a program with the settings as JSON in its argument; what happened is printed as JSON. It loads everything once
and forks the processes from there, so that they die in a sync and not while Python starts.

Whether two of them ever write at once is not asked of the lock under test. Each writer, as long as it has that lock,
holds another one, on a file of its own: a record lock (fcntl(2)), which knows nothing of flock. The kernel lets go of
record locks when it closes a dead process's files, and of flocks only after that, so that it is free whenever the next
writer is let in; where it is not, there are two.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
READERS = (
    ("status", "--json"),
    ("ls-files", "-s"),
    ("show", "never-gone.md", "--json"),
    ("verify", "--json"),
)


_MOST_S = 60
_IS_ENTRY = re.compile(r"100644 [0-9a-f]{40} 0\t.+\.md").fullmatch


@dataclass(frozen=True)
class Settings:
    root: str
    scratch: str
    seconds: float
    """At least; on a busy machine it goes on until enough writers were killed."""
    least_kills: int
    writers: int
    readers: int
    seed: int
    has_locks: bool = True
    """False makes flock do nothing, and kills nobody, until two writers at once are seen: so they would be."""


@dataclass
class Outcome:
    """What happened."""

    violations: list[str] = field(default_factory=list)
    """Writers that found another one at work."""
    kills: dict[str, int] = field(default_factory=dict)
    """By signal, of any process."""
    kills_of_writers: int = 0
    """Of the process that held the lock at that moment."""
    edits: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    """How often a command, hit by a signal or none, came to an end, by what it came to."""
    oddities: list[str] = field(default_factory=list)
    """Ends that must not be, with what was said."""
    slowest_reader_s: float = 0.0


@dataclass
class Child:
    command: tuple[str, ...]
    number: int
    started_s: float
    hit_by: set[signal.Signals] = field(default_factory=set)


@dataclass
class Reign:
    """The time of one writer."""

    pid: int
    since_s: float
    kill_at_s: float | None
    """None for one that is let live."""


class Fire:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._random = random.Random(settings.seed)
        self._root = Path(settings.root)
        self._scratch = Path(settings.scratch)
        self._witness = self._scratch / "witness"
        self._violations = self._scratch / "violations"
        self._children: dict[int, Child] = {}
        self._pids = {os.getppid()}  # who made the project has written its name last
        self._started = 0
        self._kills: Counter[str] = Counter()
        self._spared = 0
        self._ends: Counter[str] = Counter()
        self._outcome = Outcome()
        self._started_s = 0.0
        self._reign = Reign(0, time.monotonic(), math.inf)
        self._usual_reign_s = 0.1

    def run(self) -> Outcome:
        self._witness.write_bytes(bytes(16))
        self._violations.touch()
        self._hook_lock()
        self._started_s = time.monotonic()
        while not self._is_enough():
            self._fill_up()
            if self._settings.has_locks:
                self._aim()
            if self._random.random() < 0.1:
                self._edit()
            self._reap()
            time.sleep(0.005)
        while self._children:
            self._reap()
            time.sleep(0.01)
        self._outcome.violations = self._violations.read_text().splitlines()
        self._outcome.kills = dict(self._kills)
        self._outcome.ends = dict(sorted(self._ends.items()))
        return self._outcome

    def _is_enough(self) -> bool:
        seconds = time.monotonic() - self._started_s
        if not self._settings.has_locks:
            return bool(self._violations.stat().st_size) or seconds > _MOST_S
        is_long = seconds >= self._settings.seconds and self._outcome.kills_of_writers >= self._settings.least_kills
        return is_long or seconds > self._settings.seconds + _MOST_S

    # --- the witness -------------------------------------------------------------------------------------------------

    def _hook_lock(self) -> None:
        from bm_gitindex.syncing import session

        if not self._settings.has_locks:
            fcntl.flock = lambda fd, operation: None
        real = vars(session)["lock_index"]

        @contextmanager
        def watched(*arguments: Any) -> Iterator[Any]:
            with real(*arguments) as lock, self._watch():
                yield lock

        vars(session)["lock_index"] = watched

    @contextmanager
    def _watch(self) -> Iterator[None]:
        fd = os.open(self._witness, os.O_RDWR | os.O_CLOEXEC)
        try:
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._tell(f"process {os.getpid()} writes beside process {self._writer()}")
            os.pwrite(fd, str(os.getpid()).encode().ljust(16), 0)
            yield
        finally:
            os.close(fd)

    def _writer(self) -> int:
        return int(self._witness.read_text().strip(" \0") or 0)

    def _tell(self, violation: str) -> None:
        fd = os.open(self._violations, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.write(fd, f"{violation}\n".encode())
        os.close(fd)

    # --- the processes -----------------------------------------------------------------------------------------------

    def _fill_up(self) -> None:
        running = Counter(child.command[0] == "sync" for child in self._children.values())
        for _ in range(self._settings.writers - running[True]):
            wait_s = self._random.choice(["0", "0.2", "10", "10", "10", "10"])
            self._start(
                (
                    "sync",
                    "--json",
                    "--allow-mass-delete",
                    "--wait",
                    wait_s,
                    *self._random.choice([(), (), ("--paranoid",)]),
                )
            )
        for _ in range(self._settings.readers - running[False]):
            self._start(self._random.choice(READERS))

    def _start(self, command: tuple[str, ...]) -> None:
        self._started += 1
        number = self._started
        pid = os.fork()
        if pid == 0:
            self._become(command, number)
        self._children[pid] = Child(command, number, time.monotonic())
        self._pids.add(pid)

    def _become(self, command: tuple[str, ...], number: int) -> None:
        """Run one command in the child, as the program does, and end."""
        code = 99
        try:
            for fd, name in ((1, "out"), (2, "err")):
                file = os.open(self._scratch / f"{name}-{number}", os.O_WRONLY | os.O_CREAT, 0o600)
                os.dup2(file, fd)
                os.close(file)
            from bm_gitindex.__main__ import main

            sys.argv = ["bm-gitindex", "-C", str(self._root), *command]
            code = main()
            sys.stdout.flush()
        except KeyboardInterrupt:
            code = 130
        except BaseException as error:  # noqa: BLE001
            os.write(2, f"Traceback: {error!r}\n".encode())
        finally:
            with suppress(KeyboardInterrupt):
                sys.stderr.flush()
            os._exit(code)

    def _aim(self) -> None:
        """Kill every other writer at a moment of its reign, and now and then one of those that start, wait or end."""
        writer, now = self._writer(), time.monotonic()
        if writer != self._reign.pid:
            if self._reign.kill_at_s is None:
                self._usual_reign_s += 0.2 * (now - self._reign.since_s - self._usual_reign_s)
            is_doomed = self._random.random() < 0.5
            self._reign = Reign(writer, now, now + self._random.uniform(0, self._usual_reign_s) if is_doomed else None)
        if self._reign.kill_at_s is not None and now >= self._reign.kill_at_s:
            self._reign.kill_at_s = math.inf
            if writer in self._children:
                self._outcome.kills_of_writers += 1
                self._kill(writer)
        # However slow the machine, as many runs end by themselves as are hit on their way.
        if self._random.random() < 0.03 and sum(self._kills.values()) <= self._spared:
            self._kill(self._random.choice(sorted(self._children.keys() - self._readers())))

    def _readers(self) -> set[int]:
        return {pid for pid, child in self._children.items() if child.command[0] != "sync"}

    def _kill(self, pid: int) -> None:
        sent = self._random.choice(SIGNALS)
        self._kills[sent.name] += 1
        self._children[pid].hit_by.add(sent)
        os.kill(pid, sent)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._children.pop(pid)
            output, errors = (self._scratch / f"{name}-{child.number}" for name in ("out", "err"))
            self._judge(child, os.waitstatus_to_exitcode(status), *(_taken(path) for path in (output, errors)))

    # --- what they come to -------------------------------------------------------------------------------------------

    def _judge(self, child: Child, code: int, output: str, errors: str) -> None:
        name = child.command[0]
        self._spared += name == "sync" and not child.hit_by
        hit = "".join(sorted(f" hit by {sent.name}" for sent in child.hit_by))
        self._ends[f"{name}{hit}: {code}"] += 1
        if "Traceback" in errors or "Exception" in errors:
            problem = "a traceback"
        elif -code in child.hit_by - {signal.SIGINT} or (code == 130 and signal.SIGINT in child.hit_by):
            problem = ""
        elif name == "sync":
            problem = self._sync_problem(code, output, errors)
        else:
            self._outcome.slowest_reader_s = max(self._outcome.slowest_reader_s, time.monotonic() - child.started_s)
            problem = _reader_problem(name, code, output)
        if problem:
            self._outcome.oddities.append(
                f"{child.command}{hit}: {code}, {problem}: {output[-300:]!r} {errors[-1000:]!r}"
            )

    def _sync_problem(self, code: int, output: str, errors: str) -> str:
        if code == 4:
            pid = errors.partition("in use by process ")[2].partition(" ")[0]
            is_named = pid.isdigit() and int(pid) in self._pids and "bm-gitindex sync, since" in errors
            return "" if is_named else "the holder is not named"
        if code not in (0, 3):
            return "an exit code that was not to be"
        return "" if _is_json(output) else "no JSON"

    # --- the editor --------------------------------------------------------------------------------------------------

    def _edit(self) -> None:
        """Change something; a file is created for each that goes, so that no deletion looks like an accident."""
        self._outcome.edits += 1
        files = sorted(path for path in self._root.rglob("*.md") if path.name != "never-gone.md")
        path = self._random.choice(files)
        act = self._random.randrange(5)
        if act == 0:
            path.rename(path.with_name(f"moved{self._outcome.edits}.md"))
        elif act == 1:
            path.unlink()
            (self._root / f"new{self._outcome.edits}.md").write_text(self._note(), "utf-8")
        elif act == 2:
            content = path.read_bytes()
            path.write_bytes(content[:-2] + b"%d\n" % self._random.randrange(10))
        else:
            path.write_text(self._note(), "utf-8")

    def _note(self) -> str:
        facts = "".join(f"- [fact] {self._random.random()} #tag\n" for _ in range(self._random.randrange(5)))
        return f"---\ntags: [a, b]\n---\n{facts}- links [[note {self._random.randrange(40)}]]\nend 0\n"


def _reader_problem(name: str, code: int, output: str) -> str:
    if name == "ls-files":
        is_whole = code == 0 and output.endswith("\n") and all(map(_IS_ENTRY, output.splitlines()))
        return "" if is_whole else "not an index"
    if not _is_json(output):
        return "no JSON"
    if name == "verify" and code == 1:
        # What a sync stores between two looks is explained by the tie, which is open as long as it runs.
        kinds = {mismatch["kind"] for mismatch in json.loads(output)["mismatches"]}
        return "" if "tie" in kinds else "a mismatch without an open tie"
    # A note that the editor takes away while it is looked at cannot be read.
    return "" if code == 0 or (name == "verify" and code == 3) else "an exit code that was not to be"


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _taken(path: Path) -> str:
    """Return what a file says, and remove it. A process that died at once has none."""
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""
    path.unlink()
    return text


def under_fire(settings: Settings, source: str) -> Outcome:
    """Let it all happen in another process, whose modules come from the folder `source`."""
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(asdict(settings))],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        check=False,
        timeout=settings.seconds + 10 * _MOST_S,
    )
    assert done.returncode == 0, done.stderr.decode()
    return Outcome(**json.loads(done.stdout))


def _load_everything() -> None:
    import bm_gitindex.cli
    import bm_gitindex.entities.migrations
    import bm_gitindex.entities.reader
    import bm_gitindex.entities.store
    import bm_gitindex.syncing.storing  # noqa: F401


if __name__ == "__main__":
    _load_everything()
    outcome = Fire(Settings(**json.loads(sys.argv[1]))).run()
    sys.stdout.write(json.dumps(asdict(outcome)))
