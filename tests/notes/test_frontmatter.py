from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.notes.frontmatter import split_front_matter
from bm_gitindex.options import NoteBounds

if TYPE_CHECKING:
    from bm_gitindex.notes.model import JsonValue

BOUNDS = NoteBounds()
BODY = "body #t"


def load(header: str) -> dict[str, JsonValue]:
    front_matter = split_front_matter(f"---\n{header}\n---\n{BODY}", BOUNDS)
    assert (front_matter.body, front_matter.warning) == (BODY, None)
    json.dumps(front_matter.values, allow_nan=False)
    return dict(front_matter.values)


@pytest.mark.parametrize(
    "text",
    [
        "---\na: b\n---\nbody",
        "---\na: b\n---\n\n\n  body  \n",
        "---  \na: b\n--- \t\nbody",
        "----\na: b\n-----\nbody",
        "\n\n  ---\na: b\n---\nbody",
        "---\r\na: b\r\n---\r\nbody",
        "---\n\t\na: b\n---\nbody",
        '---\n{"a": "b"}\n---\nbody',
        '{\n"a": "b"\n}\nbody',
    ],
)
def test_a_header_stands_between_two_fences(text: str) -> None:
    front_matter = split_front_matter(text, BOUNDS)
    assert (front_matter.values, front_matter.body, front_matter.warning) == ({"a": "b"}, "body", None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---",
        "---\na: b",
        "---\na: b\n...\nbody",
        "---\na: b\n ---\nbody",
        "--- # c\na: b\n---\nbody",
        "---\na: b\n---x\nbody",
        "x\n---\na: b\n---\nbody",
        "+++\na = 1\n+++\nbody",
        '{"a": "b"}\nbody',
        "{\nno end",
    ],
)
def test_without_two_fences_everything_is_body(text: str) -> None:
    front_matter = split_front_matter(text, BOUNDS)
    assert (front_matter.values, front_matter.body, front_matter.warning) == ({}, text, None)


@pytest.mark.parametrize("header", ["", "# comment", "null", "~", "{}"])
def test_an_empty_header_holds_nothing(header: str) -> None:
    assert load(header) == {}


@pytest.mark.parametrize("header", ["- a\n- b", "text", "5", "[]", "\nprose\n", "'a: b'"])
def test_a_header_without_keys_is_a_rule_and_text(header: str) -> None:
    text = f"---\n{header}\n---\nbody"
    front_matter = split_front_matter(text, BOUNDS)
    assert (front_matter.values, front_matter.body) == ({}, text)
    assert front_matter.warning == "front matter has no keys, taken as text: the first line is a rule"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("b", "b"),
        ("1", "1"),
        ("1.0", "1.0"),
        ("0x1F", "31"),
        ("1_000", "1000"),
        ("12:30", "750"),
        ("yes", "True"),
        ("~", None),
        ("", None),
        (".nan", "nan"),
        ("-.inf", "-inf"),
        ("1e400", "1e400"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01 02:03:04", "2024-01-01T02:03:04"),
        ("2024-01-01T02:03:04Z", "2024-01-01T02:03:04+00:00"),
        ("2024-13-45", "2024-13-45"),
        ("!!binary aGVsbG8=", "hello"),
        ("!!binary /w==", "\ufffd"),
        ("!!binary x", "x"),
        ("!!int x", "x"),
        ("!!bool x", "x"),
        ("!!timestamp x", "x"),
        ("!!str 5", "5"),
        ("!!set {x, y}", ["x", "y"]),
        ("!!omap [x: 1, y: 2]", [["x", "1"], ["y", "2"]]),
        ("[1, ~, [true]]", ["1", None, ["True"]]),
        ("{1: b, ~: c, true: d}", {"1": "b", "None": "c", "True": "d"}),
        ("{=: c}", {"=": "c"}),
        ('"a\\0b"', "ab"),
        ("9" * 5000, "9" * 5000),
        ("0x" + "f" * 5000, "0x" + "f" * 5000),
    ],
)
def test_scalars_become_strings(text: str, value: JsonValue) -> None:
    assert load(f"a: {text}") == {"a": value}


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("a: 1\na: 2", {"a": "2"}),
        ("1: a\n2024-01-01: b", {"1": "a", "2024-01-01": "b"}),
        ("<<: {a: 1}\nb: 2", {"a": "1", "b": "2"}),
        ("a: 2\n<<: {a: 1}", {"a": "2"}),
        ("<<: [{a: 1}, {a: 2, b: 3}]", {"a": "1", "b": "3"}),
        ("x: &x {a: 1}\ny: {<<: *x, b: 2}", {"x": {"a": "1"}, "y": {"a": "1", "b": "2"}}),
        ("a: &a [1]\nb: *a", {"a": ["1"], "b": ["1"]}),
    ],
)
def test_keys_merges_and_aliases(header: str, values: dict[str, JsonValue]) -> None:
    assert load(header) == values


