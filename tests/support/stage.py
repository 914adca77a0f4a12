"""A vault at the moment before a command, to which it can be brought back as often as wanted; what must hold after.

No command writes to the user's files, so that only the state folder has to be put back: inodes and times of the files
stay as they are, and what the index says of them stays proven.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.config import load_options
from bm_gitindex.entities.reader import open_reader
from bm_gitindex.errors import BmGitIndexError, DatabaseDamagedError, IndexDamagedError, NotFoundError
from support.profile import NIGHTLY
from support.strace import Injection
from support.trace import ABOUT_ACCESS, DURABLE, HARMLESS, below
from support.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from support.strace import Ended, Tracer
    from support.trace import Call

NOTE = "---\ntitle: One\n---\n- [fact] water is wet #nature\n- relates_to [[Two]]\n- [[new]]\n"
GATES = (
    "bm_gitindex.entities.database:_open:1",
    "bm_gitindex.syncing.session:set_database_aside:1",
    "bm_gitindex.syncing.findings:set_aside:1",
    "bm_gitindex.entities.database:_create_private:2",
    "bm_gitindex.entities.database:_open:2",
    "bm_gitindex.indexlock:IndexLock.commit:1",
    "bm_gitindex.entities.database:_empty_wal:1",
)
"""Where threads begin or end to write: between two of these, calls can be counted."""
STATE_FILES = frozenset({".gitignore", "config.toml", "entities.db", "index", "index.own", "lock"})
"""All that is in a state folder when nobody is at work."""


class Site(NamedTuple):
    """One durable call of a run: the n-th of its name about its paths, in the same words, all threads together."""

    name: str
    paths: tuple[str, ...]
    word: str
    """The first in which the call names what it is about: all that strace can choose it by."""
    number: int

    def __str__(self) -> str:
        names = " -> ".join(os.path.basename(path) for path in self.paths)
        where = "" if os.path.isabs(self.word) else " in its folder"
        return f"{self.name} {names}{where} #{self.number}"


class Point(NamedTuple):
    """A durable call, and how to get at it: by counting from a gate on."""

    gate: str
    site: Site
    call: Call
    act: list[Call]
    """All durable calls from the gate on."""

    @property
    def is_countable(self) -> bool:
        """Whether no other thread comes to so many such calls before."""
        earlier = Counter(call.thread for call in self._alike if call.began < self.call.began)
        return all(earlier[thread] <= earlier[self.call.thread] for thread in earlier)

    def injection(self, what: str, and_after: str = "") -> Injection:
        """Return what lets something happen at this call; `and_after` "+": and at all such that follow."""
        in_its_thread = [call for call in self._alike if call.thread == self.call.thread]
        when = str(1 + in_its_thread.index(self.call))
        return Injection(self.site.name, (self.site.word,), what, when + and_after)

    @property
    def _alike(self) -> list[Call]:
        return [call for call in self.act if call.name == self.call.name and self.site.word in call.words]


class Saved(NamedTuple):
    """A file of the state folder."""

    data: bytes
    mtime_ns: int
    inode: int = 0
    """Of two names of one file the same; 0: a file by itself."""


State = dict[str, Saved]


@dataclass(frozen=True)
class Scenario:
    """What a vault went through before a command, and the command."""

    name: str
    prepare: Callable[[Vault], None]
    arguments: tuple[str, ...] = ("sync",)
    kept: Mapping[str, str] = field(default_factory=dict)
    """Paths whose entities must keep their ids, with those that they had before."""
    tolerated: tuple[type[BmGitIndexError], ...] = ()
    """What a reader may say while nothing has been repaired."""
    damaged: str = ""
    """The file that the run is to keep aside."""


class Stage:
    """A scenario, set up in a folder."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self.vault = Vault(folder / "vault")
        self.root = self.vault.root
        self.state_path = self.root / ".basic-memory"
        scenario.prepare(self.vault)
        self.saved = self.snapshot()
        self.argv = ["-C", str(self.root), *scenario.arguments]
        self.look_again()
        self._ids = self.vault.ids() if scenario.kept else {}
        self._cold = cold_meaning(self.vault, folder / "cold")
        shutil.rmtree(folder / "cold")

    def snapshot(self) -> State:
        """Return the state folder as it is."""
        if not self.state_path.exists():
            return {}
        found = {}
        for path in self.state_path.iterdir():
            st = path.stat()
            found[path.name] = Saved(path.read_bytes(), st.st_mtime_ns, st.st_ino)
        return found

    def put(self, state: State) -> None:
        """Make the state folder such."""
        shutil.rmtree(self.state_path, ignore_errors=True)
        if not state:
            return
        self.state_path.mkdir(mode=0o700)
        names: dict[int, str] = {}
        for name, saved in state.items():
            path = self.state_path / name
            if saved.inode in names:
                path.hardlink_to(self.state_path / names[saved.inode])
                continue
            path.write_bytes(saved.data)
            os.utime(path, ns=(saved.mtime_ns, saved.mtime_ns))
            if saved.inode:
                names[saved.inode] = name

    def reset(self) -> None:
        """Make the state folder what it was before the command."""
        self.put(self.saved)

    def look_again(self) -> None:
        """Take the user's files to be as they are now."""
        self._files = self.user_files()

    def expect_no_moves(self) -> None:
        """Do not ask for the ids of moved files: where a folder cannot be read, nobody can know of a move."""
        kept = {path: old_path for path, old_path in self.scenario.kept.items() if path == old_path}
        self.scenario = replace(self.scenario, kept=kept)

    def user_files(self) -> dict[str, tuple[object, ...]]:
        """Return content and stat of everything outside of the state folder."""
        found: dict[str, tuple[object, ...]] = {}
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if name != ".basic-memory"]
            for name in names:
                path = os.path.join(folder, name)
                st = os.lstat(path)
                content = b"" if st.st_size > 1 << 20 else _content(path)
                found[path] = (st.st_ino, st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns, content)
        return found

    def points(self, tracer: Tracer, names: frozenset[str] = DURABLE) -> list[Point]:
        """Return the calls of these names of an undisturbed run; all others must be known to be of no effect.

        By day those are left out that take a trace of their own.
        """
        self.reset()
        whole = self._calls_of(tracer.trace(self.argv), names)
        points = [Point("", site, call, whole) for site, call in sites_of(whole)]
        if not NIGHTLY:
            return [point for point in points if point.is_countable]
        for gate in GATES if not all(point.is_countable for point in points) else ():
            self.reset()
            act = self._calls_of(tracer.trace(self.argv, gate), names)
            begins = len(whole) - len(act)
            assert [call.name for call in act] == [call.name for call in whole[begins:]], gate
            for number, (site, call) in enumerate(sites_of(act), begins):
                if not points[number].is_countable:
                    points[number] = Point(gate, site, call, act)
        assert all(point.is_countable for point in points), "a gate is missing"
        return points

    def _calls_of(self, ended: Ended, names: frozenset[str]) -> list[Call]:
        assert ended.status == 0, ended.err
        known = DURABLE | HARMLESS | ABOUT_ACCESS
        calls = self.about_state(ended)
        unknown = {call.name for call in calls} - known
        assert not unknown, f"neither known to be durable nor to be harmless: {unknown}"
        return [call for call in calls if call.name in names]

    def about_state(self, ended: Ended) -> list[Call]:
        """Return the calls of a run that are about the state folder or what is in it."""
        return below(ended.calls, str(self.state_path))

    def wrongs_after_crash(self) -> list[str]:
        """Return what is wrong just after a crash or an error: what was stored must be readable, by all who read."""
        wrongs = []
        if self.user_files() != self._files:
            wrongs.append("user files were changed")
        before = self.snapshot()
        tolerated = self.scenario.tolerated
        try:
            self.project_vault.status()
        except BmGitIndexError as error:
            if not (isinstance(error, IndexDamagedError) and isinstance(error, tolerated)):
                wrongs.append(f"status: {error!r}")
        if self.snapshot() != before:
            wrongs.append("status changed the state")
        return wrongs + self._reader_wrongs()

    def _reader_wrongs(self) -> list[str]:
        # Imported here: what is not run by asyncio needs none of it.
        import asyncio

        try:
            ids = asyncio.run(self._read_ids())
        except BmGitIndexError as error:
            if isinstance(error, self.scenario.tolerated) and isinstance(error, NotFoundError | DatabaseDamagedError):
                return []
            return [f"reader: {error!r}"]
        return [f"{path} has id {ids[path]}, not {self._ids[path]}" for path in ids if ids[path] != self._ids[path]]

    async def _read_ids(self) -> dict[str, object]:
        """Return the ids, by the library, of entities whose files no command changes or moves."""
        ids: dict[str, object] = {}
        # Of a copy: the last reader to leave tidies up what a killed writer has left, which the sync is to find.
        with tempfile.TemporaryDirectory() as folder:
            for path in self.state_path.glob("entities.db*"):
                shutil.copy2(path, folder)
            async with open_reader(Path(folder) / "entities.db") as entities:
                await entities.count()
                for name, old_name in self.scenario.kept.items():
                    if name == old_name:
                        found = await entities.get_by_path(os.fsencode(name))
                        ids[name] = found and found.id
        return ids

    def wrongs_after_sync(self) -> list[str]:
        """Let one undisturbed sync follow; return what is wrong after it."""
        self.age_index()
        vault = self.project_vault
        try:
            report = vault.sync()
        except Exception as error:  # noqa: BLE001  -- any is a finding, to be told with its kill point
            return [f"sync: {error!r}"]
        wrongs = [f"sync could not read {failed.path!r}" for failed in report.failed]
        verification = vault.project.verify()
        wrongs += [f"verify: {one}" for one in verification.mismatches]
        wrongs += [f"pending: {path!r}" for path in verification.pending]
        if vault.meaning() != self._cold:
            wrongs.append("not what a cold rebuild says")
        ids = vault.ids()
        for path, old_path in self.scenario.kept.items():
            if ids.get(path) != self._ids[old_path]:
                wrongs.append(f"{path} had id {self._ids[old_path]}, and has {ids.get(path)}")
        wrongs += self._leftover_wrongs()
        if self.user_files() != self._files:
            wrongs.append("user files were changed")
        self.age_index()
        if vault.status().changes or vault.sync().counters.files_read:
            wrongs.append("a second sync still finds something")
        return wrongs

    def _leftover_wrongs(self) -> list[str]:
        left = {path.name for path in self.state_path.iterdir()} - STATE_FILES
        aside = {name for name in left if ".corrupt-" in name and self.scenario.damaged}
        wrongs = [f"left behind: {name}" for name in left - aside]
        if self.scenario.damaged and f"{self.scenario.damaged}.corrupt-1" not in aside:
            wrongs.append(f"the damaged {self.scenario.damaged} was not kept aside")
        return wrongs

    def age_index(self) -> None:
        """Let an index that was written a moment ago look newer than every file, as after some time."""
        index = self.state_path / "index"
        before = self.saved.get("index")
        if index.exists() and (before is None or index.stat().st_mtime_ns != before.mtime_ns):
            self.project_vault.age_index()

    @property
    def project_vault(self) -> Vault:
        """The vault with the options of its configuration file."""
        return Vault(self.root, load_options(self.root))


