"""The table of cases and the tests beside this one are the same set."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLE = HERE.parent.parent / "docs" / "conformance.md"
LEAST = 80


def rows() -> list[list[str]]:
    """Return the cells of every case in the table."""
    lines = re.findall(r"^\| ([RF]\d+ \|.*) \|$", TABLE.read_text("utf-8"), flags=re.MULTILINE)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


def covered() -> dict[str, list[str]]:
    """Return the ids that each test's name begins with, as they stand in the table."""
    found: dict[str, list[str]] = {}
    for module in sorted(HERE.glob("test_*.py")):
        if module != Path(__file__):
            statements = ast.parse(module.read_text("utf-8")).body
            names = [statement.name for statement in statements if isinstance(statement, ast.FunctionDef)]
            found |= {f"{module.name}::{name}": ids_of(name) for name in names if name.startswith("test_")}
    return found


def ids_of(name: str) -> list[str]:
    beginning = re.match(r"test((?:_[rf]\d+)*)_", name)
    return beginning[1].upper().split("_")[1:] if beginning else []


def test_every_case_has_a_test_and_every_test_a_case() -> None:
    cases = {row[0] for row in rows()}
    tested = {case for ids in covered().values() for case in ids}
    assert sorted(cases - tested) == []
    assert sorted(tested - cases) == []


def test_every_test_is_named_by_its_case() -> None:
    assert [name for name, ids in covered().items() if not ids] == []


def test_every_case_stands_once_in_the_table_and_says_what_both_do() -> None:
    found = rows()
    assert [case for case, count in Counter(row[0] for row in found).items() if count > 1] == []
    assert [row for row in found if len(row) != 4 or not all(row)] == []
    assert len(found) >= LEAST


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("test_r01_x", ["R01"]),
        ("test_r13_r14_x", ["R13", "R14"]),
        ("test_f08_301_is_x", ["F08"]),
        ("test_r100_f5x", ["R100"]),
        ("test_refused", []),
    ],
)
def test_ids_are_read_from_the_beginning_of_a_name(name: str, ids: list[str]) -> None:
    assert ids_of(name) == ids
