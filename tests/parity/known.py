"""Known answers: what basic-memory makes of the corpus and of the fixtures, as committed beside this file.

`python -m parity.answers` writes them. What an answer leaves out is as an empty note has it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from parity.cases import Case, cases, themes
from parity.oracle import NAME

if TYPE_CHECKING:
    from parity.oracle import Answer

FOLDER = Path(__file__).with_name("answers")
FIXTURES = Path(__file__).parents[2] / "fixtures" / "vault"
FIXTURES_THEME = "fixtures"

_EMPTY: Answer = {
    "title": NAME.rpartition(".")[0],
    "type": "note",
    "permalink": None,
    "tags": [],
    "metadata": {},
    "observations": [],
    "relations": [],
}


def all_cases() -> dict[str, list[Case]]:
    """Return every note with a known answer, by theme."""
    fixtures = [Case(FIXTURES_THEME, key, path.read_bytes()) for key, path in sorted(fixture_notes().items())]
    return {**{theme: cases(theme) for theme in themes()}, FIXTURES_THEME: fixtures}


def fixture_notes() -> dict[str, Path]:
    """Return the notes of the example vault, by path below it."""
    paths = [path for path in FIXTURES.rglob("*") if path.suffix.lower() in {".md", ".markdown"}]
    return {path.relative_to(FIXTURES).as_posix(): path for path in paths}


def file_name(case: Case) -> str:
    """Return the name of the file that the note stands in."""
    return case.key.rpartition("/")[2] if case.theme == FIXTURES_THEME else NAME


def load(theme: str) -> dict[str, Answer]:
    """Return the known answers of a theme, whole, by the key of their case."""
    answers = json.loads((FOLDER / f"{theme}.json").read_text("utf-8"))
    return {key: _whole(answer) for key, answer in answers.items()}


def dump(answers: dict[str, Answer]) -> str:
    """Return the answers of a theme as they are committed: one a line."""
    lines = (f"{json.dumps(key)}: {json.dumps(_short(answer))}" for key, answer in answers.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _short(answer: Answer) -> Answer:
    return {key: value for key, value in answer.items() if key not in _EMPTY or value != _EMPTY[key]}


def _whole(answer: Answer) -> Answer:
    return answer if set(answer) == {"dropped"} else {**_EMPTY, **answer}
