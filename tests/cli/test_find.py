"""`find` and `links`: what a user asks of the entities."""

from __future__ import annotations

import codecs
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.cli.find import since
from bm_gitindex.errors import UsageError

if TYPE_CHECKING:
    from support.commands import Run
    from support.vault import Vault

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LATIN_1 = "---\ntitle: Caf\xe9\n---\n- [drink] cr\xe8me #hot\n".encode("latin-1")
PROBLEMS = {
    "bad-yaml.md": (b"---\ntitle: [unclosed\n---\n- [fact] kept #tag\n", "front matter is not readable"),
    "rule.md": (
        b"---\n\nA rule stands first, and nothing is wrong with that.\n\n---\n- [fact] kept\n",
        "front matter has no keys, taken as text",
    ),
    "bad-date.md": (b"---\ncreated: yesterday\n---\n- [fact] kept\n", "created ignored: not an ISO 8601 date"),
    "latin-1.md": (LATIN_1, "not UTF-8: read as Windows-1252"),
    "utf-16.md": (codecs.BOM_UTF16_LE + "- [fact] kept\n".encode("utf-16-le"), "not UTF-8: read as UTF-16"),
}
"""Notes that basic-memory leaves out, or reads as something else, with what is said of them here."""


@pytest.mark.parametrize(("content", "warning"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_note_with_a_problem_is_there_and_every_command_says_what_it_is(
    vault: Vault, run: Run, content: bytes, warning: str
) -> None:
    vault.write("problem.md", content)
    report = run("sync", "--json")
    assert run.code == 0
    (told,) = report.json["warnings"]
    assert told["path"] == "problem.md"
    assert warning in told["warning"]
    assert warning.encode() in run("show", "problem.md").output
    assert warning in run("show", "problem.md", "--json").json["warnings"][0]
    assert run("show", "problem.md", "--json").json["observations"]
    found = run("find", "--warnings").output.decode()
    assert found.startswith("problem.md  ")
    assert f"  warning: {warning}" in found
    (entity,) = run("find", "--warnings", "--json").json["entities"]
    assert warning in entity["warnings"][0]


def test_find_lists_what_meets_every_condition(synced: Vault, run: Run) -> None:
    synced.write("three.md", "---\ntype: spec\nstatus: done\ntags: [a, b]\n---\n")
    run("sync")
    assert run("find").output.decode().splitlines() == [
        "one.md  One (note) #a",
        "sub/two.md  Two (note)",
        "three.md  three (spec) #a #b",
    ]
    assert run("find", "--type", "spec", "--tag", "a", "--tag", "#b", "--meta", "status=done").output.startswith(
        b"three.md"
    )
    assert run("find", "--tag", "nature").output.startswith(b"one.md")
    assert run("find", "--limit", "1").output.count(b"\n") == 1
    assert run("find", "--since", "2099-01-01").output == b""
    assert run.code == 0
    assert run("find", "--since", "1h").output.count(b"\n") == 3


def test_find_in_json_is_one_object(synced: Vault, run: Run) -> None:
    entities = run("find", "--json").json["entities"]
    assert [entity["file_path"] for entity in entities] == ["one.md", "sub/two.md"]
    assert entities[0].keys() == {
        *("id", "external_id", "title", "type", "permalink", "file_path", "kind", "updated_at", "tags", "warnings"),
    }
    assert run("find", "--type", "none", "--json").json == {"entities": []}


@pytest.mark.parametrize(
    ("when", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2026-01-02", datetime(2026, 1, 2).astimezone(UTC)),
        ("30m", NOW - timedelta(minutes=30)),
        ("24h", NOW - timedelta(days=1)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(days=14)),
    ],
)
def test_a_time_is_a_date_or_an_age(when: str, moment: datetime) -> None:
    assert since(when, NOW) == moment


@pytest.mark.parametrize("when", ["", "yesterday", "7", "7y", "999999w", "2026-13-01"])
def test_any_other_time_is_refused(when: str) -> None:
    with pytest.raises(UsageError, match="is neither a date or time"):
        since(when, NOW)


@pytest.mark.parametrize(
    "arguments",
    [
        ("find", "--meta", "status"),
        ("find", "--meta", "=x"),
        ("find", "--limit", "0"),
        ("find", "--since", "soon"),
        ("find", *["--tag=a"] * 51),
        ("links",),
        ("links", "--unresolved", "one.md"),
        ("links", "--orphans", "--unresolved"),
        ("links", "one.md", "--depth", "0"),
    ],
)
def test_a_question_that_makes_no_sense_is_exit_2(synced: Vault, run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).code == 2
    assert run.errors.count(b"\n") == 1


def test_links_of_an_entity_go_both_ways(synced: Vault, run: Run) -> None:
    synced.write("three.md", "- about [[sub/two]]\n- about [[nothing]]\n")
    run("sync")
    assert run("links", "one").output == b"1  one.md relates_to -> sub/two.md\n"
    assert run("links", "one.md", "--depth", "2").output.decode().splitlines() == [
        "1  one.md relates_to -> sub/two.md",
        "2  three.md about -> sub/two.md",
    ]
    found = run("links", "one", "--depth", "2", "--json").json
    assert (found["file_path"], found["cut"]) == ("one.md", False)
    assert [(one["file_path"], one["distance"], one["relation"], one["direction"]) for one in found["neighbours"]] == [
        ("sub/two.md", 1, "relates_to", "out"),
        ("three.md", 2, "about", "in"),
    ]
    assert run("links", "absent").code == 1


def test_links_that_lead_nowhere_and_notes_that_nothing_is_linked_with(synced: Vault, run: Run) -> None:
    synced.write("alone.md", "- about [[nothing|an alias]]\n")
    run("sync")
    assert run("links", "--unresolved").output == b"alone.md  about -> nothing|an alias\n"
    assert run("links", "--unresolved", "--json").json == {
        "unresolved": [
            {"from_path": "alone.md", "from_permalink": "alone", "type": "about", "target": "nothing|an alias"}
        ]
    }
    assert run("links", "--orphans").output == b"alone.md  alone (note)\n"
    assert [one["file_path"] for one in run("links", "--orphans", "--json").json["orphans"]] == ["alone.md"]
    assert run("links", "alone").output == b"nothing is linked with alone.md\n"


def test_more_links_than_are_shown_are_told(synced: Vault, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    synced.write("three.md", "- about [[sub/two]]\n")
    run("sync")
    monkeypatch.setattr("bm_gitindex.cli.links._MOST_SHOWN", 1)
    assert run("links", "sub/two").output.count(b"\n") == 1
    assert b"more than 1" in run.errors


def test_a_terminal_is_not_commanded_by_what_is_found(vault: Vault, run: Run) -> None:
    title = "\\e[2J"
    vault.write(
        "evil\x1b[2J.md",
        f'---\ntitle: "{title}"\ntags: ["{title}"]\ntype: "{title}"\n---\n- "{chr(27)}x" [[\x1b[1m]]\n',
    )
    run("sync")
    for command in (("find",), ("links", "--unresolved"), ("links", "--orphans"), ("links", os.listdir(vault.root)[0])):
        assert b"\x1b" not in run(*command).output


@pytest.mark.parametrize(
    "arguments", [("find", "--type", "\udcff"), ("find", "--tag", "a\udcff"), ("find", "--tag", "a\0")]
)
def test_what_no_database_can_hold_is_found_nowhere(synced: Vault, run: Run, arguments: tuple[str, ...]) -> None:
    assert (run(*arguments).output, run.code) == (b"", 0)


def test_before_a_sync_there_is_nothing_to_find(vault: Vault, run: Run) -> None:
    assert run("find").code == 1
    assert b"bm-gitindex sync" in run.errors
