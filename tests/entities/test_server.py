"""What `database_url` may say, and that a password in it goes nowhere."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest

from bm_gitindex.cli import main
from bm_gitindex.config import config_path, load_options, options_from, store_option
from bm_gitindex.entities.server import server_at
from bm_gitindex.errors import ConfigError
from bm_gitindex.options import Options
from bm_gitindex.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "s3cr3t"

GOOD = [
    ("postgresql://host/db", "postgresql://host/db", "PostgreSQL database 'db' (host)"),
    ("postgresql+asyncpg://me@host:5433/db", "postgresql://me@host:5433/db", "PostgreSQL database 'db' (host:5433)"),
    ("postgresql://me:@host/db", "postgresql://me@host/db", "PostgreSQL database 'db' (host)"),
    ("postgresql://[::1]:5433/db", "postgresql://[::1]:5433/db", "PostgreSQL database 'db' ([::1]:5433)"),
    (
        "postgresql:///db?host=/run/pg&sslmode=disable",
        "postgresql:///db?host=%2Frun%2Fpg&sslmode=disable",
        "PostgreSQL database 'db' (/run/pg)",
    ),
    ("postgresql:///db", "postgresql:///db", "PostgreSQL database 'db' (the host that the environment names)"),
    ("postgresql://a%40b@host/my%20db", "postgresql://a%40b@host/my%20db", "PostgreSQL database 'my db' (host)"),
]

BAD = [
    f"postgresql://me:{SECRET}@host/db",
    f"postgresql://me:{SECRET}@/db",
    f"postgresql://:{SECRET}@host/db",
    f"postgresql+asyncpg://me:{SECRET}@host/db",
    f"postgresql://host/db?password={SECRET}",
    f"postgresql://host/db?sslpassword={SECRET}",
    f"postgresql://host/db?passfile=/tmp/{SECRET}",
    f"postgresql://me:a/{SECRET}@host/db",
    f"postgresql://me:12/{SECRET}@host/db",
    f"postgresql://me:12/{SECRET}@host",
    f"postgresql://me:a#{SECRET}@host/db",
    f"postgresql://me:12#{SECRET}@host/db",
    f"postgresql://me:a?{SECRET}@host/db",
    f"postgresql://me:12?{SECRET}=x@host/db",
    f"postgresql://me:[{SECRET}@host/db",
    f"postgresql://me: {SECRET}@host/db",
    f"mysql://me:{SECRET}@host/db",
    f"sqlite:///{SECRET}.db",
    f"{SECRET}.db",
    f"postgresql://host/{SECRET}/more",
    "postgresql://host",
    "postgresql://host/",
    "postgresql://host/db?application_name=x",
    "postgresql://host/db#x",
    "postgresql://host:99999/db",
    "postgresql://host/d\nb",
    "",
]


@pytest.mark.parametrize(("given", "url", "name"), GOOD)
def test_a_database_is_named_by_its_url(given: str, url: str, name: str) -> None:
    server = server_at(given)
    assert (server.url, str(server)) == (url, name)
    assert server_at(server.url) == server


@pytest.mark.parametrize("url", BAD)
def test_what_is_no_such_url_is_refused_and_never_quoted(url: str, tmp_path: Path) -> None:
    (tmp_path / ".basic-memory").mkdir()
    path = config_path(tmp_path)
    attempts: list[Callable[[], object]] = [
        lambda: server_at(url),
        lambda: Project(tmp_path, Options(database_url=url)),
        lambda: options_from({"database_url": url}),
        lambda: options_from({"database_url": [url]}),
        lambda: store_option(tmp_path, "database_url", url),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigError, match="database_url") as caught:
            attempt()
        assert caught.value.exit_code == 2
        assert SECRET not in "".join(traceback.format_exception(caught.value))
        assert "\n" not in str(caught.value)
    assert not path.exists()


def test_the_command_line_tells_no_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".basic-memory").mkdir()
    config_path(tmp_path).write_text(f'database_url = "postgresql://me:{SECRET}@host/db"\n')
    for command in (["sync"], ["status"], ["config", "list"], ["config", "get", "database_url"]):
        assert main(["-C", str(tmp_path), "-vv", *command]) == 2
        said = capsys.readouterr()
        assert SECRET not in said.out + said.err
        assert "PGPASSWORD" in said.err


def test_a_password_is_told_from_what_the_url_says_else(tmp_path: Path) -> None:
    for url in (f"postgresql://me:{SECRET}@host/db", f"postgresql://host/db?password={SECRET}"):
        with pytest.raises(ConfigError, match="PGPASSWORD, or in the file that PGPASSFILE names"):
            server_at(url)
    assert SECRET not in repr(Options(database_url=f"postgresql://me:{SECRET}@host/db"))


def test_the_url_is_kept_in_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://me@host/db"
    assert main(["-C", str(tmp_path), "config", "get", "database_url"]) == 0
    assert capsys.readouterr().out == "(default)\n"
    assert main(["-C", str(tmp_path), "config", "set", "database_url", url]) == 0
    assert load_options(tmp_path).database_url == url
    assert main(["-C", str(tmp_path), "config", "get", "database_url"]) == 0
    assert capsys.readouterr().out == f"{url}\n"
