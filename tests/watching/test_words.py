"""What watcher and asker say to each other, what is worth a look, and which folders can be watched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bm_gitindex import Change, Counters, Kind, Options, Skipped, SkipReason, Status
from bm_gitindex.changes import ChangeStatus
from bm_gitindex.watching.folders import folders_of, is_below, watchable
from bm_gitindex.watching.hearsay import Hearsay
from bm_gitindex.watching.report import names_of
from bm_gitindex.watching.wire import status_from, status_text, told_status

ROOT = Path("/vault")
paths = st.binary(min_size=1, max_size=12)
changes = st.builds(
    Change,
    st.sampled_from(ChangeStatus),
    paths,
    st.none() | paths,
    st.sampled_from(Kind),
    st.none() | st.integers(0, 2**40),
)
skipped = st.builds(Skipped, paths, st.sampled_from(SkipReason), st.text(max_size=5))


@given(st.lists(changes), st.lists(skipped), st.integers(0, 2**40))
def test_a_status_comes_back_as_it_was(found: list[Change], passed_over: list[Skipped], files: int) -> None:
    counters = Counters()
    counters.files_seen = files
    text = status_text(Status(ROOT, tuple(found), tuple(passed_over), counters, 0.25))
    assert "\n" not in text
    back = status_from(text.encode(), ROOT)
    assert (back.root, back.changes, back.skipped, back.seconds) == (ROOT, tuple(found), tuple(passed_over), 0.25)
    assert back.counters.files_seen == files


@pytest.mark.parametrize(
    "text",
    [b"", b"1", b"null", b"[]", b"[1, 2, 3, 4]", b"[[], [], [1], 0]", b'[[["new", "a", null, "note", 1]], [], [], 0]'],
)
def test_what_is_no_status_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        status_from(text, ROOT)
    assert told_status(b"status 1-2 " + text, ROOT) is None


@pytest.mark.parametrize(
    "answer", [b"", b"clean", b"clean ", b"clean -1 t", b"clean x", b"doubt it", b"status", b"\xff"]
)
def test_what_is_no_answer_tells_nothing(answer: bytes) -> None:
    assert told_status(answer, ROOT) is None


def test_a_clean_status_is_a_number_of_files() -> None:
    told = told_status(b"clean 12 1-2", ROOT)
    assert told is not None
    assert (told.is_clean, told.skipped, told.counters.files_seen) == (True, (), 12)


def test_what_was_ignored_is_not_looked_at_until_rules_change() -> None:
    hearsay = Hearsay(Options())
    hearsay.is_ignored([b"big.log"])
    assert hearsay.worth_a_look([b"big.log", b"one.md"]) == {b"one.md"}
    assert not hearsay.changes_rules([b"one.md", b"x.gitignore"])
    assert hearsay.changes_rules([b"sub/.gitignore"])
    assert hearsay.worth_a_look([b"big.log"]) == {b"big.log"}


def test_what_was_ignored_in_folders_that_may_be_others_now_is_looked_at() -> None:
    hearsay = Hearsay(Options())
    hearsay.is_ignored([b"a/b/1.md", b"a/2.md", b"ab/3.md", b"c"])
    hearsay.forget_below([])
    assert hearsay.worth_a_look([b"a/b/1.md", b"a/2.md", b"ab/3.md", b"c"]) == frozenset()
    hearsay.forget_below([b"a", b"c"])
    assert hearsay.worth_a_look([b"a/b/1.md", b"a/2.md", b"ab/3.md", b"c"]) == {b"a/b/1.md", b"a/2.md", b"c"}


def test_what_is_left_out_everywhere_is_not_looked_at() -> None:
    heard = [b".git/index", b"a/.hidden/b.md", b"a/one.md~", b".one.md.swp", b"a/one.md", b"", b"a"]
    assert Hearsay(Options()).worth_a_look(heard) == {b"a/one.md", b"", b"a"}
    assert b".git/index" not in Hearsay(Options(include_hidden=False)).worth_a_look(heard)
    assert b"a/.hidden/b.md" in Hearsay(Options(include_hidden=True)).worth_a_look(heard)


def test_only_a_bounded_number_of_ignored_paths_is_remembered() -> None:
    hearsay = Hearsay(Options())
    hearsay.is_ignored(b"%d.log" % number for number in range(3000))
    assert len(hearsay.worth_a_look([b"%d.log" % number for number in range(3000)])) == 2000
    assert hearsay.worth_a_look([b"2999.log"]) == frozenset()


def test_folders_that_are_there_can_be_watched_and_what_is_no_folder_cannot(tmp_path: Path) -> None:
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("real")
    os.mkdir(os.path.join(os.fsencode(tmp_path), b"\xff"))
    found = watchable(tmp_path, [b"", b"real", b"real/deep", b"file", b"link", b"gone", b"\xff"])
    assert found.absolute == {
        b"": str(tmp_path),
        b"real": str(tmp_path / "real"),
        b"real/deep": str(tmp_path / "real/deep"),
    }
    assert found.polled == {b"\xff"}


def test_the_folders_of_paths_are_all_above_them() -> None:
    assert folders_of([b"a/b/c.md", b"a/d.md", b"e.md"]) == {b"", b"a", b"a/b"}
    assert folders_of([]) == {b""}


def test_a_path_is_below_its_folders_and_itself_alone() -> None:
    assert is_below(b"a/b", b"a")
    assert is_below(b"a", b"a")
    assert is_below(b"a", b"")
    assert not is_below(b"ab", b"a")
    assert not is_below(b"a", b"a/b")


def test_many_names_are_cut_short() -> None:
    assert names_of((b"", b"a")) == "., a"
    assert names_of(tuple(b"%d" % number for number in range(7))) == "0, 1, 2, 3, 4 and 2 more"
