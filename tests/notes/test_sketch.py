"""Sketches of notes: what two have in common is what git says that they have."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bm_gitindex.notes.sketch import THRESHOLD, SketchIndex, common_share, sketch

if TYPE_CHECKING:
    from pathlib import Path

LINES = [f"This is line {number} of a note, and it says {number * 7919 % 101}.\n" for number in range(2_000)]
LONG_LINE = "".join(LINES[1_000:1_010]).replace("\n", " ") + "\n"


def note(*numbers: int) -> str:
    return "".join(LINES[number] for number in numbers)


CASES = {
    "same": (note(*range(10)), note(*range(10))),
    "nothing in common": (note(*range(10)), note(*range(10, 20))),
    "one line of ten changed": (note(*range(10)), note(*range(9), 50)),
    "half and a line": (note(*range(10)), note(*range(6), *range(50, 54))),
    "half less a line": (note(*range(10)), note(*range(4), *range(50, 56))),
    "appended to": (note(*range(10)), note(*range(14))),
    "cut": (note(*range(10)), note(*range(3))),
    "in another order": (note(*range(10)), note(*reversed(range(10)))),
    "repeated lines": (note(*[1] * 10, 2), note(*[1] * 5, 3)),
    "one long line": (LONG_LINE, LONG_LINE.replace("This", "That", 1)),
    "no line end": (note(*range(10)), note(*range(10))[:-1]),
}


@pytest.mark.parametrize(("old", "new"), CASES.values(), ids=CASES)
def test_the_common_share_is_what_git_says(tmp_path: Path, old: str, new: str) -> None:
    share = common_share(sketch(old.encode()), sketch(new.encode()))
    assert share == pytest.approx(_git_similarity(tmp_path, old, new), abs=0.011)  # git shows whole percents


def test_other_line_ends_make_no_difference() -> None:
    text = note(*range(10)).encode()
    assert sketch(text) == sketch(text.replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("kept", [100, 300, 450, 550, 700, 900])
def test_of_long_notes_a_sample_estimates_it(tmp_path: Path, kept: int) -> None:
    old, new = note(*range(1_000)), note(*range(kept), *range(1_000, 2_000 - kept))
    sketches = sketch(old.encode()), sketch(new.encode())
    assert {len(one) for one in sketches} == {128 * 6}
    assert common_share(*sketches) == pytest.approx(_git_similarity(tmp_path, old, new), abs=0.1)


@given(st.binary(max_size=3_000), st.binary(max_size=3_000))
def test_it_is_a_share_and_the_same_both_ways(one: bytes, other: bytes) -> None:
    sketches = sketch(one), sketch(other)
    share = common_share(*sketches)
    assert 0 <= share <= 1
    assert share == common_share(*reversed(sketches))
    assert common_share(sketches[0], sketches[0]) == (1 if one else 0)


@given(st.binary(max_size=200))
def test_a_damaged_sketch_is_like_little_and_ends_nothing(data: bytes) -> None:
    assert 0 <= common_share(data, sketch(b"text\n")) <= 1
    SketchIndex({b"a.md": data}).alike(data)


def test_the_likest_is_found_among_many_that_share_a_template() -> None:
    template = note(*range(1_900, 1_905))
    notes = {b"%d.md" % number: template + note(*range(number, number + 10)) for number in range(0, 1_500, 10)}
    index = SketchIndex({path: sketch(text.encode()) for path, text in notes.items()})
    edited = sketch((notes[b"700.md"] + note(1_999)).encode())
    assert [likeness.path for likeness in index.alike(edited)] == [b"700.md"]
    assert index.alike(sketch((template + note(*range(1_600, 1_610))).encode())) == []
    assert all(likeness.share > THRESHOLD for likeness in index.alike(edited))


def _git_similarity(folder: Path, old: str, new: str) -> float:
    """What git takes as the similarity of the two, with any at all being a rename."""

    def git(*arguments: str) -> str:
        settings = ["-c", "user.name=n", "-c", "user.email=e", "-c", "core.autocrlf=false"]
        command = ["git", *settings, *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    (folder / "old.md").write_bytes(old.encode())
    git("add", ".")
    git("commit", "--quiet", "-m", "old")
    git("mv", "old.md", "new.md")
    (folder / "new.md").write_bytes(new.encode())
    git("add", ".")
    status, _, _ = git("diff", "--cached", "-M1%", "--name-status").partition("\t")
    return int(status[1:]) / 100 if status.startswith("R") else 0
