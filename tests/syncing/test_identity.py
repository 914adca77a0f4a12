"""Which note is which: ids, permalinks and links of notes that are moved, edited and swapped in one go."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bm_gitindex.entities.store import EntityStore
from bm_gitindex.syncing import identity
from bm_gitindex.worktree.tree import Tree
from support.profile import NIGHTLY
from support.vault import Vault

if TYPE_CHECKING:
    from pathlib import Path

    from bm_gitindex import SyncReport
    from bm_gitindex.entities.records import Entity

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"]


def text(subject: str, lines: int = 20) -> str:
    """A text that shares no line with that of another subject."""
    return "".join(f"{subject} has line {number} about {WORDS[number % 12]}.\n" for number in range(lines))


def stating(permalink: str, body: str) -> str:
    return f"---\npermalink: {permalink}\n---\n{body}"


def edited(body: str, lines: int) -> str:
    """The text with its last lines changed."""
    kept = body.splitlines(keepends=True)[: -lines or None]
    return "".join([*kept, *(f"changed {number} of {len(body)}.\n" for number in range(lines))])


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "vault")


def counts(report: SyncReport) -> dict[str, int]:
    return {name: count for name, count in report.counts.items() if count}


def entity(vault: Vault, key: str) -> Entity:
    async def get() -> Entity | None:
        async with vault.project.entities() as entities:
            return await entities.get(key)

    found = asyncio.run(get())
    assert found is not None
    return found


def check(vault: Vault) -> None:
    """Everything agrees, and a second sync has nothing to add."""
    verification = vault.project.verify()
    assert verification.ok, verification.mismatches
    assert counts(vault.sync()).keys() <= {"unchanged"}


def move(vault: Vault, old: str, new: str) -> None:
    (vault.root / new).parent.mkdir(parents=True, exist_ok=True)
    os.rename(vault.root / old, vault.root / new)


class TestMovedAndEdited:
    def test_a_permalink_in_the_front_matter_tells_who_it_is_however_much_was_edited(self, vault: Vault) -> None:
        vault.write("old.md", stating("me", text("one")))
        vault.write("friend.md", "- knows [[me]]\n")
        vault.sync()
        before = entity(vault, "me")
        move(vault, "old.md", "folder/new.md")
        vault.write("folder/new.md", stating("me", text("something else")))
        report = vault.sync()
        after = entity(vault, "me")
        assert counts(report) == {"moved": 1, "unchanged": 1}
        assert (after.id, after.external_id, after.created_at) == (before.id, before.external_id, before.created_at)
        assert (after.file_path, after.title) == (b"folder/new.md", "new")
        assert [link.from_path for link in after.incoming] == [b"friend.md"]
        check(vault)

    @pytest.mark.parametrize(("changed_lines", "is_same"), [(1, True), (9, True), (11, False), (20, False)])
    def test_more_than_half_of_the_text_in_common_tells_it_too(
        self, vault: Vault, changed_lines: int, is_same: bool
    ) -> None:
        vault.write("old.md", text("one"))
        vault.write("friend.md", "[[old]]\n")
        vault.sync()
        before = entity(vault, "old")
        move(vault, "old.md", "new.md")
        vault.write("new.md", edited(text("one"), changed_lines))
        report = vault.sync()
        after = entity(vault, "new.md")
        assert (after.id == before.id) is is_same
        assert (after.permalink == "old") is is_same
        assert (after.created_at == before.created_at) or not is_same
        assert len(after.incoming) == is_same
        assert counts(report) == (
            {"moved": 1, "unchanged": 1} if is_same else {"added": 1, "deleted": 1, "unchanged": 1}
        )
        check(vault)

    def test_the_likest_is_meant_and_each_is_taken_once(self, vault: Vault) -> None:
        for name in WORDS:
            vault.write(f"{name}.md", text(name) + text("shared", 5))
        vault.sync()
        ids = vault.ids()
        for number, name in enumerate(WORDS):
            move(vault, f"{name}.md", f"moved/{number}.md")
            vault.write(f"moved/{number}.md", edited(text(name), 3) + text("shared", 5))
        report = vault.sync(allow_mass_delete=True)
        assert counts(report) == {"moved": 12}
        assert vault.ids() == {f"moved/{number}.md": ids[f"{name}.md"] for number, name in enumerate(WORDS)}
        check(vault)

    def test_a_name_decides_between_equals(self, vault: Vault) -> None:
        for folder in ("a", "b"):
            vault.write(f"{folder}/{folder}.md", text("one"))
        vault.sync()
        ids = vault.ids()
        for folder in ("a", "b"):
            (vault.root / folder / f"{folder}.md").unlink()
        vault.write("0/b.md", edited(text("one"), 2))
        vault.write("1/a.md", edited(text("one"), 2))
        vault.sync()
        assert vault.ids() == {"0/b.md": ids["b/b.md"], "1/a.md": ids["a/a.md"]}

    def test_a_note_that_states_a_permalink_of_its_own_is_no_vanished_one(self, vault: Vault) -> None:
        vault.write("monday.md", stating("monday", text("template")))
        vault.sync()
        before = vault.ids()
        (vault.root / "monday.md").unlink()
        vault.write("tuesday.md", stating("tuesday", text("template")))
        assert counts(vault.sync()) == {"added": 1, "deleted": 1}
        assert vault.ids()["tuesday.md"] != before["monday.md"]

    def test_two_that_state_the_same_lost_permalink_get_one_identity(self, vault: Vault) -> None:
        vault.write("old.md", stating("me", text("one")))
        vault.sync()
        before = vault.ids()["old.md"]
        (vault.root / "old.md").unlink()
        vault.write("a.md", stating("me", text("two")))
        vault.write("b.md", stating("me", text("three")))
        assert counts(vault.sync()) == {"moved": 1, "added": 1}
        assert vault.ids()["a.md"] == before
        assert {entity(vault, path).permalink for path in ("a.md", "b.md")} == {"me", "b"}
        check(vault)

    def test_beyond_a_thousand_vanished_files_only_permalinks_tell(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(identity, "MOST_LOST", 1)
        vault.write("old.md", text("one"))
        vault.write("stated.md", stating("me", text("two")))
        vault.sync()
        ids = vault.ids()
        move(vault, "old.md", "new.md")
        vault.write("new.md", edited(text("one"), 1))
        move(vault, "stated.md", "other.md")
        vault.write("other.md", stating("me", text("three")))
        report = vault.sync()
        assert counts(report) == {"moved": 1, "added": 1, "deleted": 1}
        (notice,) = report.notices
        assert notice.startswith("2 files are gone, more than 1: notes that were both moved and edited are recognised")
        assert vault.ids()["other.md"] == ids["stated.md"]
        assert vault.ids()["new.md"] not in ids.values()

    def test_a_new_note_gets_the_permalink_that_a_vanished_one_gives_up(self, vault: Vault) -> None:
        vault.write("Foo Bar.md", text("one"))
        vault.sync()
        (vault.root / "Foo Bar.md").unlink()
        vault.write("foo-bar.md", text("two"))
        assert counts(vault.sync()) == {"added": 1, "deleted": 1}
        assert entity(vault, "foo-bar").file_path == b"foo-bar.md"
        check(vault)


class TestPartOfTheVault:
    def test_a_note_is_recognised_whose_old_path_the_sync_does_not_look_at(self, vault: Vault) -> None:
        vault.write("old.md", stating("me", text("one")))
        vault.write("other.md", text("two"))
        vault.sync()
        ids = vault.ids()
        (vault.root / "old.md").unlink()
        vault.write("new.md", stating("me", text("three")))
        assert counts(vault.sync("new.md")) == {"moved": 1}
        assert vault.ids() == {"new.md": ids["old.md"], "other.md": ids["other.md"]}
        assert b"old.md" not in vault.index
        check(vault)

    def test_one_that_is_still_there_keeps_what_it_has(self, vault: Vault) -> None:
        vault.write("old.md", stating("me", text("one")))
        vault.sync()
        ids = vault.ids()
        vault.write("new.md", stating("me", text("three")))
        assert counts(vault.sync("new.md")) == {"added": 1}
        assert vault.ids()["old.md"] == ids["old.md"]
        assert entity(vault, "me").file_path == b"old.md"
        check(vault)

    def test_one_that_the_sync_looks_at_and_finds_unchanged_keeps_it_too(self, vault: Vault) -> None:
        vault.write("old.md", stating("me", text("one")))
        vault.settled_sync()
        ids = vault.ids()
        vault.write("new.md", stating("me", text("three")))
        vault.sync("old.md", "new.md")
        assert vault.ids()["old.md"] == ids["old.md"]
        assert entity(vault, "me").file_path == b"old.md"

    def test_one_that_cannot_be_looked_at_counts_as_there(self, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
        vault.write("old.md", stating("me", text("one")))
        vault.sync()
        (vault.root / "old.md").unlink()
        vault.write("new.md", stating("me", text("three")))
        looked = Tree.lstat

        def denied(tree: Tree, path: bytes) -> os.stat_result:
            if path == b"old.md":
                raise PermissionError(13, "denied")
            return looked(tree, path)

        with monkeypatch.context() as patch:
            patch.setattr(Tree, "lstat", denied)
            assert counts(vault.sync("new.md")) == {"added": 1}
        assert entity(vault, "me").file_path == b"old.md"

    def test_a_note_deleted_and_back_again_is_linked_again(self, vault: Vault) -> None:
        vault.write("hub.md", "- about [[spoke]]\n- about [[The Spoke]]\n")
        spoke = vault.write("spoke.md", "---\ntitle: The Spoke\n---\n")
        vault.sync()
        resolved = "SELECT count(to_id) FROM relation"
        assert vault.rows(resolved) == [(2,)]
        content = spoke.read_bytes()
        spoke.unlink()
        vault.sync()
        assert vault.rows(resolved) == [(0,)]
        spoke.write_bytes(content)
        vault.sync()
        assert vault.rows(resolved) == [(2,)]
        check(vault)


class TestSwapped:
    @pytest.mark.parametrize("changed_lines", [0, 20])
    def test_swapped_files_keep_each_its_own_identity_where_permalinks_say_so(
        self, vault: Vault, changed_lines: int
    ) -> None:
        for name in ("a", "b"):
            vault.write(f"{name}.md", stating(name, text(name)))
        vault.write("c.md", "- knows [[a]]\n- knows [[b]]\n")
        vault.sync()
        before = {name: entity(vault, name) for name in ("a", "b")}
        vault.write("a.md", stating("b", edited(text("b"), changed_lines)))
        vault.write("b.md", stating("a", edited(text("a"), changed_lines)))
        assert counts(vault.sync()) == {"modified": 2, "unchanged": 1}
        for name, path in (("a", b"b.md"), ("b", b"a.md")):
            after = entity(vault, name)
            assert (after.id, after.external_id, after.file_path) == (before[name].id, before[name].external_id, path)
            assert after.created_at == before[name].created_at
            assert [link.from_path for link in after.incoming] == [b"c.md"]
        check(vault)

    def test_without_permalinks_a_note_is_its_path(self, vault: Vault) -> None:
        for name in ("a", "b"):
            vault.write(f"{name}.md", text(name))
        vault.sync()
        ids = vault.ids()
        vault.write("a.md", text("b"))
        vault.write("b.md", text("a"))
        assert counts(vault.sync()) == {"modified": 2}
        assert vault.ids() == ids

    def test_a_changed_permalink_makes_no_other_note_of_it(self, vault: Vault) -> None:
        vault.write("a.md", stating("x", text("a")))
        vault.sync()
        ids = vault.ids()
        vault.write("a.md", stating("y", text("a")))
        assert counts(vault.sync()) == {"modified": 1}
        assert vault.ids() == ids
        assert entity(vault, "y").file_path == b"a.md"

    def test_the_permalink_decides_where_a_note_is_and_not_the_path(self, vault: Vault) -> None:
        vault.write("a.md", stating("x", text("a")))
        vault.write("b.md", stating("y", text("b")))
        vault.sync()
        ids = vault.ids()
        vault.write("a.md", stating("y", text("b")))
        vault.write("b.md", stating("z", text("new")))
        assert counts(vault.sync()) == {"modified": 2}
        assert vault.ids()["a.md"] == ids["b.md"]
        assert vault.ids()["b.md"] not in ids.values()
        assert [entity(vault, path).permalink for path in ("a.md", "b.md")] == ["y", "z"]
        check(vault)

    def test_a_note_that_made_room_for_another_is_found_at_a_new_path(self, vault: Vault) -> None:
        vault.write("a.md", stating("x", text("a")))
        vault.sync()
        ids = vault.ids()
        move(vault, "a.md", "b.md")
        vault.write("a.md", stating("new", text("new")))
        assert counts(vault.sync()) == {"modified": 1, "added": 1}
        assert vault.ids()["b.md"] == ids["a.md"]

    def test_a_claim_to_what_another_note_keeps_is_refused_and_so_is_every_claim_that_hangs_on_it(
        self, vault: Vault
    ) -> None:
        for name in ("a", "b", "c"):
            vault.write(f"{name}.md", stating(name, text(name)))
        vault.sync()
        ids = vault.ids()
        vault.write("a.md", stating("b", text("a")))
        vault.write("b.md", stating("c", text("b")))
        vault.write("c.md", stating("c", text("c") + "more\n"))
        vault.sync()
        assert vault.ids() == ids
        assert entity(vault, "c").file_path == b"c.md"
        check(vault)

    def test_a_note_moved_over_another_one_replaces_it(self, vault: Vault) -> None:
        for name in ("a", "b"):
            vault.write(f"{name}.md", stating(name, text(name)))
        vault.sync()
        ids = vault.ids()
        move(vault, "b.md", "a.md")
        assert counts(vault.sync()) == {"modified": 1, "deleted": 1}
        assert vault.ids() == {"a.md": ids["b.md"]}
        check(vault)

    @pytest.mark.parametrize("bound", ["HELD_FILES", "HELD_BYTES"])
    def test_more_than_can_be_held_are_read_again(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch, bound: str
    ) -> None:
        monkeypatch.setattr(identity, bound, 2)
        for name in WORDS:
            vault.write(f"{name}.md", stating(name, text(name)))
        vault.sync()
        ids = vault.ids()
        for name, other in zip(WORDS, [*WORDS[1:], WORDS[0]], strict=True):
            vault.write(f"{name}.md", stating(other, text(other)))
        assert counts(vault.sync()) == {"modified": 12}
        for name, other in zip(WORDS, [*WORDS[1:], WORDS[0]], strict=True):
            assert vault.ids()[f"{name}.md"] == ids[f"{other}.md"]
        check(vault)


class TestWhatGoesWrong:
    def test_a_run_that_ends_after_the_rows_were_moved_is_completed_by_the_next(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("a", "b", "c"):
            vault.write(f"{name}.md", stating(name, text(name)))
        vault.sync()
        ids = vault.ids()
        vault.write("a.md", stating("b", text("b")))
        vault.write("b.md", stating("a", text("a again")))
        move(vault, "c.md", "d.md")
        vault.write("d.md", stating("c", text("d")))
        moved = EntityStore.move

        async def fail_afterwards(store: EntityStore, moves: object) -> None:
            await moved(store, moves)  # type: ignore[arg-type]
            raise RuntimeError("cut off")

        with monkeypatch.context() as patch:
            patch.setattr(EntityStore, "move", fail_afterwards)
            with pytest.raises(RuntimeError, match="cut off"):
                vault.sync()
        vault.sync()
        assert vault.ids() == {"a.md": ids["b.md"], "b.md": ids["a.md"], "d.md": ids["c.md"]}
        assert [entity(vault, name).file_path for name in ("a", "b", "c")] == [b"b.md", b"a.md", b"d.md"]
        check(vault)

    def test_a_file_that_is_gone_before_it_can_be_read_again_stays_known_as_what_it_was(
        self, vault: Vault, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(identity, "HELD_FILES", 0)
        vault.write("old.md", stating("me", text("one")))
        vault.write("other.md", text("two"))
        vault.sync()
        ids = vault.ids()
        move(vault, "old.md", "new.md")
        vault.write("new.md", stating("me", text("three")))
        moved = EntityStore.move

        async def remove_afterwards(store: EntityStore, moves: object) -> None:
            await moved(store, moves)  # type: ignore[arg-type]
            (vault.root / "new.md").unlink()

        with monkeypatch.context() as patch:
            patch.setattr(EntityStore, "move", remove_afterwards)
            report = vault.sync()
        assert [skipped.path for skipped in report.skipped] == [b"new.md"]
        assert vault.ids() == {"new.md": ids["old.md"], "other.md": ids["other.md"]}
        vault.write("newer.md", stating("me", text("three")))
        vault.sync()
        assert vault.ids() == {"newer.md": ids["old.md"], "other.md": ids["other.md"]}
        check(vault)


class Arrangement(NamedTuple):
    places: list[int]
    edits: list[bool]


@st.composite
def arrangements(draw: st.DrawFn) -> list[Arrangement]:
    """Where notes 0 to 5 are found, among eight places, or nowhere (8 and more), and whether they were edited."""
    places = st.permutations(range(10)).map(lambda order: order[:6])
    edits = st.lists(st.booleans(), min_size=6, max_size=6)
    return draw(st.lists(st.builds(Arrangement, places, edits), min_size=1, max_size=3))


def permalinks_to(vault: Vault, column: str) -> dict[object, object]:
    return dict(vault.rows(f"SELECT permalink, {column} FROM entity"))  # type: ignore[arg-type]


@settings(max_examples=1_000 if NIGHTLY else 12, deadline=None)
@given(arrangements())
def test_a_note_that_states_its_permalink_keeps_its_id_wherever_it_goes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Arrangement]
) -> None:
    vault = Vault(tmp_path_factory.mktemp("vault") / "root")
    for number in range(6):
        vault.write(f"{number}.md", stating(f"n{number}", text(str(number))))
    vault.sync()
    known = permalinks_to(vault, "id")
    for version, (places, edits) in enumerate(steps):
        for path in vault.root.glob("*.md"):
            path.unlink()
        for number, (place, is_edited) in enumerate(zip(places, edits, strict=True)):
            if place < 8:
                body = text(f"{number} of {version}") if is_edited else text(str(number))
                vault.write(f"{place}.md", stating(f"n{number}", body))
        vault.sync(allow_mass_delete=True)
        found = permalinks_to(vault, "id")
        assert found.keys() == {f"n{number}" for number, place in enumerate(places) if place < 8}
        assert {name: known[name] for name in found if name in known} == {
            name: row_id for name, row_id in found.items() if name in known
        }
        assert permalinks_to(vault, "file_path") == {
            f"n{number}": f"{place}.md" for number, place in enumerate(places) if place < 8
        }
        known = found
    assert vault.project.verify().ok
