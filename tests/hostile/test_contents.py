"""Notes that are too large, too deep or too much: bounded memory, a warning, and the neighbour unharmed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bm_gitindex import NoteBounds, Options
from bm_gitindex.config import store_option
from support.child import command
from support.profile import NIGHTLY
from support.vault import Vault, never_young

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

BOUNDS = NoteBounds() if NIGHTLY else NoteBounds(max_items=3_000)
SIZE = BOUNDS.note_max_bytes - 100 if NIGHTLY else 60_000
"""Of a note that is parsed, but for some bytes around it: the largest there can be, or one that is soon done with."""
MANY = 1_000_000 if NIGHTLY else 3_100
DEEP = 20_000 if NIGHTLY else 2_000
HUGE = 100_000_000 if NIGHTLY else 6_000_000
NEIGHBOUR = "---\ntitle: Neighbour\n---\n- [c] neighbour #fine\n- knows [[good]]\n"

TOO_LARGE = "larger than note_max_bytes (4194304): hashed, but not parsed"
TOO_DEEP = "observations and relations left out: nested deeper than 200"
NOT_READ = "text below 20 levels of quotes and lists left out"


def too_many(name: str) -> str:
    return f"more than {BOUNDS.max_items} {name}: the rest is left out"


def filled(unit: str) -> Callable[[], str]:
    """A note of nothing but this, of `SIZE` bytes at most."""
    return lambda: unit * (SIZE // len(unit.encode()))


def repeated(unit: str) -> Callable[[], str]:
    """A note of nothing but this, `MANY` times, as far as there is room."""
    return lambda: unit * min(MANY, BOUNDS.note_max_bytes // len(unit.encode()))


CUT: Mapping[str, tuple[Callable[[], str], list[str]]] = {
    "single-line": (lambda: "- [c] x [[A]] " + "x" * HUGE, [TOO_LARGE]),
    "many-lines": (lambda: "- [c] x [[A]]\n" * (HUGE // 14), [TOO_LARGE]),
    "front-matter": (lambda: "---\n" + "a: b\n" * (HUGE // 5) + "---\n", [TOO_LARGE]),
    "unclosed-front-matter": (lambda: "---\n" + "a: b\n" * (HUGE // 5), [TOO_LARGE]),
    "observations": (repeated("- [c] x\n"), [too_many("observations")]),
    "relations": (repeated("- r [[A]]\n"), [too_many("relations")]),
    "links": (repeated("[[A]] "), [too_many("relations")]),
    "tags": (repeated("#ab "), [too_many("tags")]),
    "tags-in-a-row": (repeated("#ab"), [too_many("tags")]),
    "everything": (repeated("- [c] x #t [[A]]\n"), [too_many(name) for name in ("observations", "relations", "tags")]),
    "quotes": (lambda: ">" * DEEP + " [c] x #t", [TOO_DEEP]),
    "items": (lambda: "- " * DEEP + "[c] x #t", [TOO_DEEP]),
    "numbers": (lambda: "1. " * DEEP + "[c] x #t", [TOO_DEEP]),
    "quoted-items": (lambda: "> - " * DEEP + "[c] x #t", [TOO_DEEP]),
    "stairs": (lambda: "".join(" " * 2 * level + "- #a\n" for level in range(250)), [TOO_DEEP]),
    "deep": (lambda: "- " * 30 + "[c] x #t\n\n- [c] read\n", [NOT_READ]),
    "returns": (filled("- [c] x\r\n\r"), [too_many("observations")]),
    "nul": (filled("\0"), ["NUL characters left out"]),
}
WHOLE: Mapping[str, Callable[[], str]] = {
    "brackets": lambda: "[" * DEEP + "]" * DEEP,
    "links-in-links": lambda: "[[" * DEEP + "]]" * DEEP,
    "open-links": filled("[["),
    "closed-links": filled("]]"),
    "parentheses": lambda: "- r [[A]] " + "(" * DEEP + ")" * DEEP,
    "markdown-links": lambda: "[a](" * DEEP + ")" * DEEP,
    "images": filled("![a"),
    "emphasis": filled("***a "),
    "closed-emphasis": filled("*a* "),
    "html": lambda: "<div>" * DEEP + "</div>" * DEEP,
    "html-blocks": filled("<div>\n\n"),
    "comments": filled("<!--"),
    "table": filled("|a"),
    "table-rows": filled("|a|b|\n|-|-|\n"),
    "footnotes": filled("[^a]: b\n"),
    "references": filled("[a]: b\n"),
    "ticks": lambda: "".join("`" * length + "a" for length in range(1, int((2 * SIZE) ** 0.5) - 1)),
    "entities": filled("&amp;"),
    "backslashes": filled("\\"),
    "no-tags": filled("#"),
    "fences": filled("```\n"),
    "lazy-quotes": filled("> a #t\nb\n"),
    "task-marks": filled("- [ ] a #t\n"),
    "times": lambda: "- [" + "1:00 - " * (SIZE // 8) + "] x",
    "one-category": lambda: "- [" + "c" * SIZE + "] x",
    "one-context": lambda: "- [c] x (" + "c" * SIZE + ")",
    "one-tag": lambda: "- #" + "c" * SIZE,
    "one-target": lambda: "- r [[" + "c" * SIZE + "]]",
    "one-target-of-letters": lambda: "[[" + "Ж" * (SIZE // 2) + "]]",
    "one-target-of-slashes": lambda: "[[" + "/" * SIZE + "]]",
    "one-label": lambda: '- "' + "a " * (SIZE // 2) + '" [[A]]',
    "vertical-tabs": filled("- [c] x\x0b"),
    "form-feeds": filled("- [c] x\x0c"),
    "next-lines": filled("- [c] x\x85"),
    "line-separators": filled("- [c] x\u2028"),
    "spaces": filled(" "),
    "newlines": filled("\n"),
    "itself": lambda: "[[itself]] [[itself.md]] [[ITSELF]]",
}
NOTES = {**CUT, **{name: (make, []) for name, make in WHOLE.items()}}
GROUPS = [[name] for name in NOTES] if NIGHTLY else [list(CUT), list(WHOLE)]
LIMIT_BYTES = 300_000_000 if NIGHTLY else 100_000_000
"""Beyond what a vault takes that holds the neighbour alone."""


def make_vault(root: Path) -> Vault:
    vault = Vault(root, Options(bounds=BOUNDS))
    store_option(root, "bounds.max_items", str(BOUNDS.max_items))  # for the commands
    return vault


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Peak memory of a sync of the neighbour alone."""
    vault = Vault(tmp_path_factory.mktemp("alone") / "vault")
    vault.write("good.md", NEIGHBOUR)
    return command(vault.root, "sync").peak_bytes


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0])
def test_a_hostile_note_costs_little_and_harms_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: int, group: list[str]
) -> None:
    vault = make_vault(tmp_path / "vault")
    vault.write("good.md", NEIGHBOUR)
    for name in group:
        vault.write(f"{name}.md", NOTES[name][0]())
    done = command(vault.root, "sync")
    assert (done.code, done.json["added"], done.json["failed"]) == (0, len(group) + 1, [])
    print(f"\n{group[0]}: {done.json['seconds']:.1f} s, {(done.peak_bytes - alone) / 1e6:.0f} MB")  # noqa: T201
    assert done.peak_bytes - alone < LIMIT_BYTES

    warnings = {f"{name}.md": NOTES[name][1] for name in group}
    told: dict[str, list[str]] = {path: [] for path in warnings}
    for warning in done.json["warnings"]:
        told[warning["path"]].append(warning["warning"])
    assert told == warnings
    shown = command(vault.root, "show", "good.md").json
    assert (shown["title"], shown["warnings"]) == ("Neighbour", [])
    assert [fact["content"] for fact in shown["observations"]] == ["neighbour #fine"]
    assert shown["relations"][0]["to_path"] == "good.md"

    never_young(monkeypatch)
    vault.settled_sync()
    assert vault.sync().counters.files_read == 0
    assert vault.project.verify().ok


