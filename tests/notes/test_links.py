from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bm_gitindex.notes.links import link_key, link_target
from bm_gitindex.notes.permalink import generate_permalink

NAMES = st.text(st.sampled_from("aBcÉ中のЯ1 -_.'(😀ßİ/"), min_size=1).filter(lambda name: bool(name.strip(" /.")))


@pytest.mark.parametrize(
    ("target", "looked_up"),
    [
        ("A", "A"),
        ("A|alias", "A"),
        ("A#Heading", "A"),
        ("A#Heading|alias", "A"),
        ("A | alias # x", "A"),
        ("folder/A.md#H", "folder/A.md"),
        ("#H", ""),
        ("|alias", ""),
    ],
)
def test_link_target(target: str, looked_up: str) -> None:
    assert link_target(target) == looked_up


@pytest.mark.parametrize(
    ("link", "name"),
    [
        ("API (v2)", "api-v2"),
        ("camelcase", "CamelCase"),
        ("camel-case", "CamelCase"),
        ("Camel Case", "camel_case"),
        ("notes/My Note", "notes/my-note"),
        ("notes/my-note.md", "notes/My Note"),
        ("Café", "cafe"),
        ("don't", "dont"),
        ("日本のノート", "日本-nono-to"),
        ("한국어", "hangugeo"),
        ("tic-tac", "Tic_Tac.MD"),
    ],
)
def test_names_that_a_link_may_mean_have_its_key(link: str, name: str) -> None:
    assert link_key(link) == link_key(name)


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("a/b", "ab"), ("1", "11"), ("中", "文"), ("😀", "😁")])
def test_different_names_have_different_keys(one: str, other: str) -> None:
    assert link_key(one) != link_key(other)


@given(st.text(min_size=1))
def test_any_text_has_a_key(text: str) -> None:
    assert link_key(text)
    assert link_key(text) == link_key("".join(text))


def test_no_text_has_no_key() -> None:
    assert link_key("") == ""


@given(NAMES)
def test_a_path_with_and_without_suffix_has_one_key(name: str) -> None:
    assume(name.rpartition("/")[2].strip("."))  # a stem of dots alone is no stem: `..md` has no suffix
    assert link_key(name) == link_key(name + ".md")


@given(NAMES)
def test_a_generated_permalink_has_the_key_of_its_path(name: str) -> None:
    assume(name.rpartition("/")[2].strip("."))  # a stem of dots alone is no stem: `..md` has no suffix
    permalink = generate_permalink(name + ".md")
    assume(any(character.isalnum() for character in permalink))
    assert link_key(permalink) == link_key(name)


@given(NAMES)
def test_case_and_separators_do_not_change_the_key(name: str) -> None:
    assert link_key(name.lower()) == link_key(name)
    assert link_key(name.replace("_", "-")) == link_key(name)
    assert link_key(name.replace("-", "_").upper()) == link_key(name.upper())
