"""What a whole process takes: wall time, CPU time of all its threads and children, peak memory, instructions.

Used by `run.py` and `against_basic_memory.py`; `launch.py` starts what is measured. Python's byte code is written
before anything is timed (`peers.warm_up`), and the processes may write more of it (`environment`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LAUNCHER = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]
_SHOWN_OF_LOG_BYTES = 2_000
_LOOK_EVERY_S = 0.01
_HELD = re.compile(r"^VmRSS:\s+(\d+) kB", re.MULTILINE)
_HELD_BESIDE_FILES = re.compile(r"^RssAnon:\s+(\d+) kB", re.MULTILINE)
_COMPILE = """
import compileall, pathlib, bm_gitindex
compileall.compile_dir(pathlib.Path(bm_gitindex.__file__).parent, quiet=1)
"""


class Cost(NamedTuple):
    """What a process took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def environment(**more: str) -> dict[str, str]:
    """Return the environment of what is measured: this one, in which byte code is written and git has no settings."""
    left_out = {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "BM_GITINDEX_PURE"}
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    kept = {name: value for name, value in inherited.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "LC_ALL": "C.UTF-8", **more}


def measured(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Cost:
    """Run a command to its end and return what it took. Raises CalledProcessError.

    What it prints goes nowhere, as writing it down would take time; its errors go to the log.
    """
    return _launched(command, environment, Path(os.devnull), log)


def measured_aloud(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Cost:
    """Do the same with a command that prints its errors as it prints the rest: all of it goes to the log."""
    return _launched(command, environment, log, log)


def measured_inside(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Cost:
    """Run a Python process that measures itself, and return what it printed. Raises CalledProcessError."""
    output = log.with_suffix(".printed")
    output.unlink(missing_ok=True)
    whole = _launched(command, environment, output, log)
    wall_s, cpu_s = json.loads(output.read_text())
    return Cost(wall_s, cpu_s, whole.peak_bytes)


def _launched(command: Sequence[str], environment: Mapping[str, str], output: Path, errors: Path) -> Cost:
    program = shutil.which(command[0]) or command[0]
    launched = [*_LAUNCHER, str(output), str(errors), program, *command[1:]]
    done = subprocess.run(launched, env=environment, check=True, capture_output=True, text=True)
    wall_s, user_s, system_s, peak_bytes, status = done.stdout.split()
    if int(status):
        raise subprocess.CalledProcessError(int(status), command, errors.read_bytes()[-_SHOWN_OF_LOG_BYTES:])
    return Cost(float(wall_s), float(user_s) + float(system_s), int(peak_bytes))


def smallest_peak_bytes(folder: Path) -> int:
    """Return the peak memory that a process is charged with which needs next to nothing."""
    return measured(["true"], environment(), folder / "true.log").peak_bytes


def peak_together_bytes(command: Sequence[str], environment: Mapping[str, str]) -> int | None:
    """Return the most memory that a command and the processes that it starts hold at one time.

    The kernel's account of a process has the largest of them alone. Here they are looked at every 10 ms, which takes
    time: not for runs that are timed. All that the command itself holds counts, and of the others what no file backs:
    the files are mostly the same program's, in memory once. Their proportional share (PSS) would be less the more
    processes of anyone else run the same Python. None where /proc does not say. Raises CalledProcessError.
    """
    most_bytes = 0
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        first, *others = _family(process.pid)
        held_bytes = _held_bytes(first, _HELD) + sum(_held_bytes(pid, _HELD_BESIDE_FILES) for pid in others)
        most_bytes = max(most_bytes, held_bytes)
        time.sleep(_LOOK_EVERY_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return most_bytes or None


def _family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for parent in found:
        try:
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                found.extend(map(int, children.read_text().split()))
        except OSError:  # it has just ended
            continue
    return found


def _held_bytes(pid: int, line: re.Pattern[str]) -> int:
    try:
        held = line.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(held[1]) * 1024 if held else 0


def write_byte_code() -> None:
    """Compile all of bm_gitindex."""
    subprocess.run([sys.executable, "-c", _COMPILE], check=True, env=environment())


def instructions(command: Sequence[str], environment: Mapping[str, str]) -> int | None:
    """Return how many instructions a command takes in user space; None where neither perf nor valgrind can say.

    Hashes are not randomised for it, so that the number is nearly the same each time.
    """
    fixed = {**environment, "PYTHONHASHSEED": "0"}
    for counter, pattern in (
        (["perf", "stat", "-x,", "-e", "instructions:u"], r"^(\d+),,instructions"),
        (["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"], r"Collected : (\d+)"),
    ):
        if shutil.which(counter[0]):
            done = subprocess.run([*counter, *command], env=fixed, check=False, capture_output=True, text=True)
            found = re.search(pattern, done.stderr, re.MULTILINE)
            if found and not done.returncode:
                return int(found[1])
    return None
