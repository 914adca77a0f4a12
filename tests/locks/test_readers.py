"""Those who read while somebody writes: they wait for nobody, and find the old state or the new."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.errors import BmGitIndexError
from support.vault import Vault
from support.writers import go_on, paused_sync, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bm_gitindex import Progress

ACTIVITIES = ("looking", "reading", "resolving links")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "vault")
    for number in range(4):
        vault.write(f"{number}.md", f"- [fact] number {number}\n")
    vault.sync()
    return vault


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_readers_wait_for_no_writer_and_find_the_old_index(vault: Vault, activity: str) -> None:
    """The sync stays where it is for as long as they read: whoever waited for it would wait for ever."""
    listed = list(vault.index)
    vault.write("new.md", "- [fact] new\n")
    vault.write("0.md", "- [fact] edited\n")
    with paused_sync(vault.root, activity) as writing:
        found = {change.path: change.status.value for change in vault.status().changes}
        assert found == {b"0.md": "modified", b"new.md": "added"}
        assert list(vault.index) == listed
        assert vault.project.rehearse_sync().added == 1
        assert fact(vault, "1.md") == "number 1"
        verification = vault.project.verify()
        if activity == "looking":
            assert (verification.ok, verification.pending) == (True, (b"0.md", b"new.md"))
        else:
            ties = [mismatch.detail for mismatch in verification.mismatches if mismatch.kind == "tie"]
            assert len(ties) == 1
            assert "under way" in ties[0]
        assert go_on(writing) == (0, b"")
    assert vault.project.verify().ok
    assert fact(vault, "new.md") == "new"


def fact(vault: Vault, key: str) -> str:
    async def look_up() -> str:
        async with vault.project.entities() as entities:
            note = await entities.get(key)
        assert note is not None
        return note.observations[0].content

    return asyncio.run(look_up())


def test_commands_that_read_wait_for_no_writer(vault: Vault) -> None:
    vault.write("new.md", "- [fact] new\n")
    with paused_sync(vault.root, "resolving links"):
        for arguments, code in (
            (("status", "--json"), 0),
            (("ls-files",), 0),
            (("show", "1.md", "--json"), 0),
            (("verify", "--json"), 1),
        ):
            done = run(vault.root, *arguments)
            assert (done.returncode, done.stderr) == (code, b""), arguments
            if "--json" in arguments:
                json.loads(done.stdout)


def test_an_open_reader_keeps_no_writer_waiting_and_sees_what_it_stored(vault: Vault) -> None:
    async def read_and_write() -> list[str]:
        said = []
        async with vault.project.entities() as entities:
            for text in ("before", "after"):
                note = await entities.get_by_path(b"0.md")
                assert note is not None
                said.append(note.observations[0].content)
                vault.write("0.md", f"- [fact] {text}\n")
                await vault.project.sync()
            assert await entities.count() == 4
        return said

    assert asyncio.run(read_and_write()) == ["number 0", "before"]
    assert vault.project.verify().ok


# --- a sync that loses its state -------------------------------------------------------------------------------------


def lose_nothing(vault: Vault) -> None:
    """For comparison."""


def delete_lock(vault: Vault) -> None:
    (vault.state_path / "lock").unlink()


def delete_folder(vault: Vault) -> None:
    shutil.rmtree(vault.state_path)


def replace_folder(vault: Vault) -> None:
    shutil.rmtree(vault.state_path)
    sync_beside(vault)


def move_folder(vault: Vault) -> None:
    vault.state_path.rename(vault.root.parent / "moved away")
    sync_beside(vault)


def sync_beside(vault: Vault) -> None:
    """In a thread, since there may be an event loop in this one."""
    thread = threading.Thread(target=vault.sync)
    thread.start()
    thread.join()
    assert len(vault.ids()) == 5


@pytest.mark.parametrize("activity", ACTIVITIES)
@pytest.mark.parametrize("lose", [lose_nothing, delete_lock, delete_folder, replace_folder, move_folder])
def test_a_sync_that_loses_its_state_says_so_and_the_next_one_is_right(
    vault: Vault, lose: Callable[[Vault], None], activity: str
) -> None:
    vault.write("new.md", "- [fact] new\n")
    is_lost = False

    def lose_it(progress: Progress) -> None:
        nonlocal is_lost
        if progress.activity == activity and not is_lost:
            is_lost = True
            lose(vault)

    if lose is lose_nothing:
        assert vault.sync(on_progress=lose_it).added == 1
    else:
        with pytest.raises(BmGitIndexError) as caught:
            vault.sync(on_progress=lose_it)
        assert caught.value.exit_code == 6
        assert "\n" not in str(caught.value)
    assert is_lost
    vault.sync(wait_s=0)
    verification = vault.project.verify()
    assert (verification.mismatches, verification.pending) == ((), ())
    assert len(vault.ids()) == 5
