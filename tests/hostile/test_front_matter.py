"""Headers made to overwhelm a YAML reader: each is left out or read, with a warning where anything is missing."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from support.vault import Vault, never_young

if TYPE_CHECKING:
    from pathlib import Path

ALMOST_ALL = 65_000
"""Characters in a header of the largest size that is read."""


def bomb(width: int, levels: int) -> str:
    """Each level holds the one before it many times."""
    lines = ["a0: &a0 [" + "x, " * width + "]"]
    lines += [f"a{level}: &a{level} [" + f"*a{level - 1}, " * width + "]" for level in range(1, levels)]
    return "\n".join(lines)


LEFT_OUT = {
    "billion-laughs": (bomb(9, 12), "more than 10000 values"),
    "quadratic": ("a: &a " + "x" * 30_000 + "\nb: [" + "*a, " * 8_000 + "]", "more than 65536 characters"),
    "laughs-of-maps": ("a: &a {k: v}\nb: &b {" + ", ".join(f"k{n}: *a" for n in range(4_000)) + "}", "more than 10000"),
    "merged-often": ("a: &a {x: 1}\nb: {<<: [" + "*a, " * 9_000 + "]}", "more than 10000 values"),
    "flow": ("a: " + "[" * 100_000, "more than 65536 bytes"),
    "flow-within-the-size": ("a: " + "[" * ALMOST_ALL, "nested deeper than 32"),
    "flow-of-maps": ("{a: " * 16_000, "nested deeper than 32"),
    "items": ("- " * 32_000, "nested deeper than 32"),
    "questions": ("? " * 32_000, "nested deeper than 32"),
    "2 MB": ("a: b\n" * 400_000, "more than 65536 bytes"),
    "one-long-title": ("title: " + "t" * 1_000_000, "more than 65536 bytes"),
    "one-long-permalink": ("permalink: " + "p" * 1_000_000, "more than 65536 bytes"),
    "a-million-tags": ("tags: [" + "t, " * 1_000_000 + "]", "more than 65536 bytes"),
}
TAKEN_AS_TEXT = {
    "no-end": "a: [b",
    "itself": "a: &a [*a]",
    "twice-anchored": "a: &x 1\nb: &x 2",
    "a-long-anchor": "a: *" + "x" * 60_000,
    "a-long-tag": "a: !" + "x" * 60_000 + " b",
    "python": "a: !!python/object/apply:os.system [touch hacked]",
    "surrogate": 'title: "\\ud800"',
    "list-as-key": "? [a, b]\n: c",
    "map-as-key": "? {a: b}\n: c",
    "control": "a: \x07",
    "documents": "a: b\n...\nc: d",
}
VALUES = {
    "9" * ALMOST_ALL: "9" * ALMOST_ALL,
    "-" + "9" * 5_000: "-" + "9" * 5_000,
    "0x" + "f" * ALMOST_ALL: "0x" + "f" * ALMOST_ALL,
    "0b" + "1" * ALMOST_ALL: "0b" + "1" * ALMOST_ALL,
    "0" + "7" * ALMOST_ALL: "0" + "7" * ALMOST_ALL,
    "1" + ":1" * 32_000: "1" + ":1" * 32_000,
    "1" + ":1" * 32_000 + ".5": "1" + ":1" * 32_000 + ".5",
    "1e999999999": "1e999999999",
    "1.0e+999999999": "inf",
    "." + "1" * ALMOST_ALL: "0.1111111111111111",
    "-.inf": "-inf",
    ".NaN": "nan",
    "99999-01-01": "99999-01-01",
    "0000-00-00": "0000-00-00",
    "9999-12-31T23:59:59-99:99": "9999-12-31T23:59:59-99:99",
    "2001-01-01 00:00:00." + "9" * ALMOST_ALL: "2001-01-01T00:00:00.999999",
    "!!int": "",
    "!!float": "",
    "!!timestamp": "",
    "!!binary " + base64.b64encode(b"\xff\0" * 15_000).decode(): "\ufffd" * 15_000,
    '"' + "\\x41" * 16_000 + '"': "A" * 16_000,
}
NO_DATES = ["99999-01-01", "2024-02-30", "-.inf", "0x7fffffffffffffff", "[]", "9" * 5_000, "0001-01-01T00:00:00+14:00"]
LONG_NAME = "n" * 1_001


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    never_young(monkeypatch)
    vault = Vault(tmp_path / "vault")
    vault.write("good.md", "---\ntitle: Neighbour\n---\n- [c] neighbour\n")
    return vault


def synced(vault: Vault, headers: dict[str, str]) -> dict[str, list[str]]:
    """Sync notes with these headers and an observation each; return the warnings by name."""
    for name, header in headers.items():
        vault.write(f"{name}.md", f"---\n{header}\n---\n- [c] body of {name}\n")
    report = vault.settled_sync()
    assert report.added == len(headers) + 1
    contents = {row[0] for row in vault.rows("SELECT content FROM observation")}
    assert contents >= {"neighbour", *(f"body of {name}" for name in headers)}
    assert vault.rows("SELECT title FROM entity WHERE file_path = 'good.md'") == [("Neighbour",)]
    assert vault.sync().counters.files_read == 0
    assert vault.project.verify().ok
    found = vault.rows("SELECT file_path, warnings FROM entity")
    warnings = {str(path).removesuffix(".md"): json.loads(str(words)) for path, words in found}
    assert warnings.pop("good") == []
    return warnings


def test_a_header_beyond_a_bound_is_left_out_with_a_warning(vault: Vault) -> None:
    warnings = synced(vault, {name: header for name, (header, _) in LEFT_OUT.items()})
    for name, (_, bound) in LEFT_OUT.items():
        (warning,) = warnings[name]
        assert warning.startswith(f"front matter left out: {bound}")
    assert vault.rows("SELECT DISTINCT metadata FROM entity WHERE title != 'Neighbour'") == [("{}",)]


def test_a_header_that_cannot_be_read_is_text_with_a_short_warning(vault: Vault) -> None:
    warnings = synced(vault, TAKEN_AS_TEXT)
    for name in TAKEN_AS_TEXT:
        (warning,) = warnings[name]
        assert warning.startswith("front matter is not readable, taken as text: ")
        assert len(warning) < 300
    assert not (vault.root / "hacked").exists()


def test_values_of_every_size_are_read_or_kept_as_they_stand(vault: Vault) -> None:
    names = {f"value-{number}": f"key: {text}" for number, text in enumerate(VALUES)}
    assert not any(synced(vault, names).values())
    for name, expected in zip(names, VALUES.values(), strict=True):
        ((metadata,),) = vault.rows("SELECT metadata FROM entity WHERE file_path = ?", f"{name}.md")
        assert json.loads(str(metadata)) == {"key": expected}


def test_dates_that_no_calendar_has_are_warnings(vault: Vault) -> None:
    names = {f"date-{number}": f"created: {text}\nmodified: {text}" for number, text in enumerate(NO_DATES)}
    warnings = synced(vault, names)
    for name in names:
        assert [words.split(":")[0] for words in warnings[name]] == ["created ignored", "modified ignored"]


@pytest.mark.parametrize(
    ("header", "title", "own_type", "permalink", "words"),
    [
        (f"title: {LONG_NAME}", "n" * 1_000, "note", "names", ["title cut: longer than 1000 characters"]),
        (f"title: {LONG_NAME[1:]}", "n" * 1_000, "note", "names", []),
        (f"type: {LONG_NAME}", "names", "n" * 1_000, "names", ["type cut: longer than 1000 characters"]),
        (
            f"title: [{'n, ' * 1_000}]",
            ("n, " * 1_000)[:1_000],
            "note",
            "names",
            ["title cut: longer than 1000 characters"],
        ),
        (f"permalink: {LONG_NAME}", "names", "note", "names", ["permalink ignored: longer than 1000 characters"]),
        (f"permalink: {LONG_NAME[1:]}", "names", "note", "n" * 1_000, []),
    ],
    ids=range(6),
)
def test_long_names_are_cut_or_not_used(
    vault: Vault, header: str, title: str, own_type: str, permalink: str, words: list[str]
) -> None:
    assert synced(vault, {"names": header})["names"] == words
    names = vault.rows("SELECT title, type, permalink FROM entity WHERE file_path = 'names.md'")
    assert names == [(title, own_type, permalink)]


def test_deep_json_in_the_tags_is_one_tag(vault: Vault) -> None:
    deep = "[" * 30_000 + "]" * 30_000
    assert synced(vault, {"tags": f"tags: '{deep}'", "less": f"tags: '{deep[29_100:-29_100]}'"}) == {
        "tags": [],
        "less": [],
    }


def test_a_header_of_json_has_the_bounds_of_yaml(vault: Vault) -> None:
    vault.write("deep.md", '{\n"a": ' + "[" * 30_000 + "]" * 30_000 + "\n}\n- [c] x\n")
    vault.write("surrogate.md", '{\n"title": "\\ud800", "n": ' + "9" * 5_000 + "\n}\n- [c] x\n")
    assert vault.settled_sync().added == 3
    rows = vault.rows(
        "SELECT title, warnings FROM entity WHERE file_path IN ('deep.md', 'surrogate.md') ORDER BY title"
    )
    assert rows == [("deep", '["front matter left out: nested deeper than 32"]'), ("\ufffd", "[]")]
    assert vault.project.verify().ok
