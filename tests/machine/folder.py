"""The user's folder, and what users, editors and other programs do to it."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from machine.clock import Clock

    class Doing(Protocol):
        """A method of `Folder` that stands for something a user does."""

        __name__: str

        def __call__(self, folder: Folder, i: int, j: int, /) -> None: ...


STATE = b".basic-memory"
GITIGNORE = b".gitignore"
MOST_FILES = 14

NAMES = (
    b"a.md",
    b"b.md",
    b"c.bin",
    b"d.txt",
    b"sub/a.md",
    b"sub/e.md",
    b"sub/c.bin",
    b"sub/deep/f.markdown",
    b"other/a.md",
    b"other/g.bin",
    b"o\xff.md",
    b".hidden.md",
    b".obsidian/h.md",
    b"draft.tmp",
)
FOLDERS = (b"sub", b"other", b"sub/deep", b"third", b"a.md", b"third/fourth")
IGNORED = (
    b"*.bin\n",
    b"sub/\n",
    b"/a.md\n",
    b"a.md\n!/a.md\n",
    b"*.md\n!b.md\n",
    b"deep/\n*.txt\n",
    b"c.bin\n",
    b"# nothing\n",
    b"*\n",
)
BINARY_BYTES = (3, 900, 1500, 2500)


class File(NamedTuple):
    """A file as it is: its content, and its stat by the machine's clock."""

    content: bytes
    stat: os.stat_result


