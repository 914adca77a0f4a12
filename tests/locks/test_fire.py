"""Many processes that sync one project and are killed at random: never two writers, never a lock without a holder."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support.fire import Settings, under_fire
from support.profile import NIGHTLY
from support.vault import Vault
from support.writers import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the order in which a dead process's locks go is Linux's"
)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "vault")
    for number in range(40):
        vault.write(f"d{number % 4}/note {number}.md", f"- [fact] {number}\n- links [[note {number + 1}]]\nend 0\n")
    vault.write("never-gone.md", "- [fact] this one stays\n")
    vault.sync()
    return vault


def settings(vault: Vault, seconds: float, *, has_locks: bool = True) -> Settings:
    scratch = vault.root.parent / "scratch"
    scratch.mkdir()
    crowd = (30, 20, 5) if NIGHTLY else (3, 6, 2)
    return Settings(str(vault.root), str(scratch), seconds, *crowd, seed=int(seconds), has_locks=has_locks)


def test_under_fire_there_is_one_writer_at_a_time_and_readers_read(vault: Vault, tmp_path: Path) -> None:
    outcome = under_fire(settings(vault, 60 if NIGHTLY else 2), SOURCE)
    print(replace(outcome, oddities=[]))  # noqa: T201
    assert outcome.violations == []
    assert outcome.oddities[:3] == []
    assert outcome.kills_of_writers >= 1
    # Whoever is dead holds nothing, and what it has left is no obstacle.
    vault.sync(wait_s=0)
    assert {"index.lock", "index.new"}.isdisjoint(os.listdir(vault.state_path))
    verification = vault.project.verify()
    assert (verification.mismatches, verification.pending) == ((), ())
    shutil.copytree(vault.root, tmp_path / "cold", ignore=shutil.ignore_patterns(".basic-memory"))
    cold = Vault(tmp_path / "cold")
    cold.sync()
    assert vault.meaning()["index"] == cold.meaning()["index"]
    assert vault.meaning()["relations"] == cold.meaning()["relations"]
    assert vault.meaning()["observations"] == cold.meaning()["observations"]


def test_a_second_writer_would_be_seen(vault: Vault) -> None:
    """What shows that the fire can find something: with a flock that does nothing, it does."""
    outcome = under_fire(settings(vault, 60, has_locks=False), SOURCE)
    assert outcome.violations
