"""A command in a process of its own, so that its peak memory is its own, and a hang can be ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import bm_gitindex

_SCRIPT = """
import sys
from bm_gitindex.cli import main
code = main(sys.argv[1:])
sys.stdout.flush()
with open("/proc/self/status") as file:
    sys.stderr.write(next(line for line in file if line.startswith("VmHWM:")))
sys.exit(code)
"""
HANGS_AFTER_S = 1800
"""No measure of anything: what takes this long never ends."""


class Done(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    json: dict[str, Any]
    peak_bytes: int


def environment() -> dict[str, str]:
    """Return an environment in which a new process imports the package that this one has imported."""
    return {**os.environ, "PYTHONPATH": str(Path(bm_gitindex.__file__).parent.parent)}


def command(root: Path | bytes, *arguments: str) -> Done:
    """Run a command on a project, with `--json`. Its peak memory is read where Linux keeps it."""
    line = [sys.executable, "-c", _SCRIPT, "-C", os.fsdecode(root), *arguments, "--json"]
    done = subprocess.run(line, capture_output=True, check=False, env=environment(), timeout=HANGS_AFTER_S)
    *words, peak = done.stderr.decode().splitlines() or [""]
    assert peak.startswith("VmHWM:"), (done.returncode, words, peak)
    return Done(done.returncode, json.loads(done.stdout), 1024 * int(peak.split()[1]))
