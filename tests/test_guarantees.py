"""What docs/guarantees.md says is shown by a test is shown by one that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
NAMED = re.compile(r"`(tests/[\w/]+(?:\.py)?)(?:::(\w+))?`")


def references() -> list[tuple[str, str]]:
    return sorted({(match[1], match[2] or "") for match in NAMED.finditer(GUARANTEES)})


def test_every_promise_names_a_test() -> None:
    rows = [line for line in GUARANTEES.splitlines() if re.match(r"\| \d+", line)]
    assert len(rows) >= 20
    assert [row for row in rows if not NAMED.search(row)] == []


@pytest.mark.parametrize(("path", "name"), references(), ids=lambda part: part or "file")
def test_what_is_named_exists(path: str, name: str) -> None:
    assert (ROOT / path).exists()
    if name:
        assert re.search(rf"def {name}\(", (ROOT / path).read_text("utf-8"))
