from __future__ import annotations

from typing import TYPE_CHECKING

import pyromark
import pytest

from bm_gitindex.notes.markdown import read_body
from bm_gitindex.options import NoteBounds

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUNDS = NoteBounds()


def observations(markdown: str) -> list[tuple[str | None, str, list[str], str | None]]:
    found = read_body(markdown, BOUNDS).observations
    return [(item.category, item.content, list(item.tags), item.context) for item in found]


def relations(markdown: str) -> list[tuple[str, str, str | None]]:
    return [(item.type, item.target, item.context) for item in read_body(markdown, BOUNDS).relations]


@pytest.mark.parametrize(
    ("markdown", "category", "content", "tags", "context"),
    [
        ("- [tech] Use X #a #b-c (why)", "tech", "Use X #a #b-c", ["a", "b-c"], "why"),
        ("- Something #tag (ctx)", None, "Something #tag", ["tag"], "ctx"),
        ("[decision] x", "decision", "x", [], None),
        ("## Heading #tag", None, "Heading #tag", ["tag"], None),
        ("# x #tag ##", None, "x #tag", ["tag"], None),
        ("T #tag\n===", None, "T #tag", ["tag"], None),
        ("- [X] done #tag", None, "[X] done #tag", ["tag"], None),
        ("- [>] later #tag", None, "[>] later #tag", ["tag"], None),
        ("- [00:00:11] y #tag", None, "[00:00:11] y #tag", ["tag"], None),
        ("- [1] y", "1", "y", [], None),
        ("- [^1] y", "^1", "y", [], None),
        ("- [a] y", "a", "y", [], None),
        ("- [é] y", "é", "y", [], None),
        ("- [ c ] y", "c", "y", [], None),
        ("- [2024-01-01] y", "2024-01-01", "y", [], None),
        ("- [1:2] y", "1:2", "y", [], None),
        ("- [] y #t", None, "y #t", ["t"], None),
        ("- [c] [d] x", "c", "[d] x", [], None),
        ("- [t](u) more #tag", None, "[t](u) more #tag", ["tag"], None),
        ("- use # here", None, "use # here", [""], None),
        ("- color #ff0000", None, "color #ff0000", ["ff0000"], None),
        ("x #tag,", None, "x #tag,", ["tag,"], None),
        ("- x #a#b", None, "x #a#b", ["a", "b"], None),
        ("- x ##", None, "x ##", [], None),
        ("- a (x #t)", None, "a", [], "x #t"),
        ("- [c] t (a (b))", "c", "t (a", [], "b)"),
        ("- [c] t()", "c", "t", [], ""),
        ("- [c] l1 #t\n  l2 (ctx)", "c", "l1 #t", ["t"], None),
        ("- l1\n  l2 #t", None, "l1\nl2 #t", ["t"], None),
        ("[c]\nx", "c", "x", [], None),
        ("x #t\ny (c)", None, "x #t\ny", ["t"], "c"),
        ("|a|b|\n|-|-|\n| #t |x|", None, "|a|b|\n|-|-|\n| #t |x|", ["t"], None),
        ("x `[c] x #t` y", None, "x `[c] x #t` y", ["t`"], None),
        ("`[c] x #t`", None, "`[c] x #t`", ["t`"], None),
        ("text <!-- #t --> x", None, "text <!-- #t --> x", ["t"], None),
        ("<div>\n\n#t x\n\n</div>", None, "#t x", ["t"], None),
        ("1. [c] x", "c", "x", [], None),
        ("- > q\n\n  #t", None, "#t", ["t"], None),
        ("    #t at the very start is text", None, "#t at the very start is text", ["t"], None),
        ("\u3000[c] x", "c", "x", [], None),
        ("x\n\n\u3000[c] x", "c", "x", [], None),
        ("*x* \\\n&amp; [y](z) #t", None, "*x* \\\n&amp; [y](z) #t", ["t"], None),
        ("[^1]:\n    label\n\n[c] x", "c", "x", [], None),
        ("- [c] x\r\n  y\r\n", "c", "x", [], None),
        ("a\rb #t", None, "a\nb #t", ["t"], None),
    ],
)
def test_a_block_states_something(
    markdown: str, category: str | None, content: str, tags: list[str], context: str | None
) -> None:
    assert observations(markdown) == [(category, content, tags, context)]


