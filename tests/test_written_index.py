"""The index that a process wrote itself is known to it without being read, and any other is not taken for it."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING

import pytest

from bm_gitindex import SyncRequest, indexfile
from bm_gitindex.errors import IndexDamagedError
from bm_gitindex.indexfile import read_index
from bm_gitindex.memory import Memory
from bm_gitindex.syncing.session import sync
from support.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path


def synced(folder: Path, memory: Memory) -> Vault:
    vault = Vault(folder / "vault")
    vault.write("a.md")
    asyncio.run(sync(vault.root, vault.project.state, vault.options, SyncRequest(), memory))
    return vault


def test_it_is_not_read_again_however_young_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    vault = synced(tmp_path, memory)
    monkeypatch.setattr(indexfile, "decode", lambda _: pytest.fail("read again"))
    assert list(read_index(vault.project.state, memory).index) == [b"a.md"]


def test_one_that_replaces_it_is_read_whatever_its_size_and_times(tmp_path: Path) -> None:
    memory = Memory()
    vault = synced(tmp_path, memory)
    before = vault.index_path.stat()
    other = vault.index_path.with_name("other")
    other.write_bytes(bytes(before.st_size))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(vault.index_path)
    with pytest.raises(IndexDamagedError):
        read_index(vault.project.state, memory)


def test_one_that_was_written_into_is_read(tmp_path: Path) -> None:
    memory = Memory()
    vault = synced(tmp_path, memory)
    with vault.index_path.open("r+b") as file:
        file.write(b"gone")
    os.utime(vault.index_path, ns=(1, 1))
    with pytest.raises(IndexDamagedError):
        read_index(vault.project.state, memory)


def test_a_sync_that_follows_a_foreign_one_reads_what_that_has_written(tmp_path: Path) -> None:
    memory = Memory()
    vault = synced(tmp_path, memory)
    vault.write("b.md")
    vault.sync()
    report = asyncio.run(sync(vault.root, vault.project.state, vault.options, SyncRequest(), memory))
    assert (report.added, report.unchanged) == (0, 2)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="there is no /proc")
def test_its_file_is_let_go_of_with_the_memory(tmp_path: Path) -> None:
    memory = Memory()
    synced(tmp_path, memory)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    del memory
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before - 1
