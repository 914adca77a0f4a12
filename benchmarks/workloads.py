"""The workloads: what is done over which vault, and by whom.

Each is a function that sets a `Place` up and returns the contenders, who then take turns. What has to be done before a
single run and is not measured (an edit, a removed state folder) is a contender's `before`.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Cost, environment, measured, measured_inside
from peers import STATE_FOLDER, BasicMemory, Git, Ours
from results import USUAL
from vault import Shape, VaultMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OURS = "bm-gitindex"
OURS_PURE = "bm-gitindex, pure Python"
OURS_SYNC = "bm-gitindex sync"
OURS_UNSAFE = "bm-gitindex, without fsync"
INTERPRETER = "python -I -c pass"
GIT = "git status"
GIT_UNTRACKED = "git status, untracked cache"
GIT_REFRESH = "git update-index --refresh"
GIT_LIST = "git ls-files -s"
GIT_ADD = "git add --all"
PYGIT2 = "pygit2 status"
DULWICH = "dulwich get_unstaged_changes"
RSYNC = "rsync -an"
BASIC_MEMORY = "basic-memory reindex --search"
HASHING = "read and hash in Python"

YOUNG_S = 2.2
"""A file that changed less than two seconds before a sync is looked at once more by the next one."""
_REPETITIONS = "9"
_DULWICH_MOST_FILES = 100_000
_INSIDE = [sys.executable, str(Path(__file__).with_name("inside.py"))]


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Contender:
    """Who takes turns in a workload."""

    who: str
    line: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=environment)
    measure: Callable[[Sequence[str], Mapping[str, str], Path], Cost] = measured
    before: Callable[[], None] = _nothing
    most_runs: int | None = None


class Place:
    """A vault, the state of all peers beside it, and what may be used of them."""

    def __init__(self, folder: Path, name: str, shape: Shape, limits: Limits) -> None:
        self.folder = folder
        self.name = name
        self.files = shape.files
        self.limits = limits
        self.vault = folder / "vault"
        self.log = folder / "log.txt"
        self.ours = Ours(self.vault, self.log)
        self.git = Git(folder / "git", self.vault, "false")
        self.git_untracked = Git(folder / "git-untracked", self.vault, "true")
        self.basic_memory = BasicMemory(folder, limits.basic_memory) if limits.basic_memory else None
        self._shape = shape
        self._edits = 0

    def make(self) -> None:
        """Write the vault, unless a whole one of this shape is there."""
        made = self.folder / "made.txt"
        if made.exists() and made.read_text() == repr(self._shape):
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        command = [sys.executable, str(Path(__file__).with_name("vault.py")), str(self.vault)]
        command += [str(self._shape.notes), str(self._shape.pdfs), "--note-size", self._shape.note_size]
        command += ["--folders", self._shape.layout, "--pdf-bytes", str(self._shape.pdf_bytes)]
        subprocess.run([*command, "--seed", str(self._shape.seed)], check=True)
        made.write_text(repr(self._shape))
        time.sleep(YOUNG_S)

    def settle(self, *gits: Git) -> None:
        """Bring bm-gitindex, and these gits, to where they need not read any file."""
        self.ours.settle()
        for git in gits:
            git.settle()

    def edit(self, count: int, vault: Path | None = None) -> None:
        """Append a line to some notes, spread evenly, and wait until they are not young any more."""
        self._edits += 1
        maker = VaultMaker(self._shape)
        for number in range(count):
            path = (vault or self.vault) / maker.path(number * self._shape.notes // count)
            with path.open("a", encoding="utf-8") as file:
                file.write(f"\n- [edit] number {self._edits} at {time.time_ns()}\n")
        time.sleep(YOUNG_S)

    def inside(self, who: str, *arguments: str, pure: str = "") -> Contender:
        """Return a contender that measures itself."""
        return Contender(who, [*_INSIDE, *arguments], _pure_environment(pure), measure=measured_inside)

    def known_to_basic_memory(self) -> BasicMemory | None:
        """Return basic-memory after it has taken the vault in, which takes minutes for thousands of notes."""
        if self.basic_memory and not self.basic_memory.database.exists():
            self.basic_memory.start_afresh(self.vault)
            self.basic_memory.run()
        return self.basic_memory


@dataclass(frozen=True, slots=True)
class Limits:
    """How often what is slow is run, and by what command basic-memory is started."""

    slow_runs: int = 3
    their_runs: int = 1
    basic_memory: str | None = None


def _pure_environment(pure: str) -> dict[str, str]:
    return environment(BM_GITINDEX_PURE=pure) if pure else environment()


def startup(place: Place) -> list[Contender]:
    """Start, and say the version."""
    return [
        Contender(OURS, place.ours.line("--version")),
        Contender(INTERPRETER, [sys.executable, "-I", "-c", "pass"]),
        Contender("git --version", ["git", "--version"]),
    ]


def status(place: Place) -> list[Contender]:
    """Find that nothing has changed: whole processes."""
    place.settle(place.git, place.git_untracked)
    ours = place.ours.line("status", "--porcelain")
    contenders = [
        Contender(OURS, ours),
        Contender(OURS_PURE, ours, _pure_environment("1")),
        Contender(INTERPRETER, [sys.executable, "-I", "-c", "pass"]),
        Contender(GIT, place.git.line("status", "--porcelain")),
        Contender(GIT_UNTRACKED, place.git_untracked.line("status", "--porcelain")),
        Contender(GIT_REFRESH, place.git.line("update-index", "--refresh")),
    ]
    if importlib.util.find_spec("pygit2"):
        contenders.append(Contender(PYGIT2, [*_INSIDE, "pygit2-status", str(place.git.folder)]))
    if place.files <= _DULWICH_MOST_FILES:
        index = str(place.git.folder / "index")
        contenders.append(Contender(DULWICH, [*_INSIDE, "dulwich-status", index, str(place.vault)]))
    if shutil.which("rsync"):
        contenders.append(Contender(RSYNC, _rsync(place)))
    return contenders


def _rsync(place: Place) -> list[str]:
    copy = place.folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-a", str(place.vault), str(copy)], check=True)
    return ["rsync", "-an", f"--exclude=/{STATE_FOLDER}", f"{place.vault}/", f"{copy}/"]


def library_status(place: Place) -> list[Contender]:
    """Find that nothing has changed, once more, in a process that has done so before."""
    place.settle(place.git)
    return [
        place.inside(OURS, "library-status", str(place.vault), _REPETITIONS),
        place.inside(OURS_PURE, "library-status", str(place.vault), _REPETITIONS, pure="1"),
        Contender(GIT_REFRESH, place.git.line("update-index", "--refresh")),
    ]


def index_load(place: Place) -> list[Contender]:
    """Load the index."""
    place.settle(place.git)
    return [
        place.inside(OURS, "index-load", str(place.vault), _REPETITIONS),
        Contender(GIT_LIST, place.git.line("ls-files", "-s")),
    ]


def index_write(place: Place) -> list[Contender]:
    """Write the index with one entry changed."""
    place.settle(place.git)
    target = str(place.folder / "index.written")
    return [
        place.inside(OURS, "index-write", str(place.vault), target, _REPETITIONS),
        place.inside(OURS_UNSAFE, "index-write-unsafe", str(place.vault), target, _REPETITIONS),
        Contender(GIT_LIST, place.git.line("ls-files", "-s")),
    ]


def sync_unchanged(place: Place) -> list[Contender]:
    """Sync where nothing has changed."""
    place.settle()
    contenders = [
        Contender(OURS_SYNC, place.ours.line("sync")),
        Contender(OURS, place.ours.line("status", "--porcelain")),
    ]
    if place.name == USUAL and (theirs := place.known_to_basic_memory()):
        line, surroundings = theirs.line(), theirs.environment
        contenders.append(Contender(BASIC_MEMORY, line, surroundings, most_runs=place.limits.slow_runs))
    return contenders


def status_changed(changes: int, place: Place) -> list[Contender]:
    """Find the notes that have changed, none of which is young."""
    place.settle(place.git, place.git_untracked)
    place.edit(changes)
    return [
        Contender(OURS, place.ours.line("status", "--porcelain")),
        Contender(GIT, place.git.line("status", "--porcelain")),
        Contender(GIT_UNTRACKED, place.git_untracked.line("status", "--porcelain")),
    ]


def sync_changed(changes: int, place: Place) -> list[Contender]:
    """Sync notes that have changed; git adds the same ones."""
    place.settle(place.git)
    contenders = [
        Contender(OURS_SYNC, place.ours.line("sync"), before=partial(place.edit, changes)),
        Contender(GIT_ADD, place.git.line("add", "--all")),
    ]
    if place.name == USUAL and (theirs := place.known_to_basic_memory()):
        contenders.append(
            Contender(
                BASIC_MEMORY,
                theirs.line(),
                theirs.environment,
                before=partial(place.edit, changes, theirs.vault),
                most_runs=place.limits.slow_runs,
            )
        )
    return contenders


def first_sync(place: Place) -> list[Contender]:
    """Take a vault in for the first time."""
    slow = place.limits.slow_runs
    contenders = [
        Contender(OURS_SYNC, place.ours.line("sync"), before=place.ours.forget, most_runs=slow),
        Contender(HASHING, [*_INSIDE, "hash-files", str(place.vault)], most_runs=slow),
    ]
    if place.name == USUAL and (theirs := place.basic_memory):
        contenders.append(
            Contender(
                BASIC_MEMORY,
                theirs.line(),
                theirs.environment,
                before=partial(theirs.start_afresh, place.vault),
                most_runs=place.limits.their_runs,
            )
        )
    return contenders


@dataclass(frozen=True, slots=True)
class Workload:
    """Something that is measured."""

    name: str
    title: str
    contenders: Callable[[Place], list[Contender]]
    only_usual: bool = False
    """Whether it is measured over the usual vault alone."""
    only_sized: bool = False
    """Whether it is measured over the vaults of chosen sizes alone."""
    warm_up: bool = True
    """Whether everyone runs once before anything counts."""
    starts_others: bool = False
    """Whether ours may start other processes, so that what they hold together is looked at."""


WORKLOADS = (
    Workload("startup", "start-up", startup, only_usual=True),
    Workload("first-sync", "first `sync`", first_sync, warm_up=False, starts_others=True),
    Workload("status", "`status`, clean", status),
    Workload("library-status", "library `status()`, clean, second call", library_status),
    Workload("index-load", "load the index", index_load, only_sized=True),
    Workload("index-write", "write the index with 1 change", index_write, only_sized=True),
    Workload("sync-unchanged", "`sync`, nothing changed", sync_unchanged),
    Workload("status-1-change", "`status` after 1 change", partial(status_changed, 1)),
    Workload("status-100-changes", "`status` after 100 changes", partial(status_changed, 100)),
    Workload("sync-1-change", "`sync` after 1 change", partial(sync_changed, 1)),
    Workload("sync-100-changes", "`sync` after 100 changes", partial(sync_changed, 100), starts_others=True),
)
