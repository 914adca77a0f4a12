from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bm_gitindex.entities.pathtext import path_to_text, text_to_path

COMPONENTS = st.binary(min_size=1, max_size=8).filter(lambda name: not {0, ord("/")} & set(name))
PATHS = st.lists(COMPONENTS, min_size=1, max_size=4).map(b"/".join)


@given(PATHS)
def test_every_path_comes_back(path: bytes) -> None:
    assert text_to_path(path_to_text(path)) == path


@given(PATHS)
def test_the_text_can_be_stored_anywhere(path: bytes) -> None:
    path_to_text(path).encode("utf-8", "strict")


@given(PATHS, PATHS)
def test_different_paths_have_different_texts(one: bytes, other: bytes) -> None:
    assert (path_to_text(one) == path_to_text(other)) == (one == other)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"notes/a b.md", "notes/a b.md"),
        ("Übersicht/日本.md".encode(), "Übersicht/日本.md"),
        (b"caf\xe9.md", "caf//e9.md"),
        (b"a/\xff/b", "a///ff/b"),
        (b"\xff\xfeff", "//ff//feff"),
        (b"\xed\xa0\x80", "//ed//a0//80"),  # half a surrogate pair is not valid UTF-8
        (b"/7", "/7"),
    ],
)
def test_only_bytes_that_are_not_utf8_are_escaped(path: bytes, text: str) -> None:
    assert path_to_text(path) == text
    assert text_to_path(text) == path