class Folder:
    """A folder, and the doings of users in it. A doing that finds nothing to be done to does nothing.

    Each takes two numbers, which choose the file and how.
    """

    def __init__(self, root: Path, clock: Clock) -> None:
        root.mkdir()
        self.root = root
        self._clock = clock

    def path(self, name: bytes) -> bytes:
        return os.path.join(os.fsencode(self.root), name)

    def names(self) -> list[bytes]:
        """Return the paths of everything that is no folder, outside of the state folder, in order."""
        return sorted(os.path.join(prefix, name) for prefix, names in self._walk() for name in names)

    def files(self) -> dict[bytes, File]:
        """Return every regular file outside of the state folder, ignore files too."""
        found = {}
        for name in self.names():
            path = self.path(name)
            st = os.lstat(path)
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as file:
                    found[name] = File(file.read(), self._clock.seen(st))
        return found

    def folders(self) -> list[bytes]:
        """Return the paths of all folders but the root and the state folder."""
        return sorted(prefix for prefix, _ in self._walk() if prefix)

    def chosen(self, i: int) -> bytes | None:
        """Return the file that a doing with this number is about, if there is any; ignore files are none."""
        names = self._regular()
        return names[i % len(names)] if names else None

    # --- doings ------------------------------------------------------------------------------------------------------

    def write_new(self, i: int, j: int) -> None:
        name = NAMES[i % len(NAMES)]
        if len(self.names()) < MOST_FILES and self._make_room(name):
            self._write(name, text(j) if not name.endswith(b".bin") else _binary(j))

    def edit_same_size(self, i: int, j: int) -> None:
        if name := self.chosen(i):
            self._write(name, _other_of_same_size(self._read(name), j))

    def edit_keeping_mtime(self, i: int, j: int) -> None:
        if name := self.chosen(i):
            self._write_at(name, _other_of_same_size(self._read(name), j), os.lstat(self.path(name)).st_mtime_ns)

    def edit(self, i: int, j: int) -> None:
        if name := self.chosen(i):
            self._write(name, text(j) + b"more\n" * (i % 3))

    def edit_binary(self, i: int, j: int) -> None:
        binaries = [name for name in self._regular() if name.endswith(b".bin")]
        if binaries:
            self._write(binaries[i % len(binaries)], _binary(j))

    def save_by_rename(self, i: int, j: int) -> None:
        """Edit as careful editors do: another file takes the place of the old one."""
        if name := self.chosen(i):
            content = _other_of_same_size(self._read(name), j)
            self._write(b".new", content)
            os.replace(self.path(b".new"), self.path(name))
            self._clock.changed(self.path(name))

    def truncate(self, i: int, j: int) -> None:
        if name := self.chosen(i):
            mtime_ns = os.lstat(self.path(name)).st_mtime_ns
            self._write_at(name, b"", mtime_ns) if j % 2 else self._write(name, b"")

    def touch(self, i: int, j: int) -> None:
        if name := self.chosen(i):
            self._clock.wrote(self.path(name))

    def set_mtime(self, i: int, j: int) -> None:
        """Give a file a time that is older, that of another file, or one yet to come."""
        if name := self.chosen(i):
            times = [os.lstat(self.path(other)).st_mtime_ns for other in self._regular()]
            ahead_ns = (j % 5 - 2) * 1_000_000_000
            self._set_mtime(name, self._clock.stamp_ns() + ahead_ns if j % 3 else times[j % len(times)])

    def chmod_owner(self, i: int, j: int) -> None:
        self._chmod(i, stat.S_IXUSR)

    def chmod_group(self, i: int, j: int) -> None:
        self._chmod(i, stat.S_IXGRP)

    def rename(self, i: int, j: int) -> None:
        if (name := self.chosen(i)) and self._make_room(NAMES[j % len(NAMES)]):
            self._rename(name, NAMES[j % len(NAMES)])

    def rename_folder(self, i: int, j: int) -> None:
        """Move a folder; the ctimes of what is in it stay."""
        new = FOLDERS[j % len(FOLDERS)]
        folders = [folder for folder in self.folders() if not (new + b"/").startswith(folder + b"/")]
        if folders and not os.path.lexists(self.path(new)) and self._make_room(new):
            os.rename(self.path(folders[i % len(folders)]), self.path(new))

    def swap(self, i: int, j: int) -> None:
        one, two = self.chosen(i), self.chosen(j)
        if one and two and one != two:
            self._rename(one, b".swap")
            self._rename(two, one)
            self._rename(b".swap", two)

    def copy(self, i: int, j: int) -> None:
        name, new = self.chosen(i), NAMES[j % len(NAMES)]
        if name and name != new and len(self.names()) < MOST_FILES and self._make_room(new):
            mtime_ns = os.lstat(self.path(name)).st_mtime_ns
            self._write_at(new, self._read(name), mtime_ns) if i % 2 else self._write(new, self._read(name))

    def hard_link(self, i: int, j: int) -> None:
        name, new = self.chosen(i), NAMES[j % len(NAMES)]
        if name and name != new and len(self.names()) < MOST_FILES and self._make_room(new):
            if os.path.lexists(self.path(new)):
                os.unlink(self.path(new))
            os.link(self.path(name), self.path(new))
            self._clock.changed(self.path(new))

    def delete(self, i: int, j: int) -> None:
        names = self.names()
        if names:
            self._unlink(names[i % len(names)])

    def delete_folder(self, i: int, j: int) -> None:
        folders = self.folders()
        if folders:
            shutil.rmtree(self.path(folders[i % len(folders)]))

    def file_to_folder(self, i: int, j: int) -> None:
        """Put a folder of the same name in a file's place, the file into it or not."""
        if (name := self.chosen(i)) and name.count(b"/") < 4:
            self._rename(name, b".moved")
            os.mkdir(self.path(name))
            self._rename(b".moved", name + b"/" + (b"x.md" if j % 2 else os.path.basename(name)))

    def folder_to_file(self, i: int, j: int) -> None:
        folders = self.folders()
        if folders:
            folder = folders[i % len(folders)]
            shutil.rmtree(self.path(folder))
            self._write(folder, text(j))

    def to_symlink(self, i: int, j: int) -> None:
        """Put a link in a file's place: to another file, to a folder, out of the project, to nowhere."""
        if name := self.chosen(i):
            aims = [self.path(self.chosen(j) or b""), os.fsencode(self.root.parent), b"../../etc/passwd", b"nowhere"]
            self._unlink(name)
            os.symlink(aims[j % len(aims)], self.path(name))

    def to_pipe(self, i: int, j: int) -> None:
        if name := self.chosen(i):
            self._unlink(name)
            os.mkfifo(self.path(name))

    def back_to_file(self, i: int, j: int) -> None:
        """Put a file in the place of a link or a pipe."""
        others = [name for name in self.names() if not stat.S_ISREG(os.lstat(self.path(name)).st_mode)]
        if others:
            self._unlink(others[i % len(others)])
            self._write(others[i % len(others)], text(j))

    def ignore(self, i: int, j: int) -> None:
        """Write an ignore file, in the root or in a folder."""
        folders = [b"", *self.folders()]
        self._write(os.path.join(folders[i % len(folders)], GITIGNORE), IGNORED[j % len(IGNORED)])

    def stop_ignoring(self, i: int, j: int) -> None:
        rules = [name for name in self.names() if os.path.basename(name) == GITIGNORE]
        if rules:
            self._unlink(rules[i % len(rules)])

    def put_back(self, earlier: Mapping[bytes, File], j: int) -> None:
        """Make files what they were, with their times or without."""
        now = self.files()
        for name in now.keys() - earlier.keys():
            self._unlink(name)
        for name, file in earlier.items():
            is_same = name in now and now[name].content == file.content
            if not is_same and self._make_room(name):
                self._write_at(name, file.content, file.stat.st_mtime_ns) if j % 2 else self._write(name, file.content)

    # --- how it is done ----------------------------------------------------------------------------------------------

    def _walk(self) -> list[tuple[bytes, list[bytes]]]:
        root = os.fsencode(self.root)
        found = []
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if name != STATE]
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            prefix = os.path.relpath(folder, root)
            found.append((b"" if prefix == b"." else prefix, [*names, *links]))
        return found

    def _regular(self) -> list[bytes]:
        names = [name for name in self.names() if os.path.basename(name) != GITIGNORE]
        return [name for name in names if stat.S_ISREG(os.lstat(self.path(name)).st_mode)]

    def _make_room(self, name: bytes) -> bool:
        """Make the folders above a path; return whether it can then be the path of a file."""
        above = [self.path(parent) for parent in _parents(name)]
        if any(os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)) for path in above):
            return False
        for path in above:
            os.makedirs(path, exist_ok=True)
        return not os.path.lexists(self.path(name)) or stat.S_ISREG(os.lstat(self.path(name)).st_mode)

    def _read(self, name: bytes) -> bytes:
        with open(self.path(name), "rb") as file:
            return file.read()

    def _write(self, name: bytes, content: bytes) -> None:
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(content)
        self._clock.wrote(path)

    def _write_at(self, name: bytes, content: bytes, mtime_ns: int) -> None:
        self._write(name, content)
        self._set_mtime(name, mtime_ns)

    def _set_mtime(self, name: bytes, mtime_ns: int) -> None:
        os.utime(self.path(name), ns=(mtime_ns, mtime_ns))
        self._clock.changed(self.path(name))

    def _chmod(self, i: int, bit: int) -> None:
        if name := self.chosen(i):
            os.chmod(self.path(name), os.lstat(self.path(name)).st_mode ^ bit)
            self._clock.changed(self.path(name))

    def _rename(self, name: bytes, new: bytes) -> None:
        os.rename(self.path(name), self.path(new))
        self._clock.changed(self.path(new))

    def _unlink(self, name: bytes) -> None:
        if os.lstat(self.path(name)).st_nlink > 1:
            self._clock.changed(self.path(name))
        os.unlink(self.path(name))


