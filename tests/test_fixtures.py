"""The example vault, taken in for real: it shows what its README says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support.vault import Vault

FIXTURES = Path(__file__).parent.parent / "fixtures" / "vault"
OLD = "archive/old laptop/"


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    root = tmp_path_factory.mktemp("fixtures") / "vault"
    shutil.copytree(FIXTURES, root, ignore=shutil.ignore_patterns(".basic-memory"))
    vault = Vault(root)
    vault.report = vault.sync()
    return vault


def test_it_is_taken_in_whole(vault: Vault) -> None:
    assert vault.report.counts == {"added": 71, "modified": 0, "deleted": 0, "moved": 0, "unchanged": 0}
    assert vault.report.failed == []
    assert vault.rows("SELECT kind, COUNT(*) FROM entity GROUP BY kind ORDER BY kind") == [("file", 8), ("note", 63)]


def test_it_verifies(vault: Vault) -> None:
    verification = vault.project.verify()
    assert verification.mismatches == ()
    assert verification.files_checked == 71


def test_problems_of_content_are_warnings(vault: Vault) -> None:
    names = ("Bootslack", "Frame Spacing", "Hive Scale", "Paint Order", "Phone Export", "Survey Visit", "Untitled")
    warned = {path.decode().removeprefix(OLD).removesuffix(".md") for path, _ in vault.report.warnings}
    assert warned == set(names)


def test_ignore_rules_and_their_negations_hold(vault: Vault) -> None:
    known = set(vault.index)
    assert known >= {b"drafts/keep.md", b"workshop/kiln.log"}
    left_out = {b"drafts/tender.md", b"drafts/spring letter.md", b"boats/bilge.log", b"workshop/offcuts/labels.md"}
    assert not known & left_out
    assert not [path for path in known if b"/." in path or path.startswith(b".") or path.endswith(b"~")]


def test_composed_and_decomposed_names_stay_two(vault: Vault) -> None:
    assert {"places/harbour/Café.md".encode(), "recipes/Cafe\u0301.md".encode()} <= set(vault.index)


def test_colliding_permalinks_are_told_apart(vault: Vault) -> None:
    query = "SELECT permalink FROM entity WHERE file_path LIKE 'boats/wagtail/systems/%ilge%ump.md' ORDER BY file_path"
    assert vault.rows(query) == [
        ("boats/wagtail/systems/bilge-pump",),
        ("boats/wagtail/systems/bilge-pump-1",),
    ]


def test_links_to_a_title_of_two_notes_are_unresolved(vault: Vault) -> None:
    assert vault.rows("SELECT DISTINCT to_id FROM relation WHERE target = 'Log'") == [(None,)]


def test_ids_are_those_of_git(vault: Vault) -> None:
    paths = list(vault.index)
    done = subprocess.run(
        ["git", "hash-object", "--no-filters", "--stdin-paths"],
        cwd=vault.root,
        input=b"\n".join(b'"%b"' % path if path.startswith(b'"') else path for path in paths),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().split() == [vault.index[path].blob_id.hex() for path in paths]
