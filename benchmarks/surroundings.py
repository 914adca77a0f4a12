"""Where a measurement was made: the machine, the versions of all that took part, and how busy others kept it.

Linux and macOS; what a system does not say is left out.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

from measuring import environment
from peers import output_of, program

_MEMORY_INFO = re.compile(r"MemTotal: +(\d+) kB")


def facts(folder: Path) -> dict[str, str]:
    """Return what is known of the machine and the programs, by name; `folder` is where the vaults are."""
    found = {
        "cores": str(_cores()),
        "CPU": _cpu_model(),
        "memory": _memory(),
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": _file_system(folder),
        "Python": platform.python_version(),
        "git": _first_line_of("git", "--version").removeprefix("git version "),
        "rsync": _first_line_of("rsync", "--version"),
        "bm-gitindex": _version_of("bm-gitindex"),
        "compiled part": "built" if importlib.util.find_spec("bm_gitindex._native") else "not built",
        "dulwich": _version_of("dulwich"),
        "pygit2": _version_of("pygit2"),
        "started as": " ".join([Path(part).name for part in program()]),
    }
    return {name: value for name, value in found.items() if value}


class Others:
    """How much of the machine processes that are not ours have taken since this was made."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0]
        self._started_s = time.monotonic()
        self._busy_s = _busy_s()
        self._own_s = _own_s()

    def conditions(self) -> dict[str, float]:
        """Return the load at the start and now, the seconds gone, and the others' share of all cores."""
        seconds = time.monotonic() - self._started_s
        found = {"load_at_start": self._load, "load_at_end": os.getloadavg()[0], "seconds": seconds}
        busy_s = _busy_s()
        if busy_s is not None and self._busy_s is not None:
            others_s = busy_s - self._busy_s - (_own_s() - self._own_s)
            found["others_share"] = max(others_s / (seconds * (os.cpu_count() or 1)), 0.0)
        return {name: round(value, 3) for name, value in found.items()}


def _own_s() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _busy_s() -> float | None:
    """Return how long all cores have worked since the system started, or None where /proc does not say."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _io_wait, interrupts, soft_interrupts, stolen = map(int, fields[:8])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _cpu_model() -> str:
    if sys.platform == "darwin":
        return _first_line_of("sysctl", "-n", "machdep.cpu.brand_string")
    found = re.search(r"model name\s*: (.+)", _text_of("/proc/cpuinfo"))
    return found[1] if found else platform.processor()


def _memory() -> str:
    found = _MEMORY_INFO.search(_text_of("/proc/meminfo"))
    return f"{int(found[1]) * 1024 / 1e9:.0f} GB" if found else ""


def _file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on."""
    device = os.stat(folder).st_dev
    for line in _text_of("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        major, minor = before.split()[2].split(":")
        if os.makedev(int(major), int(minor)) == device:
            return after.split()[0]
    return ""


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _first_line_of(*command: str) -> str:
    try:
        return output_of(command, environment()).split("\n", 1)[0]
    except (OSError, subprocess.CalledProcessError):
        return ""


def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
