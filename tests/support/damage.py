"""Damage to bytes, and a vault that can be put back as it was before."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from bm_gitindex.cli import main
from support.profile import NIGHTLY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.vault import Vault

_BITS = (0x01, 0x08, 0x20, 0x80)


def flipped(data: bytes, at: int, mask: int) -> bytes:
    """Return the bytes with some bits of one of them turned over."""
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def masks(byte: int) -> tuple[int, ...]:
    """Return what to turn over in a byte: some bits, and all it takes for 0x00 and 0xff; by night every mask."""
    if NIGHTLY:
        return tuple(range(1, 256))
    return tuple({*_BITS, byte, byte ^ 0xFF} - {0})


def flips(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield place and mask, and the bytes so damaged, for every byte."""
    for at, byte in enumerate(data):
        for mask in masks(byte):
            yield (at, mask), flipped(data, at, mask)


def lengths_changed(data: bytes) -> list[bytes]:
    """Return every truncation of the bytes, and some with bytes too many; no end of zeros, which is git's skipHash."""
    more = (b"\0", b"\n", b"x" * 20, b"\xff" * 4096, data)
    return [*(data[:length] for length in range(len(data))), *(data + end for end in more)]


class Scene:
    """A settled vault; whatever is done to files and state, `restore` brings it back."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault
        vault.settled_sync()
        vault.settled_sync()
        self.meaning = vault.meaning()
        self.ids = vault.ids()
        self.files = {path: path.read_bytes() for path in vault.root.rglob("*") if self._is_users(path)}
        self._state = {path.name: path.read_bytes() for path in vault.state_path.iterdir()}
        self._stats = {path: os.stat(path) for path in [*self.files, vault.index_path]}

    def _is_users(self, path: Path) -> bool:
        return path.is_file() and not path.is_relative_to(self.vault.state_path)

    def restore(self) -> None:
        """Put everything back. Files that were written to get a new ctime, and are looked at once more."""
        state = self.vault.state_path
        for path in state.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        for name, data in self._state.items():
            (state / name).write_bytes(data)
        for path, data in self.files.items():
            if path.read_bytes() != data:
                path.write_bytes(data)
        for path, st in self._stats.items():
            if os.stat(path).st_mtime_ns != st.st_mtime_ns:
                os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))

    def edit_unseen(self, name: str) -> None:
        """Turn an observation's `[fact]` into `[fake]`, and put the mtime back."""
        path = self.vault.root / name
        st = os.stat(path)
        path.write_bytes(path.read_bytes().replace(b"[fact]", b"[fake]"))
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))

    @property
    def files_are_untouched(self) -> bool:
        """Whether every file of the user's is as it was, and none came to be."""
        present = {path: path.read_bytes() for path in self.vault.root.rglob("*") if self._is_users(path)}
        return present == self.files

    def run(self, *arguments: str) -> int:
        """Run a command on the vault, and return its exit code."""
        return main(["-C", str(self.vault.root), *arguments])

    def set_aside(self, name: str) -> list[bytes]:
        """Return what was kept of a damaged state file."""
        return [path.read_bytes() for path in sorted(self.vault.state_path.glob(f"{name}.corrupt-*"))]
