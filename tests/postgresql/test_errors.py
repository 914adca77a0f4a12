"""What can be wrong with a server, its database, its user: one line that says what to do, and never a password."""

from __future__ import annotations

import builtins
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from bm_gitindex.entities import postgresql as postgresql_module
from bm_gitindex.errors import (
    BmGitIndexError,
    DatabaseServerError,
    LockHeldError,
    SchemaUnsupportedError,
    StateWriteError,
)
from bm_gitindex.options import Options
from bm_gitindex.project import Project
from support.postgresql import USER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.postgresql import Database, PostgreSQL
    from support.vault import Vault

SECRET = "s3cr3t-w0rd"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.md").write_text("text\n")
    return root


def url(postgresql: PostgreSQL, user: str, name: str) -> str:
    return f"postgresql://{user}@/{name}?host={quote(str(postgresql.folder), safe='')}"


def everything(database: Database) -> list[object]:
    """What stands in the catalogue of a database, and how many rows its tables have."""
    query = """SELECT relname::text, relkind::text, xmin::text FROM pg_class
               WHERE relnamespace = 'public'::regnamespace ORDER BY 1"""
    relations = database.rows(query)
    return [*relations, *(database.rows(f"SELECT count(*) FROM {name}") for name, kind, _ in relations if kind == "r")]


def attempts(project: Project) -> list[Callable[[], object]]:
    return [project.sync_blocking, project.verify]


@pytest.mark.parametrize("host", ["127.0.0.1:1", "[::1]:1", "no-such-host.invalid", "%2Fno%2Fsuch%2Ffolder"])
def test_a_server_that_cannot_be_reached_is_named(folder: Path, host: str) -> None:
    project = Project(folder, Options(database_url=f"postgresql://me@{host}/notes"))
    with pytest.raises(DatabaseServerError, match=r"PostgreSQL database 'notes' \(.*\) cannot be used") as caught:
        project.sync_blocking()
    assert caught.value.exit_code == 6
    assert "\n" not in str(caught.value)
    assert not project.state.index.exists()
    assert project.status().changes, "what needs no database works without one"


def test_no_such_database(folder: Path, postgresql: PostgreSQL) -> None:
    project = Project(folder, Options(database_url=url(postgresql, USER, "absent")))
    with pytest.raises(DatabaseServerError, match="createdb"):
        project.sync_blocking()