@pytest.mark.parametrize(
    "header",
    [
        "a: [",
        "a: b: c",
        "\ta: b",
        "a: *x",
        "a: &a [*a]",
        "a: &x 1\nb: &x 2",
        "a: !foo x",
        "a: !!python/tuple [1]",
        "a: !!set [1]",
        "a: !!omap {b: 1}",
        "a: !!omap [b]",
        "<<: 5",
        "a: <<",
        "[a, b]: c",
        "a: b\n...\nc",
        "a: b\n--- {c: d}",
        "%YAML 1.1",
        'a: "\\ud800"',
        "a: \x07",
    ],
)
def test_an_unreadable_header_is_part_of_the_body(header: str) -> None:
    text = f"---\n{header}\n---\nbody"
    front_matter = split_front_matter(text, BOUNDS)
    assert (front_matter.values, front_matter.body) == ({}, text)
    assert front_matter.warning
    assert front_matter.warning.startswith("front matter is not readable, taken as text: ")
    assert "\n" not in front_matter.warning


def test_json_has_the_scalars_of_yaml() -> None:
    text = '{\n"s": "\\u0000a\\ud800", "i": 1, "f": 1.50, "t": true, "z": null, "l": [1, {"o": NaN}]\n}\n'
    values = split_front_matter(text, BOUNDS).values
    assert values == {"s": "a\ufffd", "i": "1", "f": "1.5", "t": "True", "z": None, "l": ["1", {"o": "nan"}]}


def test_bad_json_is_part_of_the_body() -> None:
    front_matter = split_front_matter("{\nx\n}\nbody", BOUNDS)
    assert front_matter.body == "{\nx\n}\nbody"
    assert front_matter.warning


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("header", "bound"),
    [
        (BOMB, "more than 10000 values"),
        ("a: &a {x: 1}\nb: {<<: [" + "*a, " * 9000 + "]}", "more than 10000 values"),
        ("".join(f"k{n}: v\n" for n in range(5001)), "more than 10000 values"),
        ("a: &a " + "x" * 30_000 + "\nb: [" + "*a, " * 8000 + "]", "more than 65536 characters"),
        ("a: " + "x" * 65_536, "more than 65536 bytes"),
        ("a: " + "é" * 40_000, "more than 65536 bytes"),
        ("a: " + "[" * 20_000, "nested deeper than 32"),
        ("{a: " * 15_000, "nested deeper than 32"),
        ("- " * 20_000, "nested deeper than 32"),
        ("? " * 20_000, "nested deeper than 32"),
        ("a: &a " + "[" * 20 + "]" * 20 + "\nb: " + "[" * 20 + "*a" + "]" * 20, "nested deeper than 32"),
    ],
)
def test_a_header_beyond_a_bound_is_left_out(header: str, bound: str) -> None:
    front_matter = split_front_matter(f"---\n{header}\n---\nbody", BOUNDS)
    assert (front_matter.values, front_matter.body) == ({}, "body")
    assert front_matter.warning == f"front matter left out: {bound}"


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        ("[" * 33 + "]" * 33, "nested deeper than 32"),
        ("[" * 30_000 + "]" * 30_000, "nested deeper than 32"),
        ("[" + "1," * 10_000 + "1]", "more than 10000 values"),
    ],
)
def test_json_has_the_bounds_of_yaml(value: str, bound: str) -> None:
    front_matter = split_front_matter(f'{{\n"a": {value}\n}}\nbody', BOUNDS)
    assert (front_matter.values, front_matter.body) == ({}, "body")
    assert front_matter.warning == f"front matter left out: {bound}"


def test_the_deepest_header_allowed_is_read() -> None:
    assert load("a: " + "[" * 31 + "]" * 31)
