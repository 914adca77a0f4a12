"""Names that a shell, a terminal, a JSON parser or a database might stumble over: all that a file system allows."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex import cli
from bm_gitindex.config import store_option
from bm_gitindex.options import Options
from support.git import Git
from support.profile import sample
from support.vault import Vault, never_young

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEMS = [
    *(b"new\nline", b"tab\tand\rreturn", b"bell\x07 escape\x1b[31m red \x7f", b"\x01", b" \x1c\x1d\x1e\x1f\x0b\x0c"),
    *(b'"quoted"', b"'", b"back\\slash", b"\\", b"\\n", b"`$(touch x)`", b"%00 %s %n", b"a;b&c|d", b"<>?*:"),
    *(b"\xff", b"\xc0\xaf overlong", b"\xe0\x80\xaf", b"\xed\xa0\x80 lone", b"\xed\xb3\xbf", b"\xf4\x90\x80\x80"),
    *(b"\xc3", "csi \x9b31m".encode(), "nel\x85 ls\u2028".encode(), "\u202eevil".encode(), "\ufeffbom".encode()),
    *(b"n" * 252, b"\xff" * 252, "é".encode() * 126),
    *("café".encode(), "cafe\u0301".encode(), b"Case", b"case", "ß".encode(), "ẞ".encode(), b"git~1"),
    *(b"dot.", b"space ", b" lead", b"  ", b"-", b"--json", b"-rf *", b"index", b"config", b"con", b"NUL", b"aux.txt"),
    *(
        "\U0001f469\u200d\U0001f467".encode(),
        "\u2044\u2044ff".encode(),
        "\u05d0\u05d1 rtl".encode(),
        "\U00020000".encode(),
    ),
    *(b"# heading", b"[[link]]", b"a|b", b"{}", b"*glob*", b"[a-z]", b"!not", b"a=b", b"@", b"^", b"a,b"),
]
NAMES = [stem + b".md" for stem in STEMS]
BARE = [b"...", b"....md.", b" ", b"   ", b"md", b"-", b"\xff", b"\n", b"entities.db", b"index", b"lock"]
"""Files that are no notes."""
FOLDERS = [b"index", b"fol\nder", b"\xff\xfe", b" ", b"...", b"-", b"[[x]]", "é".encode(), "e\u0301".encode(), b"x.md"]


class HostileVault(Vault):
    """A vault whose paths are bytes."""

    def at(self, path: bytes) -> bytes:
        return os.path.join(os.fsencode(self.root), path)

    def put(self, path: bytes, content: bytes) -> None:
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "wb") as file:
            file.write(content)

    def is_sound(self) -> bool:
        found = self.project.verify()
        assert found.mismatches == ()
        return found.ok and not found.pending

    def cold(self, elsewhere: Path) -> dict[str, object]:
        """What a vault says that is made of a copy of these files."""
        shutil.copytree(self.root, elsewhere, ignore=shutil.ignore_patterns(".basic-memory"))
        fresh = Vault(elsewhere, self.options)
        fresh.sync()
        return fresh.meaning()


def paths() -> Iterator[bytes]:
    yield from NAMES
    for number, folder in enumerate(FOLDERS):
        yield b"in/" + folder + b"/" + NAMES[number]
        yield b"in/" + folder + b"/" + BARE[number]
    yield from (b"bare/" + name for name in BARE)


PATHS = sorted(set(paths()))
SHOW_ALL = Options(include_hidden=True)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostileVault:
    never_young(monkeypatch)
    vault = HostileVault(tmp_path / "vault", SHOW_ALL)
    store_option(vault.root, "include_hidden", "true")  # for the commands
    for number, path in enumerate(PATHS):
        vault.put(path, b"- [n] number %d\n" % number)
    # What is ours is never taken in, wherever it stands.
    vault.put(b"in/.basic-memory/index", b"DIRC")
    return vault


@pytest.fixture
def git(vault: Vault, tmp_path: Path) -> Git:
    return Git(tmp_path / "git", vault.index_path, vault.root)


class Say:
    """What a command prints."""

    def __init__(self, root: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        self._root = str(root)
        self._capture = capture

    def __call__(self, *arguments: str) -> bytes:
        assert cli.main(["-C", self._root, *arguments]) == 0
        output, errors = self._capture.readouterr()
        assert errors == b""
        return output

    def json(self, *arguments: str) -> Any:
        return json.loads(self(arguments[0], "--json", *arguments[1:]))


@pytest.fixture
def say(vault: HostileVault, capfdbinary: pytest.CaptureFixture[bytes]) -> Say:
    return Say(vault.root, capfdbinary)


def raw(text: str) -> bytes:
    """The path that a text of the JSON output stands for."""
    return text.encode("utf-8", "surrogateescape")


def test_new_names_are_told_byte_for_byte(vault: HostileVault, say: Say, git: Git) -> None:
    assert [raw(change["path"]) for change in say.json("status")["changes"]] == PATHS
    assert say("status", "-z").split(b"\0")[1::2] == PATHS
    assert say("status", "--porcelain").splitlines() == [b"A\t" + line for line in _new_by_git(git)]
    assert len(say("status").splitlines()) == 1 + len(PATHS)


def _new_by_git(git: Git) -> list[bytes]:
    """New files as git quotes them, in our order."""
    told = dict(zip(git("ls-files", "-o", "-z").split(b"\0"), git("ls-files", "-o").splitlines(), strict=False))
    return [told[path] for path in PATHS]


def test_a_terminal_gets_no_control_character(vault: HostileVault, say: Say) -> None:
    vault.sync()
    for path in PATHS:
        vault.put(path, b"edited [[\x1b[31m]]\n")
    output = say("status") + say("-v", "sync") + say("verify") + say("status", "--porcelain") + say("ls-files")
    assert not set(output) & (set(range(32)) - {9, 10} | {127})
    assert b"\xc2\x9b" not in output  # CSI in one character


def test_the_index_is_listed_as_git_lists_it(vault: HostileVault, say: Say, git: Git) -> None:
    vault.sync()
    for arguments in (["ls-files"], ["ls-files", "-s"], ["ls-files", "-z"], ["ls-files", "-s", "-z"]):
        assert say(*arguments) == git(*arguments)
    assert say("ls-files", "-z").split(b"\0")[:-1] == PATHS
    assert vault.is_sound()


def test_edits_and_deletions_are_told_as_git_tells_them(vault: HostileVault, say: Say, git: Git) -> None:
    vault.settled_sync()
    for number, path in enumerate(PATHS):
        if number % 3:
            vault.put(path, b"edited\n")
        else:
            os.unlink(vault.at(path))
    assert say("status", "--porcelain") == git.run("diff-files", "--name-status").stdout
    assert say("status", "-z") == git.run("diff-files", "--name-status", "-z").stdout
    vault.sync()
    assert vault.is_sound()


def test_an_entity_is_found_by_its_path(vault: HostileVault, say: Say) -> None:
    vault.sync()
    for path in sample(PATHS, 15):
        shown = say.json("show", os.fsdecode(b"./" + path))
        assert raw(shown["file_path"]) == path
        content = [f"number {PATHS.index(path)}"] if path.endswith(b".md") else []
        assert [fact["content"] for fact in shown["observations"]] == content


def test_a_life_from_beginning_to_end(vault: HostileVault, say: Say, tmp_path: Path) -> None:
    """Added, edited, moved, deleted; what the stores say is at each step what a cold rebuild says."""
    assert vault.settled_sync().added == len(PATHS)
    assert vault.sync().counters.files_read == 0
    assert vault.meaning() == vault.cold(tmp_path / "one")

    for number, path in enumerate(PATHS):
        vault.put(path, b"- [n] edited %d [[other]]\n" % number)
    assert vault.settled_sync().modified == len(PATHS)
    assert vault.meaning() == vault.cold(tmp_path / "two")
    ids = set(vault.rows("SELECT blob_id, id FROM entity"))

    for path in PATHS:
        os.renames(vault.at(path), vault.at(b"moved/\xff\n/" + path))
    fields = say("status", "-z").split(b"\0")[:-1]
    assert fields[0::3] == [b"R100"] * len(PATHS)
    assert list(zip(fields[1::3], fields[2::3], strict=True)) == [(path, b"moved/\xff\n/" + path) for path in PATHS]
    assert vault.settled_sync().moved == len(PATHS)
    assert set(vault.rows("SELECT blob_id, id FROM entity")) == ids
    assert vault.meaning() == vault.cold(tmp_path / "three")

    vault.write("stays.md")
    for path in PATHS:
        os.unlink(vault.at(b"moved/\xff\n/" + path))
    assert vault.sync(allow_mass_delete=True).deleted == len(PATHS)
    assert vault.ids().keys() == {"stays.md"}
    assert vault.is_sound()


@pytest.mark.parametrize(
    "path", [b"new\nline.md", b"\xff.md", b"-.md", b"--json.md", b"  .md", b"in/ /" + NAMES[3]], ids=ascii
)
def test_a_path_can_be_given_to_a_command(vault: HostileVault, say: Say, path: bytes) -> None:
    vault.settled_sync()
    vault.put(path, b"edited by hand\n")
    vault.put(b"stays.md", b"not asked for\n")
    assert say("status", "-z", "--", os.fsdecode(path)) == b"M\0" + path + b"\0"
    assert say.json("sync", "--", os.fsdecode(path))["modified"] == 1
    assert [raw(change["path"]) for change in say.json("status")["changes"]] == [b"stays.md"]