@pytest.mark.parametrize(("name", "tables"), [("everything", ["observation", "relation"]), ("tags", [])])
def test_as_many_items_as_allowed_are_kept(tmp_path: Path, name: str, tables: list[str]) -> None:
    vault = make_vault(tmp_path / "vault")
    vault.write("many.md", CUT[name][0]())
    vault.sync()
    for table in tables:
        assert vault.rows(f"SELECT count(*) FROM {table}") == [(BOUNDS.max_items,)]
    assert vault.rows("SELECT sum(json_array_length(tags)) FROM observation") == [(BOUNDS.max_items,)]


def test_a_note_that_links_to_itself_is_found_by_each_name(tmp_path: Path) -> None:
    vault = make_vault(tmp_path / "vault")
    vault.write("itself.md", WHOLE["itself"]())
    vault.sync()
    assert vault.rows("SELECT from_id = to_id FROM relation") == [(1,)] * 3


def test_peak_memory_is_that_of_the_sync_and_not_of_whoever_started_it(tmp_path: Path) -> None:
    vault = make_vault(tmp_path / "vault")
    vault.write("good.md", NEIGHBOUR)
    ballast = bytearray(b"x" * 150_000_000)  # a child is born with its parent's memory, and getrusage remembers it
    done = command(vault.root, "sync")
    assert done.json["peak_rss_bytes"] < len(ballast)