@pytest.mark.parametrize(
    "markdown",
    [
        "plain",
        "- [ ] t #tag",
        "- [x] t #tag",
        "- [-] t #tag",
        "[x] t #tag",
        "- [X] y",
        "- [/] y",
        "- [!] y",
        "- [ x] y",
        "- [00:00:11] y",
        "- [12:34 - 12:35] y",
        "- [cat]y",
        "- [a(b)] y",
        "- [a[b]] y",
        "- [c] (only)",
        "- [c]",
        "- [] y",
        "- ( #t)",
        "- (#t) y",
        "x y#t",
        "- [t](u)",
        "- [t #a](u)",
        "- [c] [t](u)",
        "- [[A #t]]",
        "- [[A]] #t [[B]]",
        "\\[c] x",
        "**[c] x**",
        "&#35;t",
        "```\n#t\n```",
        "~~~\n[c] x\n~~~",
        "x\n\n    #t",
        "> #t",
        "> - [c] x",
        "- > #t",
        "<!-- #t -->",
        "<div>\n#t\n</div>",
        "[ref]: #t",
        "[^1]:\n    #label\n    #t",
    ],
)
def test_a_block_states_nothing(markdown: str) -> None:
    assert observations(markdown) == []


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("- implements [[T]] (c)", ("implements", "T", "c")),
        ("- implements [[T]](c)", ("implements", "T", "c")),
        ("- implements [[T]] (c (d))", ("implements", "T", "c (d)")),
        ("- implements [[T]] ()", ("implements", "T", None)),
        ("- implements [[T]]\n  (c)", ("implements", "T", "c")),
        ("- rel\n  [[T]]", ("rel", "T", None)),
        ('- "depends on" [[T]]', ("depends on", "T", None)),
        ("- 'depends on' [[T]]", ("depends on", "T", None)),
        ('- "a [[T]]', ('"a', "T", None)),
        ("- relates_to: [[A]]", ("relates_to:", "A", None)),
        ("- [fact] [[A]]", ("[fact]", "A", None)),
        ("- ![[i.png]]", ("!", "i.png", None)),
        ("- rel [[[A]]", ("rel", "[A", None)),
        ("- rel [[A [[B]]", ("rel", "A [[B", None)),
        ("- uses [[A]] ([[B]])", ("uses", "A", "[[B]]")),
        ("- # rel [[A]]", ("rel", "A", None)),
        ("- x\n\n  rel [[A]]", ("rel", "A", None)),
        ("- x\n  > rel [[A]]", ("rel", "A", None)),
        ("> - rel [[A]]", ("rel", "A", None)),
        ("1) rel [[A]]", ("rel", "A", None)),
        ("- rel [[proj::N]]", ("rel", "proj/N", None)),
    ],
)
def test_a_list_item_is_a_typed_relation(markdown: str, expected: tuple[str, str, str | None]) -> None:
    assert relations(markdown) == [expected]


@pytest.mark.parametrize(
    ("markdown", "targets"),
    [
        ("[[A]]", ["A"]),
        ("rel [[A]]", ["A"]),
        ("- [[A]]", ["A"]),
        ("- depends on [[T]]", ["T"]),
        ("- “depends on” [[T]]", ["T"]),
        ('- "" [[T]]', ["T"]),
        ("- uses [[A]] for [[B]]", ["A", "B"]),
        ("- uses [[A]] (c) more", ["A"]),
        ("- uses [[A]] (c) (d)", ["A"]),
        ("- uses [[A]] ((c)", ["A"]),
        ("- uses [[A]].", ["A"]),
        ("- [ ] [[A]]", ["A"]),
        ("- a\n  - b\n\n  rel [[C]]", ["C"]),
        ("[[B|al]]", ["B|al"]),
        ("[[A#H]]", ["A#H"]),
        ("![[i.png]]", ["i.png"]),
        ("`[[A]]`", ["A"]),
        ("> [[A]]", ["A"]),
        ("\\[[A]]", ["A"]),
        ("[[A]] [[A]]", ["A", "A"]),
        ("[[proj::N]]", ["proj/N"]),
        ("[[ A ]]", ["A"]),
        ("[[A]]]", ["A"]),
        ("[[[A]]]", ["[A"]),
        ("[[A [[B]] C]] [[D]]", ["A [[B]] C", "D"]),
        ("[[A]b]]", ["A]b"]),
        ("|a|\n|-|\n|[[T]]|", ["T"]),
        ("> q [[A\n> B]]", ["A\nB"]),
        ("> q [[A\nB]]", ["A\nB"]),
        ("> - q\n>   r [[B\n>     c]]", ["B\n  c"]),
        ("1. a\n    b [[x\n     y]]", ["x\n  y"]),
        ("-   a\n    b [[x\n      y]]", ["x\n  y"]),
        ("-      code\n\n  a b [[x\n   y]]", ["x\n y"]),
        ("-\n  a b [[x\n   y]]", ["x\n y"]),
        ("- a\n\tb [[x\n\ty]]", ["x\n  y"]),
    ],
)
def test_any_other_link_is_plain(markdown: str, targets: list[str]) -> None:
    assert relations(markdown) == [("links_to", target, None) for target in targets]


@pytest.mark.parametrize(
    "markdown",
    [
        "[[]]",
        "- rel [[ ]]",
        "[[A",
        "x [[A [[B]] [[C]]",
        "[A]]",
        "[\\[A]]",
        "```\n[[A]]\n```",
        "<div>[[A]]</div>",
        "[^1]:\n    [[2024]]",
    ],
)
def test_no_link(markdown: str) -> None:
    assert relations(markdown) == []


