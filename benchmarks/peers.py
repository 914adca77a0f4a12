"""Who is measured: bm-gitindex, git, rsync and basic-memory, each set up beside the same files.

Used by `run.py` and `against_basic_memory.py`. Nothing of a peer's is put into the vault: git has its folder beside it,
basic-memory a copy of the vault and a home folder of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Cost, environment, measured, measured_aloud, write_byte_code
from vault import Shape, VaultMaker

if TYPE_CHECKING:
    from collections.abc import Sequence

STATE_FOLDER = ".basic-memory"
_ATTEMPTS_TO_SETTLE = 4
_BASIC_MEMORY_CONFIG = {
    "env": "dev",
    "projects": {},
    "auto_update": False,
    "semantic_search_enabled": False,
    "permalinks_include_project": False,
}


def program() -> list[str]:
    """Return how bm-gitindex is started: the command as it is installed, else the module."""
    script = Path(sys.executable).with_name("bm-gitindex")
    return [str(script)] if script.exists() else [sys.executable, "-m", "bm_gitindex"]


class Ours:
    """bm-gitindex, of this interpreter."""

    def __init__(self, vault: Path, log: Path) -> None:
        self.vault = vault
        self.database = vault / STATE_FOLDER / "entities.db"
        self._log = log

    def line(self, *arguments: str) -> list[str]:
        """Return the command line of a command."""
        return [*program(), "-C", str(self.vault), *arguments]

    def run(self, *arguments: str) -> Cost:
        """Run a command; its errors go to the log."""
        return measured(self.line(*arguments), environment(), self._log)

    def answer(self, *arguments: str) -> dict[str, object]:
        """Run a command and return its JSON."""
        done = subprocess.run(self.line(*arguments, "--json"), check=True, capture_output=True, env=environment())
        result: dict[str, object] = json.loads(done.stdout)
        return result

    def forget(self) -> None:
        """Remove the state folder."""
        shutil.rmtree(self.vault / STATE_FOLDER, ignore_errors=True)

    def settle(self) -> None:
        """Sync until a status has nothing to read: what is younger than two seconds is looked at once more."""
        for _ in range(_ATTEMPTS_TO_SETTLE):
            self.run("sync")
            status = self.answer("status")
            if status["changes"] == [] and _counters(status)["files_read"] == 0:
                return
        raise RuntimeError(f"{self.vault} does not settle")


def warm_up() -> None:
    """Have the byte code written of all that a sync imports."""
    write_byte_code()
    with tempfile.TemporaryDirectory() as folder:
        vault = Path(folder) / "vault"
        VaultMaker(Shape(notes=3, pdfs=0)).write(vault)
        Ours(vault, Path(folder) / "log.txt").run("sync")


def _counters(answer: dict[str, object]) -> dict[str, object]:
    counters = answer["counters"]
    assert isinstance(counters, dict)
    return counters


class Git:
    """git over a vault, with its folder elsewhere, and with or without its cache of untracked files."""

    def __init__(self, folder: Path, vault: Path, untracked_cache: str) -> None:
        """`untracked_cache` is git's setting core.untrackedCache."""
        self.folder = folder
        self._vault = vault
        self._untracked_cache = untracked_cache

    def line(self, *arguments: str) -> list[str]:
        """Return the command line of a command."""
        return ["git", f"--git-dir={self.folder}", *arguments]

    def settle(self) -> None:
        """Commit what is there, and let git write down all that it finds out about the files."""
        if not self.folder.exists():
            self._make()
        # Objects go into one pack, as gc would leave them: as loose ones they take most of the time.
        self._run("-c", "core.bigFileThreshold=1", "add", "--all")
        self._run("commit", "--quiet", "--allow-empty", "--message=vault")
        self._run("update-index", "-q", "--refresh")
        for _ in range(2):
            self._run("status", "--porcelain")
        printed = subprocess.run(self.line("status", "--porcelain"), check=True, capture_output=True, env=environment())
        if printed.stdout:
            raise RuntimeError(f"git does not settle: {printed.stdout[:200]!r}")

    def _make(self) -> None:
        command = ["git", "init", "--quiet", "--bare", str(self.folder)]
        subprocess.run(command, check=True, env=environment())
        for setting, value in (
            ("core.bare", "false"),
            ("core.worktree", str(self._vault)),
            ("core.untrackedCache", self._untracked_cache),
            ("gc.auto", "0"),
            ("user.name", "benchmark"),
            ("user.email", "benchmark@example.org"),
        ):
            self._run("config", setting, value)
        (self.folder / "info").mkdir(exist_ok=True)
        (self.folder / "info" / "exclude").write_text(f"/{STATE_FOLDER}/\n")

    def _run(self, *arguments: str) -> None:
        subprocess.run(self.line(*arguments), check=True, stdout=subprocess.DEVNULL, env=environment())


class BasicMemory:
    """basic-memory, with a copy of a vault and a home folder of its own.

    Embeddings, updates and the project's name in permalinks are switched off.
    """

    PROJECT = "vault"

    def __init__(self, folder: Path, command: str) -> None:
        self.vault = folder / "theirs"
        self._command = command
        self._home = folder / "home"
        self._log = folder / "theirs.log"
        self.database = self._home / "config" / "memory.db"
        surroundings = environment(
            HOME=str(self._home),
            BASIC_MEMORY_HOME=str(self._home / "main"),
            BASIC_MEMORY_CONFIG_DIR=str(self._home / "config"),
        )
        # It has an interpreter of its own, to which the packages of ours are of no use.
        self.environment = {name: value for name, value in surroundings.items() if name != "PYTHONPATH"}

    def start_afresh(self, source: Path) -> None:
        """Copy the vault anew, and make the project and its empty database."""
        fresh_copy(source, self.vault)
        shutil.rmtree(self._home, ignore_errors=True)
        config = self._home / "config"
        config.mkdir(parents=True)
        (config / "config.json").write_text(json.dumps(_BASIC_MEMORY_CONFIG))
        measured_aloud([self._command, "project", "add", self.PROJECT, str(self.vault)], self.environment, self._log)

    def line(self) -> list[str]:
        """Return the command line that takes in what differs."""
        return [self._command, "reindex", "--search", "--project", self.PROJECT]

    def run(self) -> Cost:
        """Take in what differs."""
        return measured_aloud(self.line(), self.environment, self._log)

    def version(self) -> str:
        """Return what it calls itself."""
        return output_of([self._command, "--version"], self.environment)


def fresh_copy(source: Path, target: Path) -> None:
    """Copy a vault without our state; times are kept."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(STATE_FOLDER))


def output_of(command: Sequence[str], environment: dict[str, str]) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()