def sites_of(calls: Iterable[Call]) -> list[tuple[Site, Call]]:
    """Number the calls of each name, paths and words."""
    numbers: Counter[tuple[str, tuple[str, ...], str]] = Counter()
    found = []
    for call in calls:
        key = (call.name, call.paths, call.words[0])
        numbers[key] += 1
        found.append((Site(*key, numbers[key]), call))
    return found


def cold_meaning(vault: Vault, folder: Path) -> dict[str, object]:
    """Return what a first sync of a copy of the tree says."""
    shutil.copytree(vault.root, folder, symlinks=True, ignore=_state_but_options)
    cold = Vault(folder, load_options(folder))
    cold.sync()
    return cold.meaning()


def _state_but_options(folder: str, names: list[str]) -> list[str]:
    is_state = os.path.basename(folder) == ".basic-memory"
    return [name for name in names if is_state and name != "config.toml"]


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


# --- scenarios -------------------------------------------------------------------------------------------------------


def _first(vault: Vault) -> None:
    for number in range(3):
        vault.write(f"sub/note {number}.md", f"- [count] {number}\n- [[One]]\n")
    vault.write("one.md", NOTE)
    vault.write("edited.md", "- [state] old #a\n- next [[two]]\n")
    vault.write("gone.md", "to be [[deleted]]\n")
    vault.write("sub/two.md", "---\ntitle: Two\n---\nback to [[One]]\n")
    vault.write("sub/picture.png", b"\x89PNG")


