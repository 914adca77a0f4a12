"""An installed basic-memory writes the database; BM_GITINDEX_ORACLE_PYTHON names the Python that has it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.basicmemory import NOTES, PROJECT, BasicMemory, TheirDatabase, write_notes
from support.importing import adopt, identities
from support.vault import Vault

PYTHON = os.environ.get("BM_GITINDEX_ORACLE_PYTHON", "")
FIXTURES = Path(__file__).parents[2] / "fixtures" / "vault"

needs_basic_memory = pytest.mark.skipif(
    not PYTHON, reason="BM_GITINDEX_ORACLE_PYTHON names no Python with basic-memory 0.23"
)


@needs_basic_memory
@pytest.mark.parametrize("vault", ["notes of the dump", "fixtures"])
def test_a_vault_of_a_real_basic_memory_keeps_its_identities(tmp_path: Path, vault: str) -> None:
    home = tmp_path.resolve()
    folder = home / PROJECT
    if vault == "fixtures":
        # Some of the folder: the whole of it takes basic-memory minutes.
        some = sorted(FIXTURES.rglob("*.md"))[:40]
        write_notes(folder, {str(path.relative_to(FIXTURES)): path.read_bytes() for path in some})
    else:
        write_notes(folder, NOTES)
    as_they_were = shutil.copytree(folder, home / "as they were")
    basic_memory = BasicMemory(PYTHON, home / "home")
    basic_memory.index({PROJECT: folder})
    theirs = TheirDatabase(basic_memory.database)
    for root in (folder, as_they_were):  # basic-memory has written to the first
        ours = Vault(root)
        report = adopt(ours, theirs)
        assert (report.not_found, report.skipped) == ([], [])
        known, mine = theirs.identities(), identities(ours)
        assert len(known) >= 0.8 * len(mine)  # some notes basic-memory drops without a word
        assert {path: mine[path][:2] for path in known} == {path: row[:2] for path, row in known.items()}
        assert adopt(ours, theirs).adopted == 0