EDITS: tuple[Doing, ...] = (
    Folder.write_new,
    Folder.edit_same_size,
    Folder.edit_keeping_mtime,
    Folder.edit,
    Folder.edit_binary,
    Folder.save_by_rename,
    Folder.truncate,
    Folder.touch,
    Folder.set_mtime,
    Folder.chmod_owner,
    Folder.chmod_group,
    Folder.rename,
    Folder.rename_folder,
    Folder.swap,
    Folder.copy,
    Folder.hard_link,
    Folder.delete,
    Folder.delete_folder,
    Folder.file_to_folder,
    Folder.folder_to_file,
    Folder.to_symlink,
    Folder.to_pipe,
    Folder.back_to_file,
    Folder.ignore,
    Folder.stop_ignoring,
)


def _parents(name: bytes) -> list[bytes]:
    parts = name.split(b"/")[:-1]
    return [b"/".join(parts[:length]) for length in range(1, len(parts) + 1)]


def text(number: int) -> bytes:
    """Return a short note with a fact and a link; some have front matter, and some share their permalink."""
    name = NAMES[number % len(NAMES)].rpartition(b".")[0]
    body = b"# T%d\n- [fact] number %d #tag\n- [also] this\n- knows [[%s]]\n" % (number % 10, number % 10, name)
    if number % 4 == 0:
        return b"---\ntitle: Title %d\npermalink: p%d\ntags: [x, y]\n---\n" % (number % 7, number % 3) + body
    return body


def _binary(number: int) -> bytes:
    return bytes([number % 251]) * BINARY_BYTES[number % len(BINARY_BYTES)]


def _other_of_same_size(content: bytes, number: int) -> bytes:
    """Return the content with one byte of it changed, at the start, in the middle or near the end."""
    if not content:
        return content
    position = (len(content) // 2, 0, len(content) - 1)[number % 3]
    changed = b"x" if content[position : position + 1] != b"x" else b"y"
    return content[:position] + changed + content[position + 1 :]
