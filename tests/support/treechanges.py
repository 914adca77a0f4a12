"""What can happen to a file or a folder while somebody else reads it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.races import Interposer

    Change = Callable[["Scene", Path, Interposer], object]

LARGE_BYTES = 1000
"""Above it, a file that is no note is known by its stat alone."""


class Scene(NamedTuple):
    """A vault, and what lies around it."""

    root: Path
    outside: Path
    """Holds what nobody may read: `secret.md`, a folder `sub` that is like the vault's, and a pipe."""
    taken: Path
    """Where what is taken out of the vault goes."""


def _gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _replacement(make: Callable[[Scene, Path], object]) -> Change:
    def change(scene: Scene, path: Path, _: Interposer) -> None:
        _gone(path)
        make(scene, path)

    return change


def _socket(_: Scene, path: Path) -> None:
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


def _device(_: Scene, path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero, which has no end
    except PermissionError:
        os.mkfifo(path)


def _folder_with_a_file(_: Scene, path: Path) -> None:
    path.mkdir()
    (path / "in.md").write_text("in\n")


def _renamed_over(data: bytes) -> Change:
    def change(scene: Scene, path: Path, _: Interposer) -> None:
        (scene.taken / "new").write_bytes(data)
        (scene.taken / "new").rename(path)

    return change


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def _appended_for_ever(_: Scene, path: Path, interposer: Interposer) -> None:
    _append(path, b"more\n")
    # More than one chunk at a time; an ignore file stays within its bound, so that the next run can read it.
    more = b"more\n" * (20 if path.name == ".gitignore" else 20_000)
    interposer.before_each = lambda: _append(path, more)


def _same_size_edit(_: Scene, path: Path, __: Interposer) -> None:
    st = path.stat()
    data = path.read_bytes()
    path.write_bytes(data.swapcase() if data.swapcase() != data else b"#" * len(data))
    os.utime(path, ns=(st.st_mtime_ns, st.st_mtime_ns))


def _flapping(_: Scene, path: Path, interposer: Interposer) -> None:
    """There and not there, in turn."""
    data = path.read_bytes()

    def flap() -> None:
        if path.exists():
            path.unlink()
        else:
            path.write_bytes(data)

    flap()
    interposer.before_each = flap


FILE_CHANGES: dict[str, Change] = {
    "vanishes": lambda _, path, __: path.unlink(),
    "grows": lambda _, path, __: _append(path, b"x"),
    "shrinks": lambda _, path, __: os.truncate(path, path.stat().st_size - 1),
    "is emptied": lambda _, path, __: os.truncate(path, 0),
    "is appended to for ever": _appended_for_ever,
    "comes and goes": _flapping,
    "keeps its size and mtime": _same_size_edit,
    "gets another mode": lambda _, path, __: path.chmod(0o700),
    "is nobody's to read": lambda _, path, __: path.chmod(0),
    "is renamed over": _renamed_over(b"# Another\n- [fact] other\n"),
    "is renamed over by a large one": _renamed_over(b"z" * (LARGE_BYTES * 100)),
    "is moved away": lambda scene, path, _: path.rename(scene.root / "sub" / "moved.md"),
    "is taken away": lambda scene, path, _: path.rename(scene.taken / path.name),
    "becomes a folder": _replacement(lambda _, path: path.mkdir()),
    "becomes a folder with a file": _replacement(_folder_with_a_file),
    "becomes a pipe": _replacement(lambda _, path: os.mkfifo(path)),
    "becomes a socket": _replacement(_socket),
    "becomes a device": _replacement(_device),
    "becomes a link to a file outside": _replacement(lambda scene, path: path.symlink_to(scene.outside / "secret.md")),
    "becomes a link to a folder outside": _replacement(lambda scene, path: path.symlink_to(scene.outside)),
    "becomes a link to a pipe": _replacement(lambda scene, path: path.symlink_to(scene.outside / "pipe")),
    "becomes a link to itself": _replacement(lambda _, path: path.symlink_to(path.name)),
    "becomes a link to nothing": _replacement(lambda _, path: path.symlink_to("nowhere")),
    "becomes a link to a file inside": _replacement(lambda _, path: path.symlink_to("note.md")),
}


def _emptied(_: Scene, path: Path, __: Interposer) -> None:
    for child in path.iterdir():
        _gone(child)


def _swapped_for_link(scene: Scene, path: Path, _: Interposer) -> None:
    path.rename(scene.taken / path.name)
    path.symlink_to(scene.outside / "sub")


def _swapped_for_folder(scene: Scene, path: Path, _: Interposer) -> None:
    path.rename(scene.taken / path.name)
    shutil.copytree(scene.outside / "sub", path)


FOLDER_CHANGES: dict[str, Change] = {
    "is removed": lambda _, path, __: shutil.rmtree(path),
    "is emptied": _emptied,
    "is renamed": lambda scene, path, _: path.rename(scene.root / "renamed"),
    "is taken out": lambda scene, path, _: path.rename(scene.taken / path.name),
    "is swapped for a link to outside": _swapped_for_link,
    "is swapped for another folder": _swapped_for_folder,
    "becomes a file": _replacement(lambda _, path: path.write_text("a file\n")),
    "becomes a pipe": _replacement(lambda _, path: os.mkfifo(path)),
    "becomes a link to itself": _replacement(lambda _, path: path.symlink_to(path.name)),
    "becomes a link to its parent": _replacement(lambda _, path: path.symlink_to("..")),
    "gets a rule that hides all": lambda _, path, __: (path / ".gitignore").write_text("*\n"),
    "is nobody's to enter": lambda _, path, __: path.chmod(0),
}

ROOT_CHANGES: dict[str, Change] = {
    "is swapped for a link to outside": _swapped_for_link,
    "is swapped for another folder": _swapped_for_folder,
    "is taken out": lambda scene, path, _: path.rename(scene.taken / path.name),
}
