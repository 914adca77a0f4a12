"""One tree and one index, asked about by git and by us.

git works on a copy of the index, since it settles entries in place; the copy keeps the mtime, and so T.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import bm_gitindex
from bm_gitindex import SyncRequest
from bm_gitindex.errors import IndexDamagedError, IndexUnsupportedError
from bm_gitindex.index.codec import decode
from support.git import SHOW, shown_in
from support.project import BY_CTIME, BY_MTIME, LATE_S, NS, OLD_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bm_gitindex import SyncReport
    from bm_gitindex.index.entry import Entry
    from bm_gitindex.options import Options
    from support.git import Git
    from support.project import Project

CLEAN: dict[bytes, str] = {}


class Answers(NamedTuple):
    """What git and we say of a tree that one index describes."""

    git: dict[bytes, str]
    """Path -> letter of `diff-files`, after a refresh: content decides where stat cannot."""
    ours: dict[bytes, str]
    files_read: int
    """How many files we opened for it."""


class Read(NamedTuple):
    """What git and we make of the bytes of an index."""

    git: list[Entry] | str
    """Entries of stage 0, or git's complaint."""
    ours: list[Entry] | type[Exception]


class Beside:
    """A project, and git beside it with a copy of the index."""

    def __init__(self, project: Project, git: Git) -> None:
        self.project = project
        self.git = git
        self.write = project.write
        self.commit = project.commit
        self.entry = project.entry

    def by_mtime(self) -> Beside:
        """Trust ctime on neither side: it is the one time that a test cannot set on a real file."""
        self.project.options = BY_MTIME
        return self

    def by_ctime(self) -> Beside:
        self.project.options = BY_CTIME
        return self

    def with_options(self, **options: Any) -> Beside:
        self.project.options = self.project.options._replace(**options)
        return self

    @property
    def config(self) -> dict[str, Any]:
        """git's configuration that says what our options say."""
        return config_of(self.project.options)

    # --- the files

    def path(self, name: str | bytes) -> bytes:
        return self.project.path(name)

    def touch(self, name: str | bytes, mtime_s: int, mtime_ns: int = 0) -> None:
        """Set a file's mtime; skips the test where the file system keeps no such time."""
        time_ns = mtime_s * NS + mtime_ns
        os.utime(self.path(name), ns=(time_ns, time_ns))
        _skip_unless(os.lstat(self.path(name)).st_mtime_ns == time_ns, f"the file system keeps no mtime of {time_ns}")

    def edit(self, name: str | bytes, data: bytes = b"HELLO\n", mtime_s: int = OLD_S) -> None:
        """Edit a file in place, to the same size unless `data` says otherwise, and put its mtime back."""
        self.write(name, data, mtime_s)

    def remove(self, name: str | bytes) -> None:
        os.unlink(self.path(name))

    # --- the index

    def index(self, *names: str | bytes, timestamp_s: int = LATE_S, **stat_fields: int) -> None:
        """Index files as a sync does, all or those named, some stat fields replaced, and set T."""
        self.commit([self.entry(name, **stat_fields) for name in names or self.project.files()], timestamp_s)

    def lend(self) -> None:
        """Give git a copy of our index, with its T."""
        shutil.copy2(self.project.state.index, self.git.index)

    def adopt(self, timestamp_s: int = LATE_S, *, as_ours: bool = True) -> None:
        """Put git's index in the place of ours.

        `as_ours` also writes `index.own`, so that the comparison is not cut short by whose index it is.
        """
        if as_ours:
            self.project.commit_bytes(self.git.index.read_bytes(), timestamp_s)
        else:
            shutil.copyfile(self.git.index, self.project.state.index)
            self.project.set_timestamp(timestamp_s)

    def set_timestamp(self, timestamp_s: int) -> None:
        self.project.set_timestamp(timestamp_s)

    def stored(self, name: str | bytes) -> Entry:
        """Return our entry of a path."""
        return self.project.read().index[os.fsencode(name)]

    def stored_by_git(self, name: str | bytes) -> Entry:
        """Return git's entry of a path."""
        return next(entry for entry in self.git.entries() if entry.path == os.fsencode(name))

    # --- the questions

    def answers(self) -> Answers:
        """Ask both what differs, by content where stat cannot tell; neither changes our index."""
        status = self.project.status()
        ours = {change.path: change.status.value for change in status.changes}
        self.lend()
        return Answers(self.git.changed(**self.config), ours, status.counters.files_read)

    def suspects(self) -> set[bytes]:
        """Return what git takes for changed before it settles entries of equal content: the stat differs."""
        self.lend()
        return set(self.git("diff-files", "--name-only", "-z", **self.config).split(b"\0")[:-1])

    def opened_by_git(self) -> list[str]:
        """Return the files that git opens to settle the entries, in order. Skips the test without strace."""
        _skip_unless(bool(shutil.which("strace")), "strace is not installed")
        self.lend()
        trace = self.git.index.with_name("trace")
        done = self.git.run("update-index", "-q", "--refresh", under=("strace", "-f", "-e", "openat", "-o", str(trace)))
        _skip_unless(trace.exists() and b"ptrace" not in done.stderr, "strace may not trace here")
        found = re.findall(r'openat\(AT_FDCWD, "([^"/]+)", O_RDONLY', trace.read_text())
        return [name for name in found if os.path.lexists(self.path(name)) and name != ".git"]

    def read(self, data: bytes, **config: Any) -> Read:
        """Let both read the bytes of an index."""
        self.git.index.write_bytes(data)
        return Read(self.as_git_reads(**config), as_we_read(data))

    def as_git_reads(self, **config: Any) -> list[Entry] | str:
        done = self.git.run(*SHOW, **config)
        if done.returncode:
            return done.stderr.decode("utf-8", "replace").strip() or f"ended with {done.returncode}"
        return [shown.entry for shown in shown_in(done.stdout) if shown.stage == 0]

    def git_verifies(self) -> str:
        """Return what `git fsck` complains of in git's index, other than objects that are not there."""
        done = self.git.run("fsck", "--no-dangling")
        lines = done.stderr.decode("utf-8", "replace").splitlines()
        return "\n".join(line for line in lines if "notice:" not in line and "missing blob" not in line)

    def sync(self, *paths: str) -> SyncReport:
        """Sync for real, database and all, without waiting for a lock."""
        project = bm_gitindex.Project(self.project.root, self.project.options)
        return project.sync_blocking(paths, SyncRequest(wait_s=0))


def config_of(options: Options) -> dict[str, Any]:
    return {
        "core_trustctime": str(options.trust_ctime).lower(),
        "core_fileMode": str(options.trust_filemode).lower(),
        "core_checkStat": options.check_stat,
    }


def as_we_read(data: bytes) -> list[Entry] | type[Exception]:
    try:
        index = decode(data)
    except (IndexDamagedError, IndexUnsupportedError) as error:
        return type(error)
    return [index[path] for path in index]


def paths_read(entries: Iterable[Entry] | str | type[Exception]) -> list[bytes]:
    """Return the paths of entries that were read without complaint."""
    assert not isinstance(entries, str | type), entries
    return [entry.path for entry in entries]


def git_version() -> tuple[int, ...]:
    """Return git's version, as numbers."""
    text = subprocess.run(["git", "version"], capture_output=True, check=True, text=True).stdout
    found = re.search(r"\d+(?:\.\d+)+", text)
    assert found is not None, text
    return tuple(map(int, found[0].split(".")))


def _skip_unless(condition: bool, reason: str) -> None:
    if not condition:
        pytest.skip(reason)
