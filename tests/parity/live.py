"""Compare with basic-memory as it is: whole folders, generated notes, permalinks.

From the root of a checkout, with an interpreter that has basic-memory named in BM_GITINDEX_ORACLE_PYTHON:

    PYTHONPATH=src:tests python -m parity.live [--notes COUNT] [--from SEED] [--permalinks COUNT] [FOLDER ...]

Prints the figures for each, and up to twenty differences of each, the generated notes cut down to what makes them
differ. The exit code is 1 if there was a difference.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from parity import grammar, paths
from parity.oracle import MISSING, NAME, Oracle, oracle_python
from parity.shape import differences, is_parsed

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN = 20
_TRIES = 300
_NOTES_AT_ONCE = 1_000
_SUFFIXES = {".md", ".markdown"}


@dataclass
class Figures:
    """How far a comparison went."""

    notes: int = 0
    dropped: int = 0
    """By basic-memory: here they are notes."""
    observations: int = 0
    relations: int = 0
    different: int = 0
    findings: list[tuple[str, bytes, list[str]]] = field(default_factory=list)
    """Where, the note, and what differs."""

    def line(self) -> str:
        """Return the figures in a line."""
        counts = {key: value for key, value in asdict(self).items() if key != "findings"}
        return ", ".join(f"{value:,} {key}" for key, value in counts.items())


def compare(oracle: Oracle, notes: Iterable[tuple[str, str, bytes]]) -> Figures:
    """Compare notes, each given by where it is, its file name and its bytes."""
    figures = Figures()
    given = list(notes)
    for start in range(0, len(given), _NOTES_AT_ONCE):
        batch = given[start : start + _NOTES_AT_ONCE]
        answers = oracle.answers((name, data) for _, name, data in batch)
        for (place, name, data), answer in zip(batch, answers, strict=True):
            found = differences(name, data, answer)
            figures.notes += 1
            figures.dropped += "dropped" in answer
            if is_parsed(answer):
                figures.observations += len(answer["observations"])
                figures.relations += len(answer["relations"])
            if found:
                figures.different += 1
                figures.findings.append((place, data, found))
    return figures


def folder_notes(folder: Path) -> Iterable[tuple[str, str, bytes]]:
    """Yield the notes below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            yield str(path.relative_to(folder)), path.name, path.read_bytes()


def generated_notes(seeds: Iterable[int]) -> Iterable[tuple[str, str, bytes]]:
    """Yield the note of each seed."""
    for seed in seeds:
        yield f"seed {seed}", NAME, grammar.note(seed)


def different_permalinks(oracle: Oracle, given: list[str]) -> Counter[str]:
    """Return how many permalinks differ, by the script of the first letter that is to blame."""
    from bm_gitindex.notes.permalink import generate_permalink

    theirs = oracle.permalinks(given)
    pairs = zip(given, theirs, strict=True)
    return Counter(paths.script(path) for path, permalink in pairs if generate_permalink(path) != permalink)


def smallest(oracle: Oracle, data: bytes) -> bytes:
    """Return what is left of a note when everything is cut that the difference does not need."""
    kind = _kind(differences(NAME, data, oracle.answer(data)))
    size = len(data) // 2
    tries = _TRIES
    while size and tries:
        start = 0
        while start < len(data) and tries:
            shorter = data[:start] + data[start + size :]
            tries -= 1
            if _is_text(shorter) and _kind(differences(NAME, shorter, oracle.answer(shorter))) == kind:
                data = shorter
            else:
                start += size
        size //= 2
    return data


def _kind(found: list[str]) -> set[str]:
    return {line.partition(":")[0] for line in found}


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _report(oracle: Oracle, what: str, figures: Figures, *, is_cut: bool) -> int:
    print(f"{what}: {figures.line()}", flush=True)
    for place, data, _ in figures.findings[:_SHOWN]:
        shown = smallest(oracle, data) if is_cut else data
        found = differences(NAME, shown, oracle.answer(shown))
        print(f"  {place}: {shown[:300]!r}", *(f"    {line}" for line in found), sep="\n")
    return figures.different


def main() -> int:
    """Compare what the command line says."""
    parser = argparse.ArgumentParser(description="compare our parser with basic-memory's")
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--notes", type=int, default=0, help="how many notes to generate")
    parser.add_argument("--from", type=int, default=0, dest="start", help="the seed of the first of them")
    parser.add_argument("--permalinks", type=int, default=0, help="how many paths to generate")
    arguments = parser.parse_args()
    python = oracle_python()
    if python is None:
        print(MISSING, file=sys.stderr)
        return 2
    different = 0
    with Oracle(python) as oracle:
        print(f"basic-memory {oracle.version}")
        for folder in arguments.folders:
            different += _report(oracle, str(folder), compare(oracle, folder_notes(folder)), is_cut=False)
        if arguments.notes:
            seeds = range(arguments.start, arguments.start + arguments.notes)
            different += _report(oracle, "generated", compare(oracle, generated_notes(seeds)), is_cut=True)
        if arguments.permalinks:
            found = different_permalinks(oracle, paths.generated(arguments.permalinks, arguments.start))
            print(f"permalinks: {arguments.permalinks:,}, {found.total():,} different", dict(found.most_common(12)))
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
