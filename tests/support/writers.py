"""Other processes that write to a project: a sync that stops where a test wants it, and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import bm_gitindex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(bm_gitindex.__file__)))
"""The folder that holds the package under test."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": SOURCE}

_PAUSED_SYNC = """
import sys
from bm_gitindex import Project, SyncRequest

is_paused = False

def pause(progress):
    global is_paused
    if progress.activity == sys.argv[2] and not is_paused:
        is_paused = True
        print("paused", flush=True)
        sys.stdin.readline()

Project(sys.argv[1]).sync_blocking((), SyncRequest(on_progress=pause, wait_s=0))
"""


@contextmanager
def paused_sync(root: Path, activity: str) -> Iterator[subprocess.Popen[bytes]]:
    """Let another process sync as far as the first word of an activity; `go_on` lets it finish."""
    with subprocess.Popen(
        [sys.executable, "-c", _PAUSED_SYNC, str(root), activity],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"paused\n"
            yield process
        finally:
            process.kill()


def go_on(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Let a paused sync finish; return its exit code and what it said on stderr."""
    _, errors = process.communicate(b"\n", timeout=60)
    return process.returncode, errors


def command(root: Path, *arguments: str) -> list[str]:
    """Return the command line of `bm-gitindex -C root ...`."""
    return [sys.executable, "-m", "bm_gitindex", "-C", str(root), *arguments]


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run one command to its end."""
    return subprocess.run(command(root, *arguments), env=ENVIRONMENT, capture_output=True, check=False, timeout=120)