def test_a_password_is_the_environments_and_told_to_nobody(
    folder: Path, postgresql: PostgreSQL, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rules = postgresql.folder / "data" / "pg_hba.conf"
    trusting = rules.read_text()
    postgresql.execute("postgres", f"DROP ROLE IF EXISTS guarded; CREATE ROLE guarded LOGIN PASSWORD '{SECRET}'")
    database.execute("GRANT ALL ON SCHEMA public TO guarded; GRANT ALL ON ALL TABLES IN SCHEMA public TO guarded;")
    database.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO guarded")
    project = Project(folder, Options(database_url=url(postgresql, "guarded", database.name)))
    try:
        rules.write_text("local all guarded scram-sha-256\n" + trusting)
        postgresql.rows("postgres", "SELECT pg_reload_conf()")
        for name in ("PGPASSWORD", "PGPASSFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        for password in (None, SECRET[:-1]):
            if password is not None:
                monkeypatch.setenv("PGPASSWORD", password)
            for attempt in attempts(project)[:1]:
                with pytest.raises(DatabaseServerError, match="PGPASSWORD or PGPASSFILE") as caught:
                    attempt()
                told = "".join(traceback.format_exception(caught.value)) + str(caught.value)
                assert SECRET[:-1] not in told
        monkeypatch.setenv("PGPASSWORD", SECRET)
        assert project.sync_blocking().added == 1
        monkeypatch.delenv("PGPASSWORD")
        passwords = tmp_path / "passwords"
        passwords.write_text(f"*:*:*:guarded:{SECRET}\n")
        passwords.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(passwords))
        assert project.verify().ok
        for file in project.state.path.rglob("*"):
            assert SECRET.encode() not in file.read_bytes()
        assert SECRET not in repr(project.options)
    finally:
        rules.write_text(trusting)
        postgresql.rows("postgres", "SELECT pg_reload_conf()")


@pytest.mark.parametrize(
    "tables",
    [
        "CREATE TABLE theirs (id int)",
        "CREATE TABLE project (id int); INSERT INTO project VALUES (1)",
        "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('ab12cd34ef56')",
        "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('0001')",
        "CREATE TABLE alembic_version (version_num text); CREATE TABLE entity (id int)",
    ],
)
def test_tables_of_another_program_are_left_alone(folder: Path, blank: Database, tables: str) -> None:
    blank.execute(tables)
    before = everything(blank)
    project = Project(folder, Options(database_url=blank.url))
    with pytest.raises(DatabaseServerError, match="tables of another program"):
        project.sync_blocking()
    assert everything(blank) == before


def test_a_schema_of_its_own_is_enough(folder: Path, blank: Database) -> None:
    """Whatever is found by the search path elsewhere is not ours."""
    blank.execute(
        f"""CREATE TABLE public.alembic_version (version_num text); CREATE TABLE public.project (id int);
            CREATE SCHEMA "our own"; ALTER ROLE {USER} IN DATABASE {blank.name} SET search_path = "our own", public"""
    )
    project = Project(folder, Options(database_url=blank.url))
    assert project.sync_blocking().added == 1
    assert project.verify().ok
    assert blank.rows('SELECT count(*) FROM "our own".entity') == [(1,)]
    assert blank.rows("SELECT count(*) FROM public.alembic_version") == [(0,)]


def test_without_a_schema_nothing_can_be_stored(folder: Path, blank: Database) -> None:
    blank.execute(f"ALTER ROLE {USER} IN DATABASE {blank.name} SET search_path = nowhere")
    with pytest.raises(StateWriteError, match="has no schema"):
        Project(folder, Options(database_url=blank.url)).sync_blocking()


def test_a_newer_schema_is_refused_and_left_alone(vault: Vault) -> None:
    vault.sync()
    vault.execute("UPDATE alembic_version SET version_num = '9999'")
    assert vault.database is not None
    before = everything(vault.database)
    for attempt in (*attempts(vault.project), vault.project.rehearse_sync):
        with pytest.raises(SchemaUnsupportedError, match="newer release"):
            attempt()
    assert everything(vault.database) == before


def test_a_user_who_may_not_create_tables_is_told(folder: Path, postgresql: PostgreSQL, blank: Database) -> None:
    postgresql.execute("postgres", "DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN")
    project = Project(folder, Options(database_url=url(postgresql, "guest", blank.name)))
    with pytest.raises(StateWriteError, match="grant the user"):
        project.sync_blocking()


def test_a_database_that_is_read_only_is_told(vault: Vault) -> None:
    vault.sync()
    assert vault.database is not None
    name = vault.database.name
    vault.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    vault.write("new.md")
    with pytest.raises(StateWriteError, match="cannot be written to"):
        vault.sync()
    assert vault.project.verify().ok
    vault.database.server.leave(name)
    vault.database.server.execute("postgres", f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert vault.sync().added == 1


def test_a_database_of_another_encoding_is_refused(folder: Path, postgresql: PostgreSQL) -> None:
    latin = postgresql.database(encoding="LATIN1")
    with pytest.raises(DatabaseServerError, match="LATIN1"):
        Project(folder, Options(database_url=latin.url)).sync_blocking()
    latin.drop()


def test_whoever_holds_the_tables_is_waited_for_and_then_told(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.sync()
    vault.write("new.md")
    monkeypatch.setitem(postgresql_module._SETTINGS, "lock_timeout", "50ms")
    vault.execute("BEGIN")
    vault.execute("LOCK TABLE entity")
    with pytest.raises(LockHeldError, match="another program is using it"):
        vault.sync()
    vault.execute("ROLLBACK")
    assert vault.sync().added == 1
    assert vault.project.verify().ok


def test_without_the_driver_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "asyncpg":
            raise ImportError(name)
        return ordinary(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    project = Project(folder, Options(database_url="postgresql://me@127.0.0.1:1/notes"))
    with pytest.raises(DatabaseServerError, match=r"pip install 'bm-gitindex\[postgresql\]'"):
        project.sync_blocking()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("53100", StateWriteError),
        ("53300", DatabaseServerError),
        ("40001", LockHeldError),
        ("40P01", LockHeldError),
        ("57P01", DatabaseServerError),
        ("57P03", DatabaseServerError),
        ("08006", DatabaseServerError),
        ("XX001", DatabaseServerError),
        ("42P01", DatabaseServerError),
        ("23505", None),
        ("42601", None),
    ],
)
def test_what_a_server_reports_is_told_as_what_it_is(
    database: Database, state: str, expected: type[BmGitIndexError] | None
) -> None:
    import asyncpg

    error = asyncpg.PostgresError.new({"C": state, "M": "what happened", "D": "of a note"})
    reported = postgresql_module.translated(error, database.at)
    assert (None if reported is None else type(reported)) is expected
    assert reported is None or "of a note" not in str(reported)


def test_a_connection_that_is_no_more_is_the_servers_affair(database: Database) -> None:
    import asyncpg

    for error in (
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
        ConnectionResetError("reset"),
        TimeoutError(),
    ):
        assert isinstance(postgresql_module.translated(error, database.at), DatabaseServerError)


def test_a_fault_of_the_program_is_not_the_servers(database: Database) -> None:
    with pytest.raises(KeyError), postgresql_module.errors_translated(database.at):
        raise KeyError("ours")
