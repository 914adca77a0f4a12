"""What happens to a folder of notes when many files change at once: archives, checkouts, sync tools, busy writers."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

_IN_A_FOLDER = 50
_LONG_AGO_S = 1_500_000_000
_GIT_ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def note_text(number: int, of: int, word: str = "old") -> str:
    """Return a note that links to another one; of equal length for words of equal length."""
    return (
        f"---\ntitle: Note {number}\ntags: [storm, {word}]\n---\n- [state] {word} #tag{number % 7}\n"
        f"- relates_to [[Note {(7 * number + 1) % of}]]\n"
    )


def note_path(number: int, top: str = "notes") -> str:
    """Return where a note is: some fifty in a folder."""
    return f"{top}/part {number // _IN_A_FOLDER}/note {number}.md"


def write_notes(root: Path, numbers: Iterable[int], of: int, word: str = "old", top: str = "notes") -> None:
    """Write notes as an editor does that keeps the file."""
    made: set[Path] = set()
    for number in numbers:
        path = root / note_path(number, top)
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        path.write_text(note_text(number, of, word), "utf-8")


def delete_notes(root: Path, numbers: Iterable[int]) -> None:
    for number in numbers:
        (root / note_path(number)).unlink()


def unzip(archive: Path, root: Path) -> None:
    """Take out all files, with the times that the archive has, as unzip does."""
    with zipfile.ZipFile(archive) as packed:
        for number, name in enumerate(packed.namelist()):
            path = packed.extract(name, root)
            os.utime(path, (_LONG_AGO_S + number, _LONG_AGO_S + number))


def zip_notes(archive: Path, numbers: Iterable[int], of: int) -> None:
    """Make an archive of notes."""
    with zipfile.ZipFile(archive, "w") as packed:
        for number in numbers:
            packed.writestr(note_path(number, "unpacked"), note_text(number, of))


def replace_as_sync_tools_do(root: Path, numbers: Iterable[int], of: int, word: str) -> None:
    """Put new files in the place of notes: a hidden name first, the times of another machine, the same size."""
    for number in numbers:
        path = root / note_path(number)
        hidden = path.with_name(f".{path.name}.tmp{number % 1000}")
        hidden.write_text(note_text(number, of, word), "utf-8")
        os.utime(hidden, (_LONG_AGO_S, _LONG_AGO_S))
        hidden.replace(path)


class Repository:
    """A git repository in the vault, with two branches that differ."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def make_branches(self, changed: int, of: int) -> None:
        """Commit what is there as `one`; on `two` many notes are renamed, edited, added and gone, by turns."""
        self("init", "--quiet")
        self("config", "gc.auto", "0")
        self._commit("one")
        part = changed // 4
        self("mv", "notes/part 0", "notes/elsewhere")  # a whole folder
        (self._root / "renamed").mkdir()
        for number in range(_IN_A_FOLDER, part):
            (self._root / note_path(number)).rename(self._root / f"renamed/note {number}.md")
        write_notes(self._root, range(part, 2 * part), of, "new")
        delete_notes(self._root, range(2 * part, 3 * part))
        write_notes(self._root, range(of, of + part), of + part)
        self._commit("two")

    def checkout(self, branch: str) -> None:
        self("checkout", "--quiet", branch)

    def _commit(self, branch: str) -> None:
        self("checkout", "--quiet", "-b", branch)
        (self._root / ".git/info/exclude").write_text("/.basic-memory/\n", "utf-8")
        self("add", "--all")
        self("-c", "user.name=storm", "-c", "user.email=storm@example.org", "commit", "--quiet", "-m", branch)

    def __call__(self, *arguments: str) -> None:
        done = subprocess.run(
            ["git", *arguments], cwd=self._root, env=_GIT_ENVIRONMENT, capture_output=True, check=False, timeout=300
        )
        assert done.returncode == 0, (arguments, done.stderr)


class _Background:
    """A thread that does something again and again until the block ends; what goes wrong in it is raised there."""

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def act(self) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        try:
            while not self._is_over.is_set():
                self.act()
        except BaseException as error:  # noqa: BLE001 - raised where the block ends
            self._error = error


