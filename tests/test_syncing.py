from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bm_gitindex as bmg
from bm_gitindex import BmGitIndexError, Options
from bm_gitindex.entities.store import EntityStore
from bm_gitindex.errors import (
    LockHeldError,
    SafetyStopError,
    SchemaUnsupportedError,
    StateFolderError,
    StateWriteError,
    UsageError,
)
from bm_gitindex.index.entry import blob_id
from bm_gitindex.indexlock import IndexLock, lock_index
from bm_gitindex.notes import shape
from bm_gitindex.worktree.tree import Tree
from support.dating import date_index
from support.faults import DENIED, deny_file, deny_folder
from support.vault import Vault, never_young, paths_of, young_for_an_hour

if TYPE_CHECKING:
    from collections.abc import Callable

DISAGREE = "index and database do not belong together: both are compared with the files"
NOTE = "---\ntitle: One\n---\n- [fact] water is wet #nature\n- relates_to [[Two]]\n"


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, database_kind: str) -> Vault:
    """A small vault in which every file counts as old, in an SQLite file and on a server."""
    never_young(monkeypatch)
    database = request.getfixturevalue("served_database") if database_kind == "postgresql" else None
    vault = Vault(tmp_path / "vault", database=database)
    vault.write("one.md", NOTE)
    vault.write("sub/two.md", "---\ntitle: Two\n---\n")
    vault.write("sub/picture.png", b"\x89PNG")
    return vault


def counts(vault: Vault, *paths: str, **request: object) -> dict[str, int]:
    return {name: count for name, count in vault.sync(*paths, **request).counts.items() if count}


def many(vault: Vault, count: int = 30, folder: str = "many") -> None:
    for number in range(count):
        vault.write(f"{folder}/note {number:03}.md", f"# Note {number}\n\n[[One]] #n{number}\n")


def cold_meaning(vault: Vault, tmp_path: Path) -> dict[str, object]:
    """What a first sync of the same files says; a copy that keeps mtimes, since rows hold them."""
    copy = tmp_path / "cold"
    shutil.copytree(vault.root, copy, symlinks=True, ignore=shutil.ignore_patterns(".basic-memory"))
    cold = Vault(copy, vault.options._replace(database_url=None))  # whatever the database, it says the same
    cold.sync()
    return cold.meaning()


def opening_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Tree, path: bytes) -> int:
        if not path.endswith(b".gitignore"):
            pytest.fail(f"{path!r} was opened")
        raise DENIED

    monkeypatch.setattr(Tree, "open_file", refuse)


