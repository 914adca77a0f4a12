"""Known answers: notes, each beside what basic-memory's parser made of it.

    cd tests && BM_GITINDEX_ORACLE_PYTHON=/path/to/python python -m parity.known

asks basic-memory again about every note that is here, and about those of the fixtures, and writes the answers down. A
new case is a new line with a note and any answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from support.parity import ABSENT, open_oracle

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent / "answers"
FIXTURES = Path(__file__).parent.parent.parent / "fixtures" / "vault"
OF_FIXTURES = FOLDER / "fixtures.json"
PATH = "folder/Some Note.md"
"""Where the constructed notes are."""


class Case(NamedTuple):
    """A note, and what basic-memory stores of it."""

    path: str
    content: bytes
    answer: dict[str, Any]


def themes() -> list[Path]:
    """The files of constructed cases."""
    return sorted(path for path in FOLDER.glob("*.json") if path != OF_FIXTURES)


def constructed(theme: Path) -> list[Case]:
    """The constructed cases of a theme. A note that is no UTF-8 stands as the Latin-1 text of its bytes."""
    return [
        Case(PATH, case["note"].encode() if "note" in case else case["latin-1"].encode("latin-1"), case["answer"])
        for case in json.loads(theme.read_text("utf-8"))
    ]


def of_fixtures() -> list[Case]:
    """The notes of the fixtures."""
    answers = json.loads(OF_FIXTURES.read_text("utf-8"))
    return [Case(path, (FIXTURES / path).read_bytes(), answer) for path, answer in answers.items()]


def fixture_paths() -> Iterator[str]:
    """Every note of the fixtures, whatever the answers say."""
    for path in sorted(FIXTURES.rglob("*.md")):
        yield path.relative_to(FIXTURES).as_posix()


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def main() -> int:
    """Write all answers anew; return 1 where there is nobody to ask."""
    with open_oracle() as oracle:
        if oracle is None:
            print(ABSENT, file=sys.stderr)
            return 1
        for theme in themes():
            lines = []
            for case in constructed(theme):
                answer = oracle.note(case.path, case.content)
                try:
                    lines.append(_line({"note": case.content.decode(), "answer": answer}))
                except UnicodeDecodeError:
                    lines.append(_line({"latin-1": case.content.decode("latin-1"), "answer": answer}))
            theme.write_text("[\n" + ",\n".join(sorted(set(lines))) + "\n]\n", "utf-8")
        answers = {path: oracle.note(path, (FIXTURES / path).read_bytes()) for path in fixture_paths()}
    lines = [f"{json.dumps(path, ensure_ascii=False)}: {_line(answer)}" for path, answer in answers.items()]
    OF_FIXTURES.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
