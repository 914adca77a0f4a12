from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bm_gitindex.watching import agenda, watcher
from support.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Some notes that were synced."""
    vault = Vault(tmp_path / "vault")
    vault.write("one.md", "one\n")
    vault.write("two.md", "two\n")
    vault.write("sub/three.md", "three\n")
    vault.write("sub/deep/four.md", "four\n")
    vault.sync()
    return vault


@pytest.fixture
def polls_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are polled are looked at again at once, whatever the last look took of the processor."""
    monkeypatch.setattr(watcher, "_LEAST_POLL_S", 0.02)
    monkeypatch.setattr(watcher, "_POLLING_SHARE", 1.0)


@pytest.fixture
def young_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is young is not looked at once more: nothing is, but what a test changes, however long the test takes."""
    monkeypatch.setattr(watcher, "MARGIN_S", 1e6)


@pytest.fixture
def held_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone is waited for until it has come under another name, however long the test takes."""
    monkeypatch.setattr(agenda, "HELD_S", 1e6)
