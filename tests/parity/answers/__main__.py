"""Ask basic-memory for the answers that the tests know.

From the root of a checkout, with an interpreter that has basic-memory named in BM_GITINDEX_ORACLE_PYTHON:

    PYTHONPATH=src:tests python -m parity.answers            # writes tests/parity/answers/*.json
    PYTHONPATH=src:tests python -m parity.answers --check    # writes nothing; exit code 1 if an answer is another one
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from parity.known import FOLDER, all_cases, dump, file_name
from parity.oracle import MISSING, VERSION, Oracle, oracle_python

if TYPE_CHECKING:
    from collections.abc import Iterator


def answered(oracle: Oracle) -> Iterator[tuple[str, str]]:
    """Yield the name and the content of each file of answers."""
    for theme, cases in all_cases().items():
        notes = [(file_name(case), case.data) for case in cases]
        answers = zip(cases, oracle.answers(notes), strict=True)
        yield f"{theme}.json", dump({case.key: answer for case, answer in answers})


def stale(oracle: Oracle) -> list[str]:
    """Return the names of the files whose answers are not those of the oracle."""
    # As values: in which order merged keys come differs between releases of PyYAML.
    files = {name: json.loads(text) for name, text in answered(oracle)}
    known = {path.name: json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")}
    return sorted(name for name in files.keys() | known.keys() if files.get(name) != known.get(name))


def main() -> int:
    """Write the answers, or compare them."""
    python = oracle_python()
    if python is None:
        print(MISSING, file=sys.stderr)
        return 2
    with Oracle(python) as oracle:
        if oracle.version != VERSION:
            print(f"basic-memory {oracle.version}, not {VERSION}", file=sys.stderr)
            return 2
        if "--check" in sys.argv[1:]:
            found = stale(oracle)
            print(f"another answer in: {', '.join(found)}" if found else "the answers are basic-memory's")
            return int(bool(found))
        for name, content in answered(oracle):
            (FOLDER / name).write_text(content, "utf-8")
            print(f"{name}: {content.count(chr(10)) - 2}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
