"""What the measurement of coverage leaves out, it leaves out for a reason that stands beside it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import bm_gitindex.errors

SOURCES = Path(bm_gitindex.errors.__file__).parent
PROJECT = Path(__file__).parent.parent / "pyproject.toml"
LEFT_OUT = re.compile(r"#\s*pragma:\s*no\s*(?:cover|branch)", re.IGNORECASE)
WITH_REASON = re.compile(r"# pragma: no (?:cover|branch) - \w+(?: \S+){2,}$")


def without_reason(source: str) -> list[str]:
    return [line for line in source.splitlines() if LEFT_OUT.search(line) and not WITH_REASON.search(line)]


def test_every_line_that_is_left_out_says_why() -> None:
    assert {path.name: found for path in SOURCES.rglob("*.py") if (found := without_reason(path.read_text()))} == {}


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ("    x()  # pragma: no cover - only macOS has st_birthtime", True),
        ("    if x:  # pragma: no branch - the loop never ends by itself", True),
        ("    x()  # pragma: no cover", False),
        ("    x()  #pragma:no cover", False),
        ("    x()  # pragma: no branch - ", False),
        ("    x()  # PRAGMA: NO COVER - macOS", False),
        ("    x()  # no pragma at all", True),
    ],
)
def test_a_line_that_is_left_out_without_a_reason_is_found(line: str, is_told: bool) -> None:
    assert (without_reason(f"def f():\n{line}\n") == []) is is_told


def test_every_pattern_that_leaves_lines_out_says_why() -> None:
    text = PROJECT.read_text("utf-8")
    patterns = tomllib.loads(text)["tool"]["coverage"]["report"]["exclude_also"]
    lines = text.partition("exclude_also = [\n")[2].partition("\n]")[0].splitlines()
    assert len(lines) == len(patterns) > 0
    for line in lines:
        assert re.search(r'",\s+# \w+.*: \w+', line), line