def test_blocks_that_markdown_it_begins_in_each_other_are_found_to_a_bound() -> None:
    nested = "".join("[a]: /u\n" + "   " * depth + "2) " for depth in range(6)) + "[c] x"
    assert observations(nested) == [("c", "x", [], None)]
    assert observations("[a]: /u\n2) " * 2_000 + "[c] x\n\n[d] y")[-1] == ("d", "y", [], None)


def test_the_last_round_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert observations("[a]: /u\n2) [c] x") == [("c", "x", [], None)]
    monkeypatch.setattr("bm_gitindex.notes.blocks._MOST_ROUNDS", 1)
    assert observations("[a]: /u\n2) [c] x\n\n[d] y") == [("d", "y", [], None)]


def test_a_long_text_is_gone_through_twice_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = "[a]: /u\n2) [b]: /u\n   3) [c] x"
    assert observations(twice) == [("c", "x", [], None)]
    monkeypatch.setattr("bm_gitindex.notes.blocks._MOST_CHARACTERS", 1)
    assert observations(twice) == []
    assert observations("[a]: /u\n2) [c] x") == [("c", "x", [], None)]


def test_an_item_can_be_both() -> None:
    assert observations("- [fact] [[A]]") == [("fact", "[[A]]", [], None)]
    assert relations("- [fact] [[A]]") == [("[fact]", "A", None)]


def test_items_keep_the_order_of_the_text() -> None:
    assert [content for _, content, _, _ in observations("# a #t\n\n- b #t\n  - c #t\n\nd #t")] == [
        "a #t",
        "b #t",
        "c #t",
        "d #t",
    ]


def test_text_below_twenty_levels_is_not_read() -> None:
    assert len(observations("- " * 9 + "[c] x")) == 1
    assert len(observations("- " * 10 + "[c] x")) == 0
    assert len(relations("> " * 19 + "[[A]]")) == 1
    assert len(relations("> " * 20 + "[[A]]")) == 0


@pytest.mark.parametrize("marker", ["> ", "- ", "1. ", "> - "])
@pytest.mark.parametrize("depth", [201, 20_000])
def test_a_note_nested_too_deep_has_no_items(marker: str, depth: int) -> None:
    body = read_body("[c] x\n\n" + marker * depth + "[[A]]", BOUNDS)
    assert (body.observations, body.relations) == ((), ())
    assert body.warnings == ("observations and relations left out: nested deeper than 200",)


def test_a_panic_of_the_parser_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def panic(markdown: str, *, merge_text: bool) -> Iterator[object]:
        yield from ()
        raise PanicException

    monkeypatch.setattr(pyromark, "events_with_range", panic)
    body = read_body("[c] x", BOUNDS)
    assert (body.observations, body.relations) == ((), ())
    assert body.warnings == ("observations and relations left out: the Markdown parser failed",)


def test_items_beyond_the_bound_are_left_out() -> None:
    body = read_body("- [c] x [[A]]\n" * 5, NoteBounds(max_items=3))
    assert (len(body.observations), len(body.relations)) == (3, 3)
    assert body.warnings == (
        "more than 3 observations: the rest is left out",
        "more than 3 relations: the rest is left out",
    )


@pytest.mark.parametrize(
    ("markdown", "counts", "left_out"),
    [
        ("- [c] x\n" * 5 + "- [[A]]\n", (3, 1), "observations"),
        ("- [[A]]\n" * 5 + "- [c] x\n", (1, 3), "relations"),
        ("- [c] x\n" * 5 + "- [[A]]\n" * 3, (3, 3), "observations"),
    ],
)
def test_too_many_items_of_one_sort_leave_room_for_the_other(
    markdown: str, counts: tuple[int, int], left_out: str
) -> None:
    body = read_body(markdown, NoteBounds(max_items=3))
    assert (len(body.observations), len(body.relations)) == counts
    assert body.warnings == (f"more than 3 {left_out}: the rest is left out",)


def test_exactly_as_many_items_as_the_bound_are_no_warning() -> None:
    body = read_body("[[A]] [[B]] [[C]]", NoteBounds(max_items=3))
    assert (len(body.relations), body.warnings) == (3, ())


@pytest.mark.parametrize(
    "markdown",
    [
        "[[" * 100_000,
        "[" * 500_000,
        "[a](" * 100_000,
        "#" * 500_000,
        "- x [[a]] " + "(" * 500_000,
        "[" + "1:23 - " * 100_000 + "] x",
        "`a" * 200_000,
        "x #t\n" * 100_000,
        "> " + "x #t\n" * 100_000,
    ],
    ids=lambda markdown: markdown[:8],
)
def test_hostile_text_is_read_to_its_end(markdown: str) -> None:
    body = read_body(markdown + "\n\n- [end] x\n", BOUNDS)
    assert body.observations[-1].category == "end"
