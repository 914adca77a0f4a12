"""A disk that is full: a clear error, the old state as it was, and one sync once there is room again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.profile import record_figures, sample
from support.stage import EDITS, Scenario, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.strace import Tracer
    from support.vault import Vault

PAGE_BYTES = 4096
AMPLE = "64m"


class Disk:
    """A file system in memory, of a size to be chosen at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._mount("-t", "tmpfs", "-o", f"size={AMPLE}", "tmpfs")

    def resize(self, size: str) -> None:
        self._mount("-o", f"remount,size={size}")

    def leave_room(self, pages: int) -> None:
        """Make the disk so small that just this is free."""
        disk = os.statvfs(self.path)
        used_bytes = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        self.resize(str(used_bytes + pages * PAGE_BYTES))

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", self.path], check=True)

    def _mount(self, *arguments: str) -> None:
        done = subprocess.run(["mount", *arguments, self.path], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only a superuser of Linux may mount a small disk")
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.close()


def _growing(vault: Vault) -> None:
    EDITS.prepare(vault)
    for number in range(80):
        lines = "".join(f"- [line] {number} and {line}, with [[Two]] #t{line}\n" for line in range(60))
        vault.write(f"many/{number}.md", lines)


GROWING = Scenario("growing", _growing, kept=EDITS.kept)


def wrongs_when_full(tracer: Tracer, stage: Stage) -> tuple[int, list[str]]:
    """Run the command and one more after it has failed; return the exit code, and what is wrong."""
    ended = tracer.run(stage.argv)
    if ended.status == 0:
        return 0, []
    wrongs = []
    lines = ended.err.splitlines()
    if ended.status != 6 or len(lines) != 1 or str(stage.state_path) not in lines[0]:
        wrongs.append(f"exit code {ended.status}: {ended.err!r}")
    if "No space left" not in ended.err and "full" not in ended.err:
        wrongs.append(f"does not say that the disk is full: {ended.err!r}")
    wrongs += [f"left behind: {path.name}" for path in stage.state_path.glob("index.[ln]*")]
    return ended.status, wrongs + stage.wrongs_after_crash()


def test_a_vault_that_outgrows_its_disk_is_stored_once_the_disk_has_grown(tracer: Tracer, disk: Disk) -> None:
    stage = Stage(GROWING, disk.path)
    disk.resize("1m")
    assert wrongs_when_full(tracer, stage) == (6, [])
    disk.resize(AMPLE)
    assert stage.wrongs_after_sync() == []


def test_wherever_the_room_ends_nothing_is_lost(tracer: Tracer, disk: Disk) -> None:
    stage = Stage(EDITS, disk.path)
    rooms = sample(range(90), 5)
    wrongs, statuses = {}, []
    for pages in rooms:
        disk.resize(AMPLE)
        stage.reset()
        disk.leave_room(pages)
        status, found = wrongs_when_full(tracer, stage)
        statuses.append(status)
        disk.resize(AMPLE)
        found += stage.wrongs_after_sync()
        if found:
            wrongs[pages] = found
    record_figures("a disk too small", sizes=len(rooms))
    assert wrongs == {}
    assert set(statuses) == {0, 6}