class TestOrdinarySync:
    def test_a_first_sync_adds_everything(self, vault: Vault) -> None:
        report = vault.sync()
        assert report.counts == {"added": 3, "modified": 0, "deleted": 0, "moved": 0, "unchanged": 0}
        assert (report.counters.files_read, report.files_parsed, report.entities_written) == (3, 2, 3)
        assert [path for (path,) in vault.rows("SELECT file_path FROM entity ORDER BY 1")] == [
            "one.md",
            "sub/picture.png",
            "sub/two.md",
        ]

    def test_a_settled_clean_tree_is_not_read_and_not_a_byte_is_written(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault.settled_sync()
        before = vault.state_bytes()
        opening_fails(monkeypatch)
        report = vault.sync()
        assert report.counts["unchanged"] == 3
        assert report.counters.files_read == 0
        assert vault.state_bytes() == before

    async def test_a_settled_clean_tree_costs_no_reading_and_no_writing_in_an_event_loop_either(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await vault.project.sync()
        vault.age_index()
        before = vault.state_bytes()
        opening_fails(monkeypatch)
        report = await vault.project.sync()
        assert report.counts == {"added": 0, "modified": 0, "deleted": 0, "moved": 0, "unchanged": 3}
        assert vault.state_bytes() == before

    def test_a_young_file_is_looked_at_once_more_and_then_settled(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        young_for_an_hour(monkeypatch)
        by_mtime = Options(trust_ctime=False, trust_filemode=True, check_stat="default")
        vault = Vault(tmp_path / "vault", by_mtime)
        file = vault.write("one.md", NOTE)
        assert vault.sync().counters.files_read == 1
        assert vault.index[b"one.md"].stat.size == 0
        ago_ns = time.time_ns() - 10_000_000_000_000
        os.utime(file, ns=(ago_ns, ago_ns))
        report = vault.sync()
        assert (report.counters.files_read, report.files_parsed) == (1, 0)
        assert vault.index[b"one.md"].stat.size == len(NOTE)
        assert vault.sync().counters.files_read == 0

    def test_one_edit_reads_and_parses_one_file(self, vault: Vault) -> None:
        vault.settled_sync()
        vault.write("one.md", NOTE + "- [fact] fire is hot\n")
        report = vault.sync()
        assert report.counts == {"added": 0, "modified": 1, "deleted": 0, "moved": 0, "unchanged": 2}
        assert (report.counters.files_read, report.files_parsed, report.entities_written) == (1, 1, 1)

    def test_an_edit_of_the_same_size_with_its_mtime_put_back_is_found_by_ctime(self, vault: Vault) -> None:
        vault.settled_sync()
        st = os.stat(vault.root / "one.md")
        vault.write("one.md", NOTE.replace("wet", "dry"))
        os.utime(vault.root / "one.md", ns=(st.st_atime_ns, st.st_mtime_ns))
        assert counts(vault) == {"modified": 1, "unchanged": 2}

    def test_a_touched_file_is_read_and_not_parsed_and_its_row_gets_the_new_mtime(self, vault: Vault) -> None:
        vault.settled_sync()
        os.utime(vault.root / "one.md", ns=(5, 1_600_000_000_000_000_007))
        report = vault.sync()
        assert report.counts["unchanged"] == 3
        assert (report.counters.files_read, report.files_parsed) == (1, 0)
        assert vault.rows("SELECT mtime_ns FROM entity WHERE file_path = 'one.md'") == [(1_600_000_000_000_000_007,)]

    def test_an_executable_bit_is_a_modification_and_nothing_is_parsed(self, vault: Vault) -> None:
        vault.settled_sync()
        (vault.root / "one.md").chmod(0o755)
        report = vault.sync()
        assert (report.counts["modified"], report.files_parsed) == (1, 0)
        assert vault.index[b"one.md"].stat.mode == 0o100755

    def test_a_deleted_file_is_deleted(self, vault: Vault) -> None:
        vault.settled_sync()
        (vault.root / "one.md").unlink()
        assert counts(vault) == {"deleted": 1, "unchanged": 2}
        assert b"one.md" not in vault.index
        assert "one.md" not in vault.ids()

    def test_links_resolve_when_their_target_appears_and_fall_back_when_it_goes(self, vault: Vault) -> None:
        target = "SELECT aim.file_path FROM relation LEFT JOIN entity AS aim ON aim.id = to_id"
        (vault.root / "sub/two.md").unlink()
        vault.sync()
        assert vault.rows(target) == [(None,)]
        vault.write("sub/two.md", "---\ntitle: Two\n---\n")
        vault.sync()
        assert vault.rows(target) == [("sub/two.md",)]
        (vault.root / "sub/two.md").unlink()
        vault.sync()
        assert vault.rows(target) == [(None,)]

    def test_a_file_that_comes_to_be_ignored_is_deleted(self, vault: Vault) -> None:
        vault.settled_sync()
        vault.write(".gitignore", "*.png\n")
        assert counts(vault) == {"deleted": 1, "unchanged": 2}

    def test_a_file_that_became_a_symlink_is_deleted_and_skipped(self, vault: Vault) -> None:
        vault.settled_sync()
        (vault.root / "one.md").unlink()
        (vault.root / "one.md").symlink_to("sub/two.md")
        report = vault.sync()
        assert report.counts["deleted"] == 1
        assert paths_of(report.skipped) == [b"one.md"]

    def test_names_that_are_not_utf8_are_kept(self, vault: Vault) -> None:
        with open(os.path.join(os.fsencode(vault.root), b"caf\xe9.md"), "wb") as file:
            file.write(b"text")
        vault.sync()
        assert b"caf\xe9.md" in vault.index
        assert "caf//e9.md" in vault.ids()

    def test_users_files_are_left_as_they_are(self, vault: Vault) -> None:
        def looks() -> dict[str, tuple[int, int, bytes]]:
            files = [path for path in vault.root.rglob("*") if path.is_file() and ".basic-memory" not in path.parts]
            return {str(p): (p.stat().st_mtime_ns, p.stat().st_ctime_ns, p.read_bytes()) for p in files}

        before = looks()
        vault.sync()
        vault.sync(paranoid=True)
        assert looks() == before

    @pytest.mark.sqlite_file
    def test_the_state_folder_is_for_the_user_alone(self, vault: Vault) -> None:
        vault.sync()
        assert vault.state_path.stat().st_mode & 0o777 == 0o700
        modes = {path.name: path.stat().st_mode & 0o777 for path in vault.state_path.iterdir()}
        assert set(modes) == {".gitignore", "entities.db", "index", "index.own", "lock"}
        assert set(modes.values()) == {0o600}
        assert (vault.state_path / ".gitignore").read_text() == "*\n"


class TestMoves:
    def test_a_moved_folder_is_not_opened_and_keeps_its_ids(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        many(vault)
        vault.settled_sync()
        before = vault.ids()
        (vault.root / "many").rename(vault.root / "few")
        opening_fails(monkeypatch)
        report = vault.sync()
        assert (report.counts["moved"], report.counts["unchanged"], report.files_parsed) == (30, 3, 0)
        assert {str(p).replace("few/", "many/"): i for p, i in vault.ids().items()} == before

    def test_a_renamed_file_is_read_once_and_not_parsed(self, vault: Vault) -> None:
        vault.settled_sync()
        before = vault.ids()
        (vault.root / "one.md").rename(vault.root / "sub/uno.md")
        report = vault.sync()
        assert report.counts["moved"] == 1
        assert (report.counters.files_read, report.files_parsed) == (1, 0)
        assert vault.ids()["sub/uno.md"] == before["one.md"]

    def test_a_note_renamed_to_another_kind_keeps_its_id_and_loses_its_observations(self, vault: Vault) -> None:
        vault.settled_sync()
        before = vault.ids()
        (vault.root / "one.md").rename(vault.root / "one.txt")
        assert counts(vault) == {"moved": 1, "unchanged": 2}
        assert vault.ids()["one.txt"] == before["one.md"]
        assert vault.rows("SELECT COUNT(*) FROM observation") == [(0,)]
        vault.age_index()
        (vault.root / "one.txt").rename(vault.root / "one.md")
        vault.sync()
        assert vault.ids() == before
        assert vault.rows("SELECT COUNT(*) FROM observation") == [(1,)]

    def test_incoming_relations_follow_a_moved_note(self, vault: Vault) -> None:
        vault.settled_sync()
        (vault.root / "sub/two.md").rename(vault.root / "deux.md")
        vault.sync()
        assert vault.rows("SELECT file_path FROM relation JOIN entity ON entity.id = to_id") == [("deux.md",)]

    def test_a_title_made_from_the_name_follows_it(self, vault: Vault) -> None:
        vault.write("untitled.md", "no header\n")
        vault.settled_sync()
        (vault.root / "untitled.md").rename(vault.root / "renamed.md")
        vault.sync()
        assert vault.rows("SELECT title FROM entity WHERE file_path = 'renamed.md'") == [("renamed",)]

    def test_swapped_folders_are_found_changed(self, vault: Vault, tmp_path: Path) -> None:
        vault.write("a/x.md", "in a\n")
        vault.write("b/x.md", "in b\n")
        vault.settled_sync()
        (vault.root / "a").rename(vault.root / "c")
        (vault.root / "b").rename(vault.root / "a")
        (vault.root / "c").rename(vault.root / "b")
        vault.sync()
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    def test_moved_and_edited_beyond_recognition_is_deleted_and_added_with_one_reading(self, vault: Vault) -> None:
        vault.settled_sync()
        (vault.root / "one.md").unlink()
        vault.write("eno.md", NOTE[::-1])
        report = vault.sync()
        assert (report.counts["deleted"], report.counts["added"], report.counters.files_read) == (1, 1, 1)


class TestPartialSync:
    def test_only_the_paths_that_were_asked_for_are_taken_in(self, vault: Vault) -> None:
        vault.settled_sync()
        vault.write("one.md", "edited\n")
        vault.write("sub/two.md", "edited\n")
        vault.write("sub/three.md", "new\n")
        (vault.root / "sub/picture.png").unlink()
        assert counts(vault, "sub") == {"added": 1, "modified": 1, "deleted": 1}
        assert [change.path for change in vault.status().changes] == [b"one.md"]

    def test_a_path_that_is_gone_is_deleted(self, vault: Vault) -> None:
        vault.settled_sync()
        shutil.rmtree(vault.root / "sub")
        assert counts(vault, "sub/two.md") == {"deleted": 1}
        assert sorted(vault.index) == [b"one.md", b"sub/picture.png"]

    def test_racy_entries_outside_of_it_are_not_blessed(self, vault: Vault) -> None:
        vault.settled_sync()
        vault.sync()
        os.utime(vault.index_path, (1, 1))  # T long before any file: all are racy
        vault.write("one.md", "edited\n")
        vault.sync("one.md")
        assert vault.index[b"sub/two.md"].stat.size == 0
        assert vault.index[b"one.md"].stat.size == len("edited\n")

    def test_the_root_itself_stands_for_the_whole_project(self, vault: Vault) -> None:
        assert counts(vault, ".") == {"added": 3}

    def test_a_file_that_became_a_folder_is_gone_when_its_content_is_asked_for(
        self, vault: Vault, tmp_path: Path
    ) -> None:
        vault.settled_sync()
        (vault.root / "one.md").unlink()
        vault.write("one.md/inner.md", "inner\n")
        assert counts(vault, "one.md/inner.md") == {"added": 1, "deleted": 1}
        assert not vault.status().changes
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    def test_a_folder_that_became_a_file_is_gone_when_its_content_is_asked_for(
        self, vault: Vault, tmp_path: Path
    ) -> None:
        vault.settled_sync()
        shutil.rmtree(vault.root / "sub")
        vault.write("sub", "a file\n")
        vault.sync("sub/two.md")
        assert sorted(vault.index) == [b"one.md", b"sub"]
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    def test_a_path_outside_of_the_root_is_refused(self, vault: Vault) -> None:
        with pytest.raises(bmg.BmGitIndexError, match="outside"):
            vault.sync("../elsewhere")

    def test_with_a_damaged_index_any_path_may_be_one_that_it_knew(self, vault: Vault, tmp_path: Path) -> None:
        vault.settled_sync()
        (vault.root / "one.md").unlink()
        assert bmg.status(vault.root, ["one.md"]).changes == vault.status().changes
        with pytest.raises(UsageError, match=r"none\.md is neither in the project nor in its index"):
            vault.sync("none.md")
        vault.index_path.write_bytes(b"damaged")
        assert counts(vault, "one.md") == {"deleted": 1, "unchanged": 2}
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    def test_without_a_match_a_partial_sync_becomes_a_full_one(self, vault: Vault) -> None:
        assert counts(vault, "one.md") == {"added": 3}


class TestLostAndRestored:
    def test_a_lost_index_costs_reading_and_no_parsing(self, vault: Vault, tmp_path: Path) -> None:
        vault.settled_sync()
        before = vault.ids()
        vault.index_path.unlink()
        report = vault.sync()
        assert report.counts == {"added": 0, "modified": 0, "deleted": 0, "moved": 0, "unchanged": 3}
        assert (report.files_parsed, vault.ids()) == (0, before)
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    def test_a_lost_database_is_built_anew(self, vault: Vault, tmp_path: Path) -> None:
        vault.settled_sync()
        vault.lose_database()
        report = vault.sync()
        assert (report.counts["added"], report.counts["unchanged"], report.files_parsed) == (0, 3, 2)
        assert vault.meaning() == cold_meaning(vault, tmp_path)
        vault.age_index()
        assert vault.sync().counters.files_read == 0

    def test_a_row_that_is_missing_costs_no_other_row_its_id(self, vault: Vault) -> None:
        vault.settled_sync()
        before = vault.ids()
        vault.execute("DELETE FROM entity WHERE file_path = 'one.md'")
        os.utime(vault.root / "one.md")
        report = vault.sync()
        assert report.counts["unchanged"] == 3
        assert not list(vault.state_path.glob("*.corrupt-*"))
        assert {path: entity_id for path, entity_id in vault.ids().items() if path != "one.md"} == {
            path: entity_id for path, entity_id in before.items() if path != "one.md"
        }

    def test_both_lost_is_a_first_sync(self, vault: Vault) -> None:
        vault.settled_sync()
        vault.lose_database()
        shutil.rmtree(vault.state_path)
        assert counts(vault) == {"added": 3}

    def test_with_the_index_lost_a_move_and_a_deletion_are_still_told_from_the_database(self, vault: Vault) -> None:
        many(vault, 5)
        vault.settled_sync()
        before = vault.ids()
        vault.index_path.unlink()
        (vault.root / "one.md").rename(vault.root / "uno.md")
        (vault.root / "many/note 000.md").unlink()
        vault.write("sub/two.md", "edited\n")
        assert counts(vault) == {"moved": 1, "deleted": 1, "modified": 1, "unchanged": 5}
        assert vault.ids()["uno.md"] == before["one.md"]

    @pytest.mark.sqlite_file
    @pytest.mark.parametrize("store", ["index", "database"])
    def test_an_older_copy_of_one_store_is_reconciled(self, vault: Vault, tmp_path: Path, store: str) -> None:
        vault.settled_sync()
        path = vault.index_path if store == "index" else vault.database_path
        old_copy = tmp_path / "old"
        shutil.copy2(path, old_copy)
        vault.write("one.md", "edited\n")
        vault.write("new.md", "new\n")
        (vault.root / "sub/picture.png").unlink()
        vault.sync()
        shutil.copy2(old_copy, path)
        report = vault.sync()
        assert report.notices
        assert vault.meaning() == cold_meaning(vault, tmp_path)
        assert not vault.status().changes

    @pytest.mark.sqlite_file
    def test_a_file_that_moved_keeps_its_id_in_a_database_of_before_the_move(
        self, vault: Vault, tmp_path: Path
    ) -> None:
        vault.settled_sync()
        before = vault.ids()
        old_copy = tmp_path / "old"
        shutil.copy2(vault.database_path, old_copy)
        (vault.root / "one.md").rename(vault.root / "uno.md")
        vault.settled_sync()
        shutil.copy2(old_copy, vault.database_path)
        assert counts(vault) == {"moved": 1, "unchanged": 2}
        assert vault.ids()["uno.md"] == before["one.md"]
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    @pytest.mark.sqlite_file
    def test_a_copied_folder_is_a_project_of_its_own(self, vault: Vault, tmp_path: Path) -> None:
        vault.settled_sync()
        copy = Vault(tmp_path / "copy")
        shutil.rmtree(copy.root)
        shutil.copytree(vault.root, copy.root)
        copy.write("one.md", "edited\n")
        assert copy.sync().counts["modified"] == 1
        assert copy.meaning() == cold_meaning(copy, tmp_path)

    def test_another_machines_index_proves_nothing(self, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
        vault.settled_sync()
        monkeypatch.setattr("bm_gitindex.indexfile.machine_id", lambda: "another")
        assert vault.sync().counters.files_read == 3
        vault.age_index()
        assert vault.sync().counters.files_read == 0

    def test_a_clock_that_was_set_back_makes_everything_racy(self, vault: Vault) -> None:
        vault.settled_sync()
        date_index(vault.index_path, time.time_ns() + 1000 * 10**9)
        assert vault.sync().counters.files_read == 3

    @pytest.mark.parametrize(
        "damage",
        [lambda data: b"", lambda data: data[:-1], lambda data: b"x" + data[1:], lambda data: data[:40] + data[41:]],
    )
    def test_a_damaged_index_is_kept_aside_and_built_anew(
        self, vault: Vault, tmp_path: Path, damage: Callable[[bytes], bytes]
    ) -> None:
        vault.settled_sync()
        damaged = damage(vault.index_path.read_bytes())
        vault.index_path.write_bytes(damaged)
        with pytest.raises(BmGitIndexError) as caught:
            vault.status()
        assert caught.value.exit_code == 6
        assert vault.index_path.read_bytes() == damaged
        report = vault.sync()
        assert "index.corrupt-1" in report.notices[0]
        assert (vault.state_path / "index.corrupt-1").read_bytes() == damaged
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    @pytest.mark.sqlite_file
    @pytest.mark.parametrize("start", [0, 100, 4096, 5000])
    def test_a_damaged_database_is_kept_aside_and_built_anew(self, vault: Vault, tmp_path: Path, start: int) -> None:
        many(vault)
        vault.settled_sync()
        data = bytearray(vault.database_path.read_bytes())
        data[start : start + 20_000] = os.urandom(20_000)
        vault.database_path.write_bytes(data)
        vault.write("one.md", "edited\n")
        report = vault.sync()
        assert "entities.db.corrupt-1" in report.notices[0]
        assert (vault.state_path / "entities.db.corrupt-1").exists()
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    @pytest.mark.sqlite_file
    @pytest.mark.parametrize("loss", ["DELETE FROM alembic_version", "DROP TABLE alembic_version"])
    def test_a_database_whose_schema_has_no_revision_is_kept_aside_and_built_anew(
        self, vault: Vault, tmp_path: Path, loss: str
    ) -> None:
        vault.settled_sync()
        vault.execute(loss)
        report = vault.sync()
        assert "entities.db.corrupt-1" in report.notices[-1]
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    @pytest.mark.sqlite_file
    def test_what_lies_beside_a_damaged_database_is_kept_aside_with_it(self, vault: Vault, tmp_path: Path) -> None:
        vault.settled_sync()
        vault.database_path.write_bytes(b"no database " * 1000)
        for ending in ("-wal", "-shm"):
            (vault.state_path / f"entities.db{ending}").write_bytes(b"of the old one")
        vault.sync()
        assert vault.meaning() == cold_meaning(vault, tmp_path)
        assert (vault.state_path / "entities.db-wal.corrupt-1").read_bytes() == b"of the old one"
        assert (vault.state_path / "entities.db-shm.corrupt-1").exists()
        assert sorted(path.name for path in vault.state_path.glob("entities.db*") if "corrupt" not in path.name) == [
            "entities.db"
        ]

    def test_a_newer_schema_is_refused_and_nothing_is_touched(self, vault: Vault) -> None:
        vault.settled_sync()
        vault.execute("UPDATE alembic_version SET version_num = '9999'")
        before = vault.state_bytes()
        for act in (vault.sync, vault.project.rehearse_sync):
            with pytest.raises(SchemaUnsupportedError, match="newer"):
                act()
        assert vault.state_bytes() == before

    def test_a_rehearsal_of_some_paths_looks_at_all_where_a_sync_would(self, vault: Vault) -> None:
        vault.settled_sync()
        vault.write("new.md")
        (vault.root / "one.md").unlink()
        assert vault.project.rehearse_sync(["new.md"]).counts["deleted"] == 0
        vault.lose_database()
        assert vault.project.rehearse_sync(["new.md"]).counts["deleted"] == 1

    def test_a_path_that_is_none_is_a_wrong_question(self, vault: Vault) -> None:
        with pytest.raises(UsageError, match="is no path"):
            vault.status("a\0b")

    def test_another_parser_parses_every_note_again_and_keeps_ids(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault.settled_sync()
        before = vault.ids()
        monkeypatch.setattr("bm_gitindex.notes.shape.PARSER_VERSION", shape.PARSER_VERSION + 1)
        report = vault.sync()
        assert (report.files_parsed, report.counters.files_read, report.counts["unchanged"]) == (2, 2, 3)
        assert vault.ids() == before
        assert vault.sync().files_parsed == 0

    def test_an_option_that_shapes_notes_is_applied_to_all_of_them(self, vault: Vault, tmp_path: Path) -> None:
        vault.write("plain.txt", NOTE.replace("One", "Three"))
        vault.settled_sync()
        vault.options = Options(note_suffixes=(".md", ".txt"))
        vault.sync()
        assert vault.meaning() == cold_meaning(vault, tmp_path)


class TestCrash:
    @pytest.mark.parametrize("step", ["open_tie", "remove", "move", "put", "resolve_links", "close_tie"])
    def test_the_next_sync_repairs_what_a_crash_left(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        many(vault)
        vault.write("plain.txt", "- [fact] of a file\n")
        vault.write("note.md", "- [fact] of a note\n")
        vault.settled_sync()
        (vault.root / "one.md").unlink()
        (vault.root / "many").rename(vault.root / "few")
        (vault.root / "plain.txt").rename(vault.root / "plain.md")
        (vault.root / "note.md").rename(vault.root / "note.txt")
        vault.write("sub/two.md", "edited\n")
        real = getattr(EntityStore, step)

        async def crash_after(self: EntityStore, *arguments: object) -> object:
            await real(self, *arguments)
            raise RuntimeError("crash")

        with monkeypatch.context() as patch:
            patch.setattr(EntityStore, step, crash_after)
            with pytest.raises(RuntimeError, match="crash"):
                vault.sync()
        assert not (vault.state_path / "index.lock").exists()
        vault.sync()
        assert vault.meaning() == cold_meaning(vault, tmp_path)
        assert vault.sync().entities_written == 0

    def test_a_crash_between_the_stores_is_noticed_by_the_tie(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault.settled_sync()
        vault.write("one.md", "edited\n")

        def crash(self: IndexLock, data: bytes) -> None:
            raise StateWriteError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(IndexLock, "commit", crash)
            with pytest.raises(StateWriteError):
                vault.sync()
        vault.write("one.md", NOTE)
        report = vault.sync()
        assert report.notices
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    def test_a_tie_that_was_left_open_is_closed_without_reading_or_writing_what_agrees(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault.settled_sync()
        vault.execute("UPDATE project SET tie_closed = FALSE")
        index, ids = vault.index_path.read_bytes(), vault.ids()
        with monkeypatch.context() as patch:
            opening_fails(patch)
            report = vault.sync()
            assert report.notices == [DISAGREE]
            assert report.counts["unchanged"] == 3
            assert vault.sync().notices == []
        assert (vault.index_path.read_bytes(), vault.ids()) == (index, ids)
        assert vault.rows("SELECT tie_closed FROM project") == [(1,)]

    async def test_a_cancelled_sync_leaves_no_lock_and_keeps_what_was_committed(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        many(vault)
        monkeypatch.setattr("bm_gitindex.syncing.intake.BATCH_FILES", 5)
        stored = asyncio.Event()
        real = EntityStore.put

        async def put_and_tell(self: EntityStore, changes: list[object]) -> int:
            written = await real(self, changes)  # type: ignore[arg-type]
            stored.set()
            await asyncio.sleep(0)
            return written

        with monkeypatch.context() as patch:
            patch.setattr(EntityStore, "put", put_and_tell)
            task = asyncio.create_task(vault.project.sync())
            await stored.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not (vault.state_path / "index.lock").exists()
        kept = len(vault.ids())
        assert kept in (5, 10)
        report = await vault.project.sync()
        assert (report.counts["unchanged"], report.counts["added"]) == (kept, 33 - kept)
        assert report.files_parsed == 32 - kept
        assert vault.meaning() == await asyncio.to_thread(cold_meaning, vault, tmp_path)

    async def test_a_sync_cancelled_before_its_first_batch_leaves_the_stores_as_they_were(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await vault.project.sync()
        vault.age_index()
        vault.lose_database()
        reading = threading.Event()
        cancelled = threading.Event()
        real = Tree.open_file

        def wait_for_cancel(self: Tree, path: bytes) -> int:
            reading.set()
            cancelled.wait(60)
            return real(self, path)

        with monkeypatch.context() as patch:
            patch.setattr(Tree, "open_file", wait_for_cancel)
            task = asyncio.create_task(vault.project.sync())
            await asyncio.to_thread(reading.wait, 60)
            task.cancel()
            await asyncio.sleep(0)
            cancelled.set()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await vault.project.sync()).files_parsed == 2
        assert vault.meaning() == await asyncio.to_thread(cold_meaning, vault, tmp_path)


@pytest.mark.both_by_night
class TestUnreadable:
    def test_a_file_that_cannot_be_read_is_reported_and_the_rest_goes_on(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault.settled_sync()
        vault.write("one.md", "edited\n")
        vault.write("sub/two.md", "edited\n")
        with monkeypatch.context() as patch:
            deny_file(patch, b"one.md")
            report = vault.sync()
        assert (paths_of(report.failed), report.counts["modified"]) == ([b"one.md"], 1)
        assert vault.rows("SELECT title FROM entity WHERE file_path = 'one.md'") == [("One",)]
        assert vault.index[b"one.md"].blob_id == blob_id(NOTE.encode())
        assert counts(vault) == {"modified": 1, "unchanged": 2}

    def test_an_unreadable_new_file_is_no_entity_yet(self, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            deny_file(patch, b"one.md")
            assert vault.sync().counts["added"] == 2
        assert "one.md" not in vault.ids()
        assert b"one.md" not in vault.index
        assert counts(vault) == {"added": 1, "unchanged": 2}

    def test_a_new_file_that_cannot_be_read_may_be_the_lost_one_and_is_reported_once(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault.settled_sync()
        before = vault.ids()
        vault.write("uno.md", NOTE)
        (vault.root / "one.md").unlink()
        with monkeypatch.context() as patch:
            deny_file(patch, b"uno.md")
            report = vault.sync()
        assert (paths_of(report.failed), report.counts["moved"], report.counts["deleted"]) == ([b"uno.md"], 0, 0)
        assert vault.ids() == before
        assert counts(vault) == {"moved": 1, "unchanged": 2}
        assert vault.ids()["uno.md"] == before["one.md"]

    @pytest.mark.parametrize(("lost", "in_its_way"), [("one.md", "one.md/new.md"), ("d/x.md", "d")])
    def test_a_lost_file_whose_place_is_taken_is_gone_whatever_cannot_be_read(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str, in_its_way: str
    ) -> None:
        vault.write("d/x.md", "only here\n")
        vault.settled_sync()
        content = (vault.root / lost).read_bytes()
        (vault.root / lost).unlink()
        if in_its_way == "d":
            (vault.root / "d").rmdir()
        vault.write(in_its_way, "in its place\n")
        vault.write("unread.md", content)
        with monkeypatch.context() as patch:
            deny_file(patch, b"unread.md")
            report = vault.sync()
        assert (paths_of(report.failed), report.deleted) == ([b"unread.md"], 1)
        assert vault.project.verify().mismatches == ()
        vault.sync()
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    def test_a_new_file_that_vanishes_while_it_is_read_is_forgotten(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault.settled_sync()
        file = vault.write("new.md", "new\n")
        real = Tree.open_file

        def vanish(self: Tree, path: bytes) -> int:
            if path == b"new.md":
                file.unlink()
            return real(self, path)

        with monkeypatch.context() as patch:
            patch.setattr(Tree, "open_file", vanish)
            report = vault.sync()
        assert (report.failed, paths_of(report.skipped)) == ([], [b"new.md"])
        assert vault.meaning() == cold_meaning(vault, tmp_path)
        vault.write("one.md", "edited\n")
        assert vault.sync().skipped == []
        assert vault.rows("SELECT COUNT(*) FROM file_failure") == [(0,)]

    def test_with_the_database_lost_a_folder_that_cannot_be_listed_is_forgotten_by_the_index_too(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault.settled_sync()
        vault.lose_database()
        with monkeypatch.context() as patch:
            deny_folder(patch, b"sub")
            vault.sync()
        assert list(vault.index) == [b"one.md"]
        assert counts(vault) == {"added": 2, "unchanged": 1}
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    def test_an_unreadable_folder_is_not_a_deletion(self, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
        vault.settled_sync()
        with monkeypatch.context() as patch:
            deny_folder(patch, b"sub")
            report = vault.sync()
        assert (report.counts["deleted"], paths_of(report.failed)) == (0, [b"sub"])
        assert len(vault.ids()) == 3

    def test_an_unreadable_folder_is_no_deletion_even_with_the_index_lost(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault.settled_sync()
        vault.index_path.unlink()
        with monkeypatch.context() as patch:
            deny_folder(patch, b"sub")
            vault.sync()
        assert len(vault.ids()) == 3
        assert b"sub/two.md" in vault.index
        shutil.rmtree(vault.root / "sub")
        assert counts(vault) == {"deleted": 2, "unchanged": 1}
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    def test_with_the_database_lost_an_unreadable_file_is_forgotten_by_the_index_too(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault.settled_sync()
        vault.lose_database()
        with monkeypatch.context() as patch:
            deny_file(patch, b"one.md")
            vault.sync()
        assert sorted(vault.index) == [b"sub/picture.png", b"sub/two.md"]
        vault.sync()
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    def test_a_file_that_failed_too_often_is_left_alone_until_it_changes(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempts = []
        real = Tree.open_file

        def count(self: Tree, path: bytes) -> int:
            if path == b"one.md":
                attempts.append(path)
                raise DENIED
            return real(self, path)

        monkeypatch.setattr(Tree, "open_file", count)
        for _ in range(6):
            assert paths_of(vault.sync().failed) == [b"one.md"]
        assert len(attempts) == 4
        vault.write("one.md", "edited\n")
        vault.sync()
        assert len(attempts) == 5
        monkeypatch.setattr(Tree, "open_file", real)
        os.utime(vault.root / "one.md")
        assert vault.sync().counts["added"] == 1
        assert vault.rows("SELECT COUNT(*) FROM file_failure") == [(0,)]

    def test_content_problems_are_warnings_on_entities_that_exist(self, vault: Vault) -> None:
        vault.write("bad.md", "---\ntitle: [unclosed\n---\nbody #tag\n")
        vault.write("latin.md", "café".encode("latin-1"))
        vault.write("alias.md", "---\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n---\n")
        report = vault.sync()
        assert report.failed == []
        assert {path for path, _ in report.warnings} >= {b"bad.md", b"latin.md"}
        assert {"bad.md", "latin.md", "alias.md"} <= vault.ids().keys()

    def test_a_note_beyond_its_bound_is_hashed_and_warned_about(self, vault: Vault) -> None:
        vault.options = Options(bounds=bmg.NoteBounds(note_max_bytes=10))
        report = vault.sync()
        assert (b"one.md", "larger than note_max_bytes (10): hashed, but not parsed") in report.warnings
        assert vault.index[b"one.md"].blob_id == blob_id(NOTE.encode())
        assert report.files_parsed == 0


class TestUnderAnotherParser:
    """A note is parsed anew when parser or options changed, however long that takes."""

    @pytest.fixture
    def anew(self, vault: Vault) -> Vault:
        vault.write("one.md", NOTE + "- [fact] a second one\n")
        vault.options = Options(bounds=bmg.NoteBounds(max_items=1))
        vault.settled_sync()
        assert vault.rows("SELECT COUNT(*) FROM observation") == [(1,)]
        vault.options = Options()
        return vault

    def test_even_if_it_could_not_be_read_at_first(
        self, anew: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            deny_file(patch, b"one.md")
            anew.sync()
        anew.age_index()
        anew.sync()
        assert anew.meaning() == cold_meaning(anew, tmp_path)
        anew.age_index()
        assert anew.sync().counters.files_read == 0

    def test_even_if_its_folder_could_not_be_listed_at_first(
        self, anew: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (anew.root / "one.md").rename(anew.root / "sub/one.md")
        with monkeypatch.context() as patch:
            deny_folder(patch, b"sub")
            anew.sync()
        anew.age_index()
        anew.sync()
        assert anew.meaning() == cold_meaning(anew, tmp_path)

    def test_even_if_it_was_renamed_and_could_not_be_read(
        self, anew: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (anew.root / "sub").rename(anew.root / "bus")
        anew.write("bus/in.md", "x")
        anew.settled_sync()
        (anew.root / "bus").rename(anew.root / "sub")
        anew.options = Options(bounds=bmg.NoteBounds(max_items=2))
        with monkeypatch.context() as patch:
            deny_file(patch, b"sub/two.md")
            anew.sync()
        anew.age_index()
        anew.sync()
        assert anew.meaning() == cold_meaning(anew, tmp_path)

    def test_even_if_the_run_was_cut_short_and_the_options_put_back(
        self, anew: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def crash(self: EntityStore) -> int:
            raise RuntimeError("crash")

        with monkeypatch.context() as patch:
            patch.setattr(EntityStore, "resolve_links", crash)
            with pytest.raises(RuntimeError, match="crash"):
                anew.sync()
        anew.options = Options(bounds=bmg.NoteBounds(max_items=1))
        anew.sync()
        assert anew.meaning() == cold_meaning(anew, tmp_path)

    def test_a_file_that_became_a_note_and_could_not_be_read(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault.write("plain.txt", "- [fact] of a file\n")
        vault.settled_sync()
        (vault.root / "plain.txt").rename(vault.root / "plain.md")
        reads = []
        real = Tree.open_file

        def deny_second(self: Tree, path: bytes) -> int:
            reads.append(path)
            if path == b"plain.md" and reads.count(path) > 1:
                raise DENIED
            return real(self, path)

        with monkeypatch.context() as patch:
            patch.setattr("bm_gitindex.syncing.intake._READ_AHEAD_BYTES", 0)
            patch.setattr(Tree, "open_file", deny_second)
            assert paths_of(vault.sync().failed) == [b"plain.md"]
        vault.age_index()
        vault.sync()
        assert vault.meaning() == cold_meaning(vault, tmp_path)


@pytest.mark.both_by_night
class TestLargeFiles:
    LARGE = Options(large_file_bytes=1000)

    def test_a_sparse_file_of_5_gib_is_tracked_and_never_opened(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        size_bytes = 5 * 1024**3
        file = vault.write("huge.bin", b"")
        os.truncate(file, size_bytes)
        for name in ("one.md", "sub/two.md", "sub/picture.png"):
            (vault.root / name).unlink()
        opening_fails(monkeypatch)
        assert counts(vault) == {"added": 1}
        entry = vault.index[b"huge.bin"]
        assert entry.skip_worktree
        assert entry.stat.size == 1024**3
        assert vault.rows("SELECT size_bytes, kind FROM entity") == [(size_bytes, "stat-only")]
        os.utime(file)
        assert counts(vault) == {"modified": 1}
        vault.age_index()
        assert counts(vault) == {"unchanged": 1}

    def test_a_young_large_file_is_settled_without_being_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault = Vault(tmp_path / "vault", self.LARGE)
        vault.write("large.bin", bytes(2000))
        opening_fails(monkeypatch)
        young_for_an_hour(monkeypatch)
        vault.sync()
        assert vault.index[b"large.bin"].stat.size == 0
        assert not vault.status().changes
        never_young(monkeypatch)
        assert counts(vault) == {"unchanged": 1}
        assert vault.index[b"large.bin"].stat.size == 2000

    def test_a_large_file_of_another_ctime_is_modified_to_status_and_sync_alike(self, vault: Vault) -> None:
        vault.options = self.LARGE._replace(trust_ctime=True)
        file = vault.write("large.bin", bytes(2000))
        vault.settled_sync()
        file.chmod(0o660)
        assert [(change.path, change.status.value) for change in vault.status().changes] == [(b"large.bin", "modified")]
        assert counts(vault) == {"modified": 1, "unchanged": 3}

    def test_index_versions_follow_the_flags(self, vault: Vault) -> None:
        vault.options = self.LARGE
        vault.write("large.bin", bytes(2000))
        vault.settled_sync()
        assert vault.index.version == 3
        (vault.root / "large.bin").unlink()
        vault.sync()
        assert vault.index.version == 2

    @pytest.mark.parametrize("policy", ["sample", "full"])
    def test_a_change_of_policy_is_a_change_of_the_file(self, vault: Vault, tmp_path: Path, policy: str) -> None:
        vault.options = self.LARGE
        vault.write("large.bin", os.urandom(300_000))
        vault.settled_sync()
        vault.options = Options(large_file_bytes=1000, large_file_policy=policy)  # type: ignore[arg-type]
        assert counts(vault) == {"modified": 1, "unchanged": 3}
        assert vault.meaning() == cold_meaning(vault, tmp_path)
        vault.age_index()
        assert vault.sync().counters.files_read == 0

    def test_a_moved_large_file_keeps_its_id_and_is_not_opened(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vault.options = self.LARGE
        vault.write("large.bin", bytes(2000))
        vault.settled_sync()
        before = vault.ids()
        (vault.root / "large.bin").rename(vault.root / "sub/renamed.bin")
        opening_fails(monkeypatch)
        assert counts(vault) == {"moved": 1, "unchanged": 3}
        assert vault.ids()["sub/renamed.bin"] == before["large.bin"]


@pytest.mark.both_by_night
class TestSafetyStops:
    def test_an_emptied_root_stops_the_sync(self, vault: Vault) -> None:
        vault.settled_sync()
        shutil.rmtree(vault.root / "sub")
        (vault.root / "one.md").unlink()
        before = vault.state_bytes()
        with pytest.raises(SafetyStopError, match="--allow-mass-delete"):
            vault.sync()
        assert vault.state_bytes() == before
        assert counts(vault, allow_mass_delete=True) == {"deleted": 3}

    def test_a_missing_root_stops_the_sync(self, vault: Vault) -> None:
        vault.sync()
        shutil.rmtree(vault.root)
        with pytest.raises(SafetyStopError):
            vault.sync()

    def test_more_than_half_gone_stops_the_sync(self, vault: Vault) -> None:
        many(vault)
        vault.settled_sync()
        shutil.rmtree(vault.root / "many")
        with pytest.raises(SafetyStopError, match="30 of 33"):
            vault.sync()
        assert len(vault.ids()) == 33

    def test_deletions_in_many_partial_syncs_add_up(self, vault: Vault) -> None:
        many(vault)
        vault.settled_sync()
        for number in range(16):
            (vault.root / f"many/note {number:03}.md").unlink()
            vault.sync(f"many/note {number:03}.md")
        (vault.root / "many/note 016.md").unlink()
        with pytest.raises(SafetyStopError, match="16 more"):
            vault.sync("many/note 016.md")

    def test_confirmed_deletions_do_not_count_against_the_next_run(self, vault: Vault) -> None:
        many(vault)
        vault.settled_sync()
        shutil.rmtree(vault.root / "many")
        vault.sync("many", allow_mass_delete=True)
        assert vault.sync().counts["unchanged"] == 3

    def test_an_emptied_root_stops_a_partial_sync_too(self, vault: Vault) -> None:
        vault.settled_sync()
        shutil.rmtree(vault.root / "sub")
        (vault.root / "one.md").unlink()
        with pytest.raises(SafetyStopError, match="empty"):
            vault.sync("one.md")

    def test_a_moved_folder_is_no_deletion(self, vault: Vault) -> None:
        many(vault)
        vault.settled_sync()
        (vault.root / "many").rename(vault.root / "few")
        assert counts(vault) == {"moved": 30, "unchanged": 3}

    def test_with_the_index_lost_the_database_still_guards(self, vault: Vault) -> None:
        many(vault)
        vault.settled_sync()
        vault.index_path.unlink()
        shutil.rmtree(vault.root / "many")
        with pytest.raises(SafetyStopError):
            vault.sync()


@pytest.mark.sqlite_file
class TestStateFolder:
    def test_state_may_be_kept_elsewhere(self, vault: Vault, tmp_path: Path) -> None:
        vault.options = Options(state_dir=str(tmp_path / "state"))
        vault.settled_sync()
        assert not (vault.root / ".basic-memory").exists()
        assert vault.sync().counters.files_read == 0

    def test_state_on_another_local_device_goes_by_the_same_clock(
        self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = Path("/dev/shm")
        if not os.access(elsewhere, os.W_OK) or os.stat(elsewhere).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("there is no second device to write to")
        with tempfile.TemporaryDirectory(dir=elsewhere) as folder:
            vault.options = Options(state_dir=f"{folder}/state")
            vault.settled_sync()
            assert vault.sync().counters.files_read == 0
            monkeypatch.setattr("bm_gitindex.indexlock.devices_of_one_clock", lambda *_: frozenset({1}))
            vault.write("one.md", "edited\n")
            vault.settled_sync()
            assert vault.sync().counters.files_read == 1

    def test_state_among_the_files_is_refused(self, vault: Vault) -> None:
        vault.options = Options(state_dir="state")
        with pytest.raises(StateFolderError, match="inside"):
            vault.sync()

    @pytest.mark.parametrize("act", ["sync", "status"])
    def test_another_programs_folder_is_left_alone(self, vault: Vault, act: str) -> None:
        vault.write(".basic-memory/memory.db", "theirs")
        with pytest.raises(StateFolderError, match="another program"):
            getattr(vault, act)()
        assert [path.name for path in (vault.root / ".basic-memory").iterdir()] == ["memory.db"]

    @pytest.mark.parametrize("kind", ["link", "pipe"])
    def test_a_database_that_is_no_file_is_refused(self, vault: Vault, tmp_path: Path, kind: str) -> None:
        vault.sync()
        vault.lose_database()
        victim = tmp_path / "victim"
        victim.touch()
        if kind == "link":
            vault.database_path.symlink_to(victim)
        else:
            os.mkfifo(vault.database_path)
        with pytest.raises(BmGitIndexError, match=r"entities\.db") as caught:
            vault.sync()
        assert caught.value.exit_code == 6
        assert victim.read_bytes() == b""

    def test_a_linked_state_folder_is_refused(self, vault: Vault, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        (vault.root / ".basic-memory").symlink_to(tmp_path / "outside")
        with pytest.raises(StateFolderError, match="symbolic link"):
            vault.sync()
        assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.both_by_night
class TestModesOfSync:
    def test_paranoid_compares_what_stat_calls_clean(self, vault: Vault) -> None:
        vault.settled_sync()
        report = vault.sync(paranoid=True)
        assert (report.counters.files_read, report.counts["unchanged"]) == (3, 3)

    def test_paranoid_with_a_path_reads_that_path_alone(self, vault: Vault) -> None:
        vault.settled_sync()
        assert vault.sync("one.md", paranoid=True).counters.files_read == 1
        vault.age_index()
        assert vault.sync().counters.files_read == 0

    def test_paranoid_looks_at_every_row(self, vault: Vault, tmp_path: Path) -> None:
        vault.settled_sync()
        vault.execute("UPDATE entity SET blob_id = ? WHERE file_path = 'one.md'", "0" * 39 + "1")
        assert vault.sync().counters.files_read == 0
        vault.sync(paranoid=True)
        assert vault.meaning() == cold_meaning(vault, tmp_path)

    def test_paths_may_stand_in_the_request(self, vault: Vault) -> None:
        vault.settled_sync()
        vault.write("one.md", "edited\n")
        vault.write("sub/two.md", "edited\n")
        assert vault.sync(paths=(b"one.md",)).counts["modified"] == 1

    def test_a_rehearsal_creates_nothing(self, vault: Vault) -> None:
        report = vault.project.rehearse_sync()
        assert report.counts["added"] == 3
        assert not vault.state_path.exists()

    @pytest.mark.parametrize(
        ("loss", "is_told"),
        [
            (lambda vault: None, False),
            (lambda vault: vault.index_path.unlink(), False),
            (lambda vault: vault.lose_database(), True),
            (lambda vault: vault.spoil_database(), True),
            (lambda vault: vault.execute("UPDATE project SET tie_closed = FALSE"), True),
            (lambda vault: vault.execute("UPDATE project SET index_trailer = ?", "00" * 20), True),
        ],
    )
    def test_a_rehearsal_tells_that_the_stores_disagree(
        self, vault: Vault, loss: Callable[[Vault], None], is_told: bool
    ) -> None:
        vault.settled_sync()
        loss(vault)
        before = vault.state_bytes()
        notices = vault.project.rehearse_sync().notices
        assert vault.state_bytes() == before
        assert len(notices) == is_told
        assert all("do not belong together" in notice for notice in notices)

    def test_a_rehearsal_counts_what_the_sync_then_does(self, vault: Vault) -> None:
        many(vault, 3)
        vault.settled_sync()
        vault.write("one.md", "edited\n")
        vault.write("new.md", "new\n")
        (vault.root / "sub/picture.png").unlink()
        (vault.root / "many/note 000.md").rename(vault.root / "moved.md")
        rehearsal = vault.project.rehearse_sync()
        assert rehearsal.counts == {"added": 1, "modified": 1, "deleted": 1, "moved": 1, "unchanged": 3}
        assert vault.sync().counts == rehearsal.counts

    def test_a_held_lock_is_waited_for_and_then_named(self, vault: Vault) -> None:
        vault.sync()
        with lock_index(vault.project.state, 0, "the other one"):
            with pytest.raises(LockHeldError, match="the other one"):
                vault.sync(wait_s=0.1)
            assert not vault.status().changes

    async def test_a_running_event_loop_is_not_blocked(self, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
        many(vault, 50)
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                await asyncio.sleep(0)
                beats += 1

        heart = asyncio.create_task(beat())
        report = await bmg.sync(vault.root)
        heart.cancel()
        assert report.added == 53
        assert beats > 20
        async with bmg.open_entities(vault.root) as entities:
            note = await entities.get("one")
        assert note is not None
        assert note.title == "One"

    @pytest.mark.sqlite_file
    def test_git_and_database_are_not_confused_by_a_hot_wal(self, vault: Vault, tmp_path: Path) -> None:
        vault.settled_sync()
        reader = sqlite3.connect(vault.database_path)
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM entity").fetchone()
        vault.write("one.md", "edited\n")
        vault.sync()
        vault.age_index()
        assert vault.sync().counters.files_read == 0
        reader.close()
        assert vault.meaning() == cold_meaning(vault, tmp_path)
