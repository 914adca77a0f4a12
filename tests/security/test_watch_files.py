"""A watcher reads, writes and removes nothing through what stands in the place of one of its files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.watching.presence import watcher_fields
from security.test_state_files import KINDS, Case, place
from support.profile import sample
from support.vault import Vault
from support.watching import eventually_without_loop
from support.writers import run

if TYPE_CHECKING:
    from pathlib import Path

WATCH_FILES = ["watch.lock", "watch.sock", "watch.log", "watch.log.1", "cookies"]
CASES = [Case(name, kind, "watch") for name in WATCH_FILES for kind in KINDS]
ALWAYS = [Case("cookies", "link to a folder", "watch"), Case("watch.log", "pipe", "watch")]


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "vault")
    vault.write("note.md", "# Note\n")
    vault.sync()
    return vault


def everything_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.mark.parametrize("case", dict.fromkeys([*sample(CASES, 8), *ALWAYS]), ids=" ".join)
def test_a_watcher_works_or_says_in_a_line_what_is_in_its_way(vault: Vault, tmp_path: Path, case: Case) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place(case, vault, outside)
    before, touched_ns = everything_in(outside), outside.stat().st_mtime_ns
    started = run(vault.root, "watch", "--daemon")
    if started.returncode:
        assert started.returncode == 6, started
        assert started.stderr.count(b"\n") == 1, started
        assert os.fsencode(vault.state_path / case.name) in started.stderr
        assert watcher_fields(vault.project.state) is None
    else:
        vault.write("note.md", "# Edited\n")
        eventually_without_loop(lambda: vault.status().is_clean and not vault.project.verify().pending)
        stopped = run(vault.root, "watch", "--stop")
        assert (stopped.returncode, stopped.stderr) == (0, b"")
    assert everything_in(outside) == before
    assert outside.stat().st_mtime_ns == touched_ns
