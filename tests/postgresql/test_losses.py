"""A server that goes away, comes back, or comes back as it was yesterday."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex.entities import postgresql, serverdatabase
from bm_gitindex.entities.store import EntityStore
from bm_gitindex.errors import DatabaseServerError, LockHeldError
from support.postgresql import PostgreSQL
from support.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.postgresql import Database

STEPS = ["state", "open_tie", "put", "resolve_links", "record_failures", "close_tie"]
_FATAL = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
FAREWELL = b"E" + (4 + len(_FATAL)).to_bytes(4, "big") + _FATAL
"""What a server says to a connection that it ends: an ErrorResponse of its protocol."""
END_OURS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bm-gitindex'"


def at_step(monkeypatch: pytest.MonkeyPatch, step: str, event: Any) -> None:
    """Let something happen just before a step of the store."""
    ordinary = getattr(EntityStore, step)

    async def after(self: EntityStore, *arguments: Any) -> Any:
        event()
        return await ordinary(self, *arguments)

    monkeypatch.setattr(EntityStore, step, after)


@pytest.mark.parametrize("step", STEPS)
def test_a_connection_lost_in_a_sync_costs_that_sync_alone(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str
) -> None:
    vault.settled_sync()
    kept = vault.ids()
    index = vault.index_path.read_bytes()
    vault.write("new.md", "# New\n[[a]]\n")
    vault.write("a.md", "# A\nanother\n")
    with monkeypatch.context() as patch:
        at_step(patch, step, lambda: vault.rows(END_OURS))
        with pytest.raises(DatabaseServerError, match="run the command again"):
            vault.sync()
    assert vault.index_path.read_bytes() == index
    assert not vault.state_path.joinpath("index.lock").exists()
    vault.sync()
    assert vault.project.verify().ok
    assert {path: vault.ids()[path] for path in kept} == kept
    assert vault.meaning() == _built_anew(vault, tmp_path).meaning()


def test_a_farewell_that_is_read_before_the_connection_has_ended_is_a_loss(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the two come apart: what the driver says in between is no fault of this program."""
    import asyncpg

    vault.settled_sync()
    vault.write("new.md")
    made: list[Any] = []
    connect = asyncpg.connect

    async def remembered(*arguments: Any, **named: Any) -> Any:
        made.append(await connect(*arguments, **named))
        return made[-1]

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg, "connect", remembered)
        at_step(patch, "put", lambda: made[-1]._protocol.data_received(FAREWELL))
        with pytest.raises(DatabaseServerError, match="run the command again"):
            vault.sync()
    assert vault.sync().added == 1
    assert vault.project.verify().ok


def test_the_tie_stays_open_after_a_loss(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.settled_sync()
    vault.write("new.md")
    with monkeypatch.context() as patch:
        at_step(patch, "close_tie", lambda: vault.rows(END_OURS))
        with pytest.raises(DatabaseServerError):
            vault.sync()
    assert vault.rows("SELECT tie_closed FROM project") == [(False,)]
    assert [mismatch.kind for mismatch in vault.project.verify().mismatches].count("tie") == 1
    vault.sync()
    assert vault.rows("SELECT tie_closed FROM project") == [(True,)]


def test_a_writer_that_the_server_still_serves_is_waited_for(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that was killed may have sent its last batch, which is yet to be committed."""
    vault.settled_sync()
    vault.write("new.md")
    monkeypatch.setitem(postgresql._SETTINGS, "lock_timeout", "50ms")
    key = serverdatabase._WRITING
    vault.rows("SELECT pg_advisory_lock(? + id) FROM project", key)
    assert vault.project.verify().pending == (b"new.md",)
    with pytest.raises(LockHeldError, match="another program is using it"):
        vault.sync()
    vault.rows("SELECT pg_advisory_unlock(? + id) FROM project", key)
    assert vault.sync().added == 1


def test_projects_are_written_side_by_side(vault: Vault) -> None:
    vaults = [vault]
    for number in range(4):
        other = Vault(vault.root.with_name(f"other {number}"), database=vault.database)
        for name in range(20):
            other.write(f"{name}.md", f"# {name}\n[[a]]\n- [x] y #{number}\n")
        vaults.append(other)

    async def sync_all() -> None:
        for _ in range(2):
            await asyncio.gather(*(one.project.sync() for one in vaults))

    asyncio.run(sync_all())
    assert all(one.project.verify().ok for one in vaults)
    assert vault.rows("SELECT count(*) FROM entity") == [(83,)]


@pytest.fixture
def server(database: Database) -> Iterator[PostgreSQL]:
    """A server of this test's own, to be stopped; where none can run, there is no `database` either."""
    server = PostgreSQL()
    server.start()
    yield server
    server.remove()


def test_a_server_started_anew_has_lost_nothing(
    server: PostgreSQL, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault(vault.root, database=server.database())
    vault.settled_sync()
    ids = vault.ids()
    server.stop()
    with pytest.raises(DatabaseServerError, match="check that the server is up"):
        vault.sync()
    for attempt in (vault.project.verify, vault.project.rehearse_sync):
        with pytest.raises(DatabaseServerError):
            attempt()
    server.start()
    report = vault.sync()
    assert (report.unchanged, report.notices) == (3, [])

    vault.write("new.md")
    with monkeypatch.context() as patch:
        at_step(patch, "put", server.restart)
        with pytest.raises(DatabaseServerError):
            vault.sync()
    assert vault.sync().added == 1
    assert vault.project.verify().ok
    assert {path: vault.ids()[path] for path in ids} == ids


def test_an_older_database_that_is_put_back_is_compared_with_the_files(vault: Vault, tmp_path: Path) -> None:
    vault.settled_sync()
    assert vault.database is not None
    ids, server = vault.ids(), vault.database.server
    server.leave(vault.database.name)
    backup = server.database(vault.database.name)
    vault.write("new.md", "[[b]]\n")
    vault.write("b.md", "# B\nchanged\n")
    vault.root.joinpath("sub/c.md").unlink()
    vault.settled_sync()
    restored = Vault(vault.root, database=backup)
    assert not restored.project.verify().ok
    report = restored.sync()
    assert any("do not belong together" in notice for notice in report.notices)
    assert restored.project.verify().ok
    assert restored.ids()["a.md"] == ids["a.md"]
    assert restored.meaning() == _built_anew(vault, tmp_path).meaning()
    backup.drop()


def test_a_database_that_was_emptied_is_filled_again(vault: Vault, database: Database) -> None:
    vault.settled_sync()
    before = vault.meaning()
    database.execute("DELETE FROM entity")
    assert not vault.project.verify().ok
    vault.sync(paranoid=True)
    assert vault.meaning() == before
    assert vault.project.verify().ok


def _built_anew(vault: Vault, folder: Path) -> Vault:
    """What an SQLite database says of the same files: the two speak alike."""
    import shutil

    root = folder / "anew"
    shutil.copytree(vault.root, root, ignore=shutil.ignore_patterns(".basic-memory"))
    anew = Vault(root)
    anew.sync()
    return anew
