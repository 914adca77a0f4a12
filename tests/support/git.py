"""Real git as an oracle: set up beside an index, without a repository in or above the files."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

from bm_gitindex.index.entry import Entry
from bm_gitindex.index.stat import StatData

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN = re.compile(
    rb"(?P<mode>\d{6}) (?P<id>[0-9a-f]{40}) (?P<stage>\d)\t(?P<path>[^\0]+)\0"
    rb"  ctime: (?P<ctime_s>\d+):(?P<ctime_ns>\d+)\n"
    rb"  mtime: (?P<mtime_s>\d+):(?P<mtime_ns>\d+)\n"
    rb"  dev: (?P<dev>\d+)\tino: (?P<ino>\d+)\n"
    rb"  uid: (?P<uid>\d+)\tgid: (?P<gid>\d+)\n"
    rb"  size: (?P<size>\d+)\tflags: (?P<flags>[0-9a-f]+)\n"
)
SHOW = ("ls-files", "-s", "--debug", "-z")
_ASSUME_VALID = 0x8000
_INTENT_TO_ADD = 1 << 29
_SKIP_WORKTREE = 1 << 30


class Shown(NamedTuple):
    """One entry as `git ls-files -s --debug` shows it."""

    entry: Entry
    stage: int


class Git:
    """git with an index and a work tree of our choice, and a git folder of its own that holds nothing else."""

    def __init__(self, git_folder: Path, index: Path, worktree: Path) -> None:
        self.index = index
        self.worktree = worktree
        self._git_folder = git_folder
        (git_folder / "objects").mkdir(parents=True, exist_ok=True)
        (git_folder / "refs").mkdir(exist_ok=True)
        (git_folder / "HEAD").write_text("ref: refs/heads/none\n")

    def run(
        self, *args: str | bytes, stdin: bytes = b"", under: tuple[str, ...] = (), **config: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run git, `under` another command; `_` in a configuration name stands for a dot (`index_threads=3`)."""
        settings = [part for name, value in config.items() for part in ("-c", f"{name.replace('_', '.')}={value}")]
        return subprocess.run(
            [*under, *self._command(*settings, *args)],
            cwd=self.worktree,
            env=self._environment(),
            input=stdin,
            capture_output=True,
            check=False,
            timeout=60,
        )

    def popen(self, *args: str) -> subprocess.Popen[bytes]:
        """Start git, which goes on while its standard input is open."""
        return subprocess.Popen(self._command(*args), cwd=self.worktree, env=self._environment(), stdin=subprocess.PIPE)

    def _command(self, *args: str | bytes) -> list[str | bytes]:
        return ["git", f"--git-dir={self._git_folder}", f"--work-tree={self.worktree}", *args]

    def _environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return environment | {
            "GIT_INDEX_FILE": str(self.index),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "LC_ALL": "C",
        }

    def __call__(self, *args: str | bytes, stdin: bytes = b"", **config: Any) -> bytes:
        """Return what git prints; it must succeed without a word on stderr."""
        done = self.run(*args, stdin=stdin, **config)
        assert done.returncode == 0, (args, done.returncode, done.stderr)
        assert done.stderr == b"", (args, done.stderr)
        return done.stdout

    def shown(self, **config: Any) -> list[Shown]:
        """Return the index as git reads it."""
        return shown_in(self(*SHOW, **config))

    def entries(self, **config: Any) -> list[Entry]:
        """Return the entries of stage 0 as git reads them, in git's order."""
        return [shown.entry for shown in self.shown(**config) if shown.stage == 0]

    def add(self, *paths: str | bytes, **config: Any) -> None:
        """Add files to the index without storing their content (`--info-only`)."""
        names = b"".join(os.fsencode(path) + b"\0" for path in paths)
        self("update-index", "--add", "--info-only", "-z", "--stdin", stdin=names, **config)

    def cacheinfo(self, *lines: bytes, **config: Any) -> None:
        """Store entries as `mode id stage<TAB>path`, without looking at any file."""
        self("update-index", "-z", "--index-info", stdin=b"".join(line + b"\0" for line in lines), **config)

    def refresh(self, **config: Any) -> None:
        """Let git compare stat data, and content where that cannot tell, and store what it found."""
        self.run("update-index", "-q", "--refresh", **config)

    def changed(self, **config: Any) -> dict[bytes, str]:
        """Return path -> letter of what differs, by content where stat cannot tell (`diff-files` after a refresh)."""
        self.refresh(**config)
        fields = self("diff-files", "--name-status", "-z", **config).split(b"\0")[:-1]
        return dict(zip(fields[1::2], map(bytes.decode, fields[0::2]), strict=True))

    def untracked(self) -> set[bytes]:
        """Return the files that no index entry and no ignore rule covers."""
        return set(self("ls-files", "-o", "--exclude-standard", "-z").split(b"\0")[:-1])


def shown_in(output: bytes) -> list[Shown]:
    """Return the entries that git printed when asked to `SHOW` them."""
    found = [_shown(match) for match in _SHOWN.finditer(output)]
    assert sum(len(match[0]) for match in _SHOWN.finditer(output)) == len(output), output[:400]
    return found


def _shown(match: re.Match[bytes]) -> Shown:
    number = {name: int(match[name]) for name in ("ctime_s", "ctime_ns", "mtime_s", "mtime_ns", "dev", "ino", "uid")}
    stat = StatData(**number, mode=int(match["mode"], 8), gid=int(match["gid"]), size=int(match["size"]))
    flags = int(match["flags"], 16)
    entry = Entry(
        match["path"],
        stat,
        bytes.fromhex(match["id"].decode()),
        bool(flags & _ASSUME_VALID),
        bool(flags & _SKIP_WORKTREE),
        bool(flags & _INTENT_TO_ADD),
    )
    return Shown(entry, int(match["stage"]))
