"""`bm-gitindex import-basic-memory`: what it prints, and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bm_gitindex import cli
from support.basicmemory import GONE, NOTES, PROJECT
from support.importing import STORED

if TYPE_CHECKING:
    from support.basicmemory import TheirDatabase
    from support.vault import Vault

pytestmark = pytest.mark.sqlite_file


def run(garden: Vault, theirs: TheirDatabase, *arguments: str, project: str = PROJECT) -> int:
    return cli.main(["-C", str(garden.root), "import-basic-memory", *arguments, str(theirs.path), project])


def test_json_has_every_count_and_what_was_left(
    garden: Vault, theirs: TheirDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs.update("beds/North Bed.md", "permalink", "garden/elsewhere")
    theirs.update("Soil.md", "external_id", "none")
    assert run(garden, theirs, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("seconds") >= 0
    assert told == {
        "root": str(garden.root),
        "project": PROJECT,
        "adopted": len(NOTES) - 1,
        "unchanged": 0,
        "conflicts": [
            {
                "path": "beds/North Bed.md",
                "field": "permalink",
                "theirs": "garden/elsewhere",
                "ours": "north",
                "reason": "its front matter states 'north'",
            }
        ],
        "not_found": [GONE],
        "skipped": [{"path": "Soil.md", "reason": "its external id is no UUID"}],
        "failed": [],
        "links_before": 5,
        "links_after": 6,
        "notices": [],
        "synced": {"added": len(NOTES), "modified": 0, "deleted": 0, "moved": 0, "unchanged": 0},
    }


def test_people_are_told_in_a_line_and_then_that_nothing_is_left(
    garden: Vault, theirs: TheirDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(garden, theirs) == 0
    first = capsys.readouterr().out.splitlines()
    assert first[0] == f"not found: {GONE}"
    assert first[-1].startswith(f"{len(NOTES)} adopted from garden (0 unchanged, 1 not found) in ")
    assert run(garden, theirs) == 0
    assert f"nothing to adopt from garden ({len(NOTES)} unchanged" in capsys.readouterr().out


def test_a_dry_run_says_what_it_would_do(
    garden: Vault, theirs: TheirDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    garden.sync()
    before = garden.rows(STORED)
    assert run(garden, theirs, "--dry-run") == 0
    assert f"an import would find: {len(NOTES)} adopted from garden" in capsys.readouterr().out
    assert garden.rows(STORED) == before


def test_the_wrong_project_is_told_with_its_place(
    garden: Vault, theirs: TheirDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs.execute("UPDATE entity SET file_path = 'x/' || file_path")
    assert run(garden, theirs) == 0
    assert "basic-memory has the project in /home/ann/garden" in capsys.readouterr().out


def test_an_unknown_project_is_a_matter_of_usage(
    garden: Vault, theirs: TheirDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(garden, theirs, project="shop") == 2
    assert "its projects: 'garden', 'main', 'shed'" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_told_and_the_rest_is_imported(
    garden: Vault, theirs: TheirDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bm_gitindex.worktree.tree import Tree

    whole = Tree.open_file

    def refusing(tree: Tree, path: bytes) -> int:
        if path == b"Soil.md":
            raise PermissionError(13, "Permission denied")
        return whole(tree, path)

    monkeypatch.setattr(Tree, "open_file", refusing)
    assert run(garden, theirs) == 3
    told = capsys.readouterr()
    assert "Soil.md: cannot be read" in told.err
    assert f"{len(NOTES) - 1} adopted" in told.out