def _edit(vault: Vault) -> None:
    edited = vault.root / "edited.md"
    edited.write_bytes(edited.read_bytes().replace(b"old", b"new"))
    (vault.root / "other").mkdir(exist_ok=True)
    os.rename(vault.root / "sub/two.md", vault.root / "other/two.md")
    (vault.root / "gone.md").unlink()
    vault.write("new.md", "# New\n\n- from [[edited]]\n")


def _edits(vault: Vault) -> None:
    _first(vault)
    vault.settled_sync()
    _edit(vault)


def _binary_edits(vault: Vault) -> None:
    """As `_edits`, with a file too large to be read, which makes it an index of version 3."""
    _first(vault)
    with open(vault.write("large.bin", b""), "r+b") as file:
        file.truncate(11_000_000)
    vault.settled_sync()
    assert vault.index_path.read_bytes()[7] == 3
    _edit(vault)
    os.utime(vault.root / "large.bin", (5, 5))


def _others(vault: Vault) -> None:
    """As `_edits`, with notes that are edited and found elsewhere, or in each other's place."""
    _first(vault)
    for name in ("here", "there"):
        vault.write(f"{name}.md", f"---\npermalink: {name}\n---\n{_lines(name)}")
    vault.write("long.md", _lines("long"))
    vault.settled_sync()
    _edit(vault)
    vault.write("here.md", f"---\npermalink: there\n---\n{_lines('there')}edited\n")
    vault.write("there.md", f"---\npermalink: here\n---\n{_lines('here')}")
    (vault.root / "long.md").unlink()
    vault.write("other/longer.md", _lines("long") + "edited\n")


