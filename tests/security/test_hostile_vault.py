"""A vault that wants to be read wrongly runs nothing, leads nowhere, and commands no terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from bm_gitindex import cli
from bm_gitindex.rules import SkipReason
from support.audit import audited, environment, run, script, traced
from support.hostile import ESCAPES, HEADERS, NAMES, make_hostile_vault
from support.profile import NIGHTLY
from support.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.audit import Event

EXIT_CODES = {
    "sync": 0,
    "verify": 0,
    "show note.md": 0,
    "sync link/secret.md up etc": 0,
    "status": 0,
    "sync --paranoid": 0,
    "sync --dry-run": 0,
    "ls-files": 0,
    "config list": 0,
}
COMMANDS = [command.split() for command in EXIT_CODES]
FORBIDDEN = (
    *("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pty.", "pickle.", "webbrowser."),
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostby", "urllib.", "http.", "ftplib."),
    *("sqlite3.enable_load_extension", "sqlite3.load_extension", "builtins.input", "pdb.", "mmap.", "os.putenv"),
)
WRITING = (
    *("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.lchown"),
    *("os.truncate", "os.utime", "os.setxattr", "shutil.", "tempfile."),
)
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
SYSTEM = ("/usr/", "/lib", "/etc/", "/proc/", "/sys/", "/dev/null", "/dev/urandom", "/var/lib/dbus/machine-id", "/opt/")


class Hostile(NamedTuple):
    """A vault, what is around it, and where the test keeps its own things."""

    root: Path
    outside: Path
    scratch: Path
    env: Mapping[str, str]


@pytest.fixture
def hostile(tmp_path: Path) -> Hostile:
    root, outside, home, scratch = (tmp_path / name for name in ("vault", "outside", "home", "scratch"))
    make_hostile_vault(root, outside)
    home.mkdir()
    scratch.mkdir()
    (home / ".gitconfig").write_text("[core]\n\texcludesFile = ~/ignored\n")
    (home / ".config/git").mkdir(parents=True)
    (home / ".config/git/ignore").write_text("*.md\n")
    (home / "ignored").write_text("*.md\n")
    env = environment(HOME=str(home), XDG_CONFIG_HOME=str(home / ".config"), TMPDIR=str(scratch))
    return Hostile(root, outside, scratch, env)


def listing(folder: Path) -> dict[str, object]:
    """Everything in a folder but the state: what it is, and what is in it."""
    found: dict[str, object] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".basic-memory"]
        for name in (*folders, *names):
            path = os.path.join(place, name)
            st = os.lstat(path)
            found[path] = (st.st_mode, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
    return found


def test_no_command_leaves_its_bounds_or_runs_anything_by_the_audit_hook(hostile: Hostile) -> None:
    before = listing(hostile.root), listing(hostile.outside)
    for command in COMMANDS if NIGHTLY else COMMANDS[:4]:
        code, events = audited(command, hostile.root, hostile.scratch / "audit", hostile.env)
        assert code == EXIT_CODES[" ".join(command)], command
        for event in events:
            assert not event.name.startswith(FORBIDDEN), (command, event)
            check_event(hostile, event)
    assert (listing(hostile.root), listing(hostile.outside)) == before
    assert not list(hostile.root.parent.rglob("owned"))


def check_event(hostile: Hostile, event: Event) -> None:
    root, state = f"{hostile.root}/", f"{hostile.root}/.basic-memory"
    told = [argument.removeprefix("b'").removesuffix("'") for argument in event.arguments]
    assert not any(str(hostile.outside) in argument for argument in told), event
    if event.name == "exec":
        assert not told[0].startswith(root), event
    elif event.name.startswith(WRITING):
        paths = [argument for argument in told if "/" in argument]
        assert all(path.startswith((state, str(hostile.scratch))) for path in paths), event
    elif event.name == "open":
        path, _, flags = told
        if not path.startswith("/"):  # relative to a folder's descriptor; or a descriptor itself
            assert "/" not in path, event
            assert path not in ("..", "."), event
            assert path.isdecimal() or int(flags) & os.O_NOFOLLOW or path == "lock", event
            is_state = path in ("index", "index.own", "entities.db", "config.toml")
            assert is_state or path.isdecimal() or not int(flags) & WRITE_FLAGS, event
        elif path.startswith(root) and not path.startswith(state):
            assert not int(flags) & WRITE_FLAGS, event
    elif event.name == "sqlite3.connect":
        assert hostile.root.name in told[0] or str(hostile.scratch) in told[0], event


@pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace")
@pytest.mark.parametrize("command", COMMANDS[: 6 if NIGHTLY else 1], ids=" ".join)
def test_no_command_leaves_its_bounds_by_its_system_calls(hostile: Hostile, command: list[str]) -> None:
    assert run([sys.executable, script(hostile.scratch), "sync"], hostile.root, hostile.env).returncode == 0
    with (hostile.root / "note.md").open("a") as file:
        file.write("edited\n")
    home, root = hostile.env["HOME"], str(hostile.root)
    state = f"{root}/.basic-memory"
    libraries = (sys.prefix, sys.base_prefix, sys.exec_prefix, *(path for path in sys.path if path.startswith("/")))
    allowed = (*SYSTEM, *libraries, *hostile.env["PYTHONPATH"].split(":"), root, str(hostile.scratch))
    calls = traced(command, hostile.root, hostile.scratch, hostile.env)
    assert command[0] == "show" or f"{root}/note.md" in [call.leads_to for call in calls] or "up" in command
    for call in calls:
        if call.name in ("open", "openat", "openat2"):
            assert call.leads_to is not None, call
            assert call.leads_to.startswith(allowed), call
            assert not call.leads_to.startswith((str(hostile.outside), home)), call
            is_writing = any(flag in call.arguments for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"))
            assert not is_writing or call.leads_to.startswith((state, str(hostile.scratch), "/dev/null")), call
        elif call.name == "execve":
            assert call.paths[0] == sys.executable, call
        else:
            assert call.name not in ("connect", "bind"), call
            assert all(path.startswith((state, str(hostile.scratch))) for path in call.paths), call


@pytest.mark.parametrize("way", ["the command", "python -P -m"])
def test_nothing_is_imported_from_the_vault_that_the_user_stands_in(hostile: Hostile, way: str) -> None:
    command = [script(hostile.scratch)] if way == "the command" else ["-P", "-m", "bm_gitindex"]
    for arguments in COMMANDS if NIGHTLY else COMMANDS[:3:2]:
        done = run([sys.executable, *command, *arguments], hostile.root, hostile.env)
        assert done.returncode in (0, 3), done.stderr
        assert b"Traceback" not in done.stderr
    assert not (hostile.root / "owned").exists()


def test_the_traps_would_spring(hostile: Hostile) -> None:
    """What `python -m` does by itself, and no program can undo: the working folder comes first."""
    run([sys.executable, "-m", "bm_gitindex", "status"], hostile.root, hostile.env)
    assert (hostile.root / "owned").exists()


def test_every_hostile_note_is_an_entity_and_what_is_no_data_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_hostile_vault(tmp_path / "vault", tmp_path / "outside")
    monkeypatch.chdir(tmp_path)
    vault = Vault(tmp_path / "vault")
    report = vault.sync()
    ids = vault.ids()
    assert ids.keys() >= {f"{name}.md" for name in HEADERS} | set(NAMES)
    warned = {path.decode() for path, _ in report.warnings}
    assert warned >= {f"{name}.md" for name in HEADERS} - {"binary-bomb.md", "merge-bomb.md"}
    assert not [path for path in ids if "secret" in str(path)]
    assert {"linked/in.md", "piped/in.md", "foldered/in.md", "sparse/in.md", "outward/in.md"} <= ids.keys()
    assert report.failed == []
    assert [one.path for one in report.skipped if one.reason is SkipReason.RULES_NOTHING] == [b"sparse/.gitignore"]
    assert not list(tmp_path.rglob("owned"))
    assert vault.project.verify().mismatches == ()


async def test_a_key_means_itself_whatever_sql_would_make_of_it(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    for number, name in enumerate(NAMES):
        vault.write(name, f'---\npermalink: "x\'; %_ {number}"\n---\n')
    await vault.project.sync()
    async with vault.project.entities() as entities:
        for key in (*NAMES, "x'; %_ 0", "%", "_", "'", '"', "\\", "x'; __ 0", "' OR 1=1 --"):
            found = await entities.get(key)
            expected = NAMES[0] if key == "x'; %_ 0" else key if key in NAMES else None
            assert (None if found is None else found.file_path.decode()) == expected
    assert vault.rows("SELECT count(*) FROM entity") == [(len(NAMES),)]


@pytest.mark.parametrize(
    "command",
    [*COMMANDS[:6], ["-vv", "sync"], ["-vv", "show", ESCAPES], ["config", "list"], ["status", f"no {ESCAPES}"]],
)
def test_no_name_and_no_content_commands_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], command: list[str]
) -> None:
    make_hostile_vault(tmp_path / "vault", tmp_path / "outside")
    vault = Vault(tmp_path / "vault")
    vault.write(f"dir {ESCAPES.replace('/', '')}/in.md", "in\n")
    with open(os.fsencode(vault.root) + b"/raw \x9b31m.md", "wb"):
        pass
    vault.sync()
    vault.execute("UPDATE entity SET title = ? WHERE file_path = 'note.md'", f"stored {ESCAPES}")
    vault.execute("UPDATE relation SET pending = 1, target = ?", f"target {ESCAPES}")
    vault.write(".basic-memory/config.toml", 'ignore = ["never \\u001b[2J\\u202e"]\n')
    for number in range(3):
        vault.write(f"new {number} {ESCAPES.replace('/', '')}.md", f"---\n{ESCAPES}: [\n---\n")
    monkeypatch.chdir(vault.root)
    capfdbinary.readouterr()
    cli.main(command)
    said = b"".join(capfdbinary.readouterr())
    assert said
    text = said.decode()  # all of it is UTF-8
    assert all(character == "\n" or character.isprintable() for character in text), text


def test_the_environment_changes_nothing(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    vault.write("one.md", "# One\n[[two]]\n")
    vault.write("two.md", "# Two\n")
    vault.write("three.log", "three\n")
    vault.sync()
    plain = vault.meaning()
    shutil.rmtree(vault.state_path)
    ignore = tmp_path / "ignore"
    ignore.write_text("*\n")
    config = tmp_path / "gitconfig"
    config.write_text(f"[core]\n\texcludesFile = {ignore}\n\ttrustctime = false\n")
    env = environment(
        GIT_DIR=str(tmp_path / "no"),
        GIT_INDEX_FILE=str(tmp_path / "other-index"),
        GIT_CONFIG_GLOBAL=str(config),
        GIT_WORK_TREE=str(tmp_path),
        ALEMBIC_CONFIG=str(tmp_path / "alembic.ini"),
        DATABASE_URL=f"sqlite:///{tmp_path}/other.db",
        BASIC_MEMORY_HOME=str(tmp_path / "memory"),
        BM_GITINDEX_STATE_DIR=str(tmp_path / "state"),
        SQLALCHEMY_WARN_20="1",
        TZ="Asia/Tokyo",
        LANG="tr_TR.UTF-8",
    )
    done = run([sys.executable, script(tmp_path / "bin"), "-C", vault.root, "sync"], tmp_path, env)
    assert done.returncode == 0, done.stderr
    assert vault.meaning() == plain
    assert sorted(os.listdir(tmp_path)) == ["bin", "gitconfig", "ignore", "vault"]


def test_a_pipe_or_socket_named_by_the_user_is_refused_without_waiting(hostile: Hostile) -> None:
    try:
        done = run([sys.executable, script(hostile.scratch), "sync", "pipe.md", "socket.md"], hostile.root, hostile.env)
    except subprocess.TimeoutExpired:
        pytest.fail("it waited")
    assert done.returncode in (0, 3)