class Writer(_Background):
    """Somebody who edits, moves, deletes and makes notes, and knows what there is to be."""

    def __init__(self, root: Path, count: int, seed: int) -> None:
        super().__init__()
        self._root = root
        self._count = count
        self._made = count
        self._random = random.Random(seed)
        self.expected = {note_path(number): note_text(number, count) for number in range(count)}
        for path, text in self.expected.items():
            self._write(path, text)

    def act(self) -> None:
        path = self._random.choice(sorted(self.expected))
        match self._random.randrange(10):
            case 0:
                del self.expected[path]
                (self._root / path).unlink()
                self._make()
            case 1 | 2:
                target = self._new_path("moved")
                self.expected[target] = self.expected.pop(path)
                (self._root / target).parent.mkdir(parents=True, exist_ok=True)
                (self._root / path).rename(self._root / target)
            case 3:
                self._make()
                if len(self.expected) > 1.2 * self._count:
                    (self._root / path).unlink()
                    del self.expected[path]
            case _:
                self._made += 1
                self.expected[path] = note_text(self._made, self._made, self._random.choice(["red", "blue", "teal"]))
                self._write(path, self.expected[path])
        self._is_over.wait(self._random.uniform(0, 0.03))

    def what_differs(self) -> list[str]:
        """Return which notes are not as this writer left them."""
        found = {
            str(path.relative_to(self._root)): path.read_text("utf-8")
            for path in self._root.rglob("*.md")
            if ".basic-memory" not in path.parts
        }
        return [path for path in found | self.expected if found.get(path) != self.expected.get(path)]

    def _make(self) -> None:
        path = self._new_path("made")
        self.expected[path] = note_text(self._made, self._made)
        self._write(path, self.expected[path])

    def _new_path(self, word: str) -> str:
        self._made += 1
        return f"notes/{word} {self._random.randrange(5)}/note {self._made}.md"

    def _write(self, path: str, text: str) -> None:
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")


class Renamer(_Background):
    """Somebody who renames folders, and lets two of them take each other's place."""

    def __init__(self, root: Path, folders: int, seed: int) -> None:
        super().__init__()
        self._root = root
        self._random = random.Random(seed)
        self._folders = [f"notes/part {number}" for number in range(folders)]
        self._number = 0
        self._renamed = threading.Condition()
        self.renames = 0

    def act(self) -> None:
        self._number += 1
        one, other = self._random.sample(self._folders, 2)
        fresh = f"notes/folder {self._number}"
        self._rename(one, fresh)
        other = next((folder for folder in self._folders if folder == other), "")  # unless it was in the first one
        match self._random.randrange(3) if other and not one.startswith(f"{other}/") else None:
            case 0:
                self._rename(other, one)
                self._rename(fresh, other)
            case 1:
                (self._root / other / f"in {self._number}").mkdir()
                self._rename(fresh, f"{other}/in {self._number}/folder")
        with self._renamed:
            self.renames += 1
            self._renamed.notify_all()
        self._is_over.wait(self._random.uniform(0, 0.1))

    def wait_for_another(self) -> None:
        """Wait until one more rename has been made."""
        with self._renamed:
            before = self.renames
            assert self._renamed.wait_for(lambda: self.renames > before, 60)

    def _rename(self, old: str, new: str) -> None:
        (self._root / old).rename(self._root / new)
        inner = len(old)
        self._folders = [
            new + folder[inner:] if f"{folder}/".startswith(f"{old}/") else folder for folder in self._folders
        ]


def edit_across_renames(root: Path, renamer: Renamer, rounds: int, seed: int) -> None:
    """Write notes, half of each before and half after a folder is renamed; make new notes in between."""
    chance = random.Random(seed)
    done = 0
    while done < rounds:
        with suppress(FileNotFoundError):  # its folder was renamed before it could be opened
            path = chance.choice(sorted((root / "notes").rglob("*.md")))
            with open(path, "r+", encoding="utf-8") as file:
                file.write(note_text(10_000 + done, 10_000, "half"))
                file.flush()
                renamer.wait_for_another()
                file.write(f"- [state] whole in round {done}\n")
                file.truncate()
            done += 1
            path.with_name(f"new {done}.md").write_text(note_text(20_000 + done, 20_000, "new"), "utf-8")