def _lines(subject: str) -> str:
    return "".join(f"line {number} of {subject}\n" for number in range(20))


def _damaged_index(vault: Vault) -> None:
    _edits(vault)
    data = bytearray(vault.index_path.read_bytes())
    data[len(data) // 2] ^= 1
    vault.index_path.write_bytes(data)


def _damaged_database(vault: Vault) -> None:
    """The first page is lost: seen when it is looked at."""
    _edits(vault)
    with open(vault.database_path, "r+b") as file:
        file.write(b"\xff" * 4096)


def _rotten_database(vault: Vault) -> None:
    """All pages of entities are lost: seen in the middle of storing."""
    _edits(vault)
    query = "SELECT rootpage FROM sqlite_master WHERE tbl_name IN ('entity', 'observation', 'relation')"
    pages = [page for (page,) in vault.rows(query) if isinstance(page, int)]
    with open(vault.database_path, "r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)


def _lost_index(vault: Vault) -> None:
    _edits(vault)
    vault.index_path.unlink()


def _lost_database(vault: Vault) -> None:
    _edits(vault)
    vault.database_path.unlink()


def _other_options(vault: Vault) -> None:
    _edits(vault)
    (vault.state_path / "config.toml").write_text("[bounds]\nmax_items = 1\n", "utf-8")


_NOT_YET = (NotFoundError,)
_LOST_DATABASE = (NotFoundError, DatabaseDamagedError)
_KEPT = {path: path for path in ("one.md", "edited.md", "sub/note 1.md", "sub/picture.png")} | {
    "other/two.md": "sub/two.md"
}

_EXCHANGED = {"here.md": "there.md", "there.md": "here.md", "other/longer.md": "long.md"}

FIRST_SYNC = Scenario("first sync", _first, tolerated=_NOT_YET)
EDITS = Scenario("edits", _edits, kept=_KEPT)
SCENARIOS = (
    FIRST_SYNC,
    EDITS,
    Scenario("edits beside a large binary", _binary_edits, kept=_KEPT | {"large.bin": "large.bin"}),
    Scenario("notes in other places", _others, kept=_KEPT | _EXCHANGED),
    Scenario("damaged index", _damaged_index, kept=_KEPT, tolerated=(IndexDamagedError,), damaged="index"),
    Scenario("damaged database", _damaged_database, tolerated=_LOST_DATABASE, damaged="entities.db"),
    Scenario("rotten database", _rotten_database, tolerated=_LOST_DATABASE, damaged="entities.db"),
    Scenario("lost index", _lost_index, kept=_KEPT),
    Scenario("lost database", _lost_database, tolerated=_NOT_YET),
    Scenario("other options", _other_options, kept=_KEPT),
    Scenario("part of the vault", _edits, ("sync", "edited.md", "new.md"), kept=_KEPT),
    Scenario("an option is set", _edits, ("config", "set", "bounds.max_nesting", "150"), kept=_KEPT),
)
