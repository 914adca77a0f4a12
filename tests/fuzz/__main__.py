"""Fuzz one target for as long as is wanted.

From the root of a checkout:

    PYTHONPATH=src:tests python -m fuzz note_parser --minutes 30 --findings /tmp/findings

Where atheris is installed it guides the search by coverage, as libFuzzer does; else inputs are made from the corpus,
and from those that took the longest. An input that raises is written to the folder of findings, and the run goes on;
its exit code is 1 if there was any. Every minute, and at the end, a line says how many inputs were tried, how many
raised, what the longest took (in processor time), and how much memory the process has had at most.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
import traceback
from dataclasses import dataclass, field
from hashlib import sha1
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT_EVERY_S = 60.0
_KEPT_SLOW = 50


@dataclass
class Counters:
    """What a run has seen so far."""

    target: str
    findings: Path
    started_s: float = field(default_factory=time.monotonic)
    executions: int = 0
    crashes: dict[str, int] = field(default_factory=dict)
    """How often, by place of the error."""
    slowest_s: float = 0.0
    slowest: bytes = b""

    def line(self) -> str:
        """Return the figures for the log."""
        minutes = (time.monotonic() - self.started_s) / 60
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return (
            f"{self.target}: {minutes:.1f} min, {self.executions:,} executions, {sum(self.crashes.values())} crashes "
            f"at {len(self.crashes)} places, slowest {self.slowest_s * 1000:.1f} ms ({len(self.slowest)} bytes), "
            f"peak memory {memory_mb} MB"
        )

    def run(self, target: Callable[[bytes], None], data: bytes) -> None:
        """Feed one input to the target, and note what comes of it."""
        self.executions += 1
        started_s = time.thread_time()
        try:
            target(data)
        except Exception as error:  # noqa: BLE001, whatever it is, it is a finding
            self._found(error, data)
        spent_s = time.thread_time() - started_s
        if spent_s > self.slowest_s:
            self.slowest_s, self.slowest = spent_s, data
            self._write(f"slowest-{self.target}", data)

    def finished(self) -> int:
        """Say what the run came to, and return its exit code."""
        print(f"done: {self.line()}")
        for place, count in self.crashes.items():
            print(f"{count:,} times {place}")
        sys.stdout.flush()
        return 1 if self.crashes else 0

    def _found(self, error: Exception, data: bytes) -> None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {str(error)[:60]}"
        if place not in self.crashes:
            name = f"crash-{self.target}-{sha1(data, usedforsecurity=False).hexdigest()[:12]}"
            self._write(name, data)
            print(f"{name}: {place}", flush=True)
        self.crashes[place] = self.crashes.get(place, 0) + 1

    def _write(self, name: str, data: bytes) -> None:
        self.findings.mkdir(parents=True, exist_ok=True)
        (self.findings / name).write_bytes(data)


def main(argv: list[str]) -> int:
    """Fuzz, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--max-bytes", type=int, default=4096, help="length of the longest input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("findings"))
    arguments = parser.parse_args(argv)
    counters = Counters(arguments.target, arguments.findings)
    fuzz = _guided if find_spec("atheris") else _unguided
    fuzz(counters, arguments)
    return counters.finished()


def _unguided(counters: Counters, arguments: argparse.Namespace) -> None:
    from fuzz.corpus import DICTIONARIES, seeds
    from fuzz.mutation import mutated
    from fuzz.targets import TARGETS

    random = Random(arguments.seed)
    target = TARGETS[arguments.target]
    words = DICTIONARIES[arguments.target]
    corpus = list(seeds()[arguments.target])
    slow: list[bytes] = []
    reporter = _Reporter(counters, arguments.minutes)
    while not reporter.is_over():
        data = mutated(random.choice(corpus + slow), words, corpus, random, arguments.max_bytes)
        slowest_s = counters.slowest_s
        counters.run(target, data)
        if counters.slowest_s > slowest_s:
            slow = [*slow[1 - _KEPT_SLOW :], data]


def _guided(counters: Counters, arguments: argparse.Namespace) -> None:
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=["bm_gitindex"]):
        from fuzz.targets import TARGETS
    from fuzz.corpus import DICTIONARIES, seeds
    from fuzz.mutation import mutated

    target = TARGETS[arguments.target]
    words = DICTIONARIES[arguments.target]
    corpus = list(seeds()[arguments.target])
    reporter = _Reporter(counters, arguments.minutes)

    def test_one(data: bytes) -> None:
        counters.run(target, data)
        if reporter.is_over():
            os._exit(counters.finished())  # libFuzzer takes any exception for a finding, SystemExit too

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.5:
            return bytes(atheris.Mutate(data, max_size))
        return mutated(data, words, corpus, random, max_size)

    folder = arguments.findings / f"corpus-{arguments.target}"
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(corpus):
        (folder / f"seed-{number}").write_bytes(data)
    libfuzzer = [
        *(sys.argv[0], str(folder), f"-max_len={arguments.max_bytes}", f"-seed={arguments.seed}", "-verbosity=0"),
        *("-rss_limit_mb=2048", "-timeout=60"),
    ]
    atheris.Setup(libfuzzer, test_one, custom_mutator=mutate)
    atheris.Fuzz()


class _Reporter:
    """Says every minute how far a run has come, and when it is over."""

    def __init__(self, counters: Counters, minutes: float) -> None:
        self._counters = counters
        self._end_s = counters.started_s + minutes * 60
        self._next_s = counters.started_s + REPORT_EVERY_S

    def is_over(self) -> bool:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + REPORT_EVERY_S
            print(self._counters.line(), flush=True)
        return now_s >= self._end_s


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
