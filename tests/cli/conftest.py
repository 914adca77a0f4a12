from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.commands import NOTE, Run
from support.vault import Vault, never_young

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    never_young(monkeypatch)
    vault = Vault(tmp_path / "vault")
    vault.write("one.md", NOTE)
    vault.write("sub/two.md", "---\ntitle: Two\n---\n")
    monkeypatch.chdir(vault.root)
    return vault


@pytest.fixture
def synced(vault: Vault) -> Vault:
    vault.settled_sync()
    return vault


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    return Run(capfdbinary)
