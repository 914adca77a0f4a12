from __future__ import annotations

import ctypes
import os
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from bm_gitindex import filesystem
from bm_gitindex.filesystem import (
    LOCAL_TYPES,
    devices_of_one_clock,
    filesystem_type,
    mounts_in_mount_table,
    trust_for,
    type_from_mount_table,
)
from bm_gitindex.index.stat import Trust
from bm_gitindex.options import Options

if TYPE_CHECKING:
    from pathlib import Path

TABLE = (
    b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    b"23 22 0:21 / /home rw - nfs4 server:/home rw\n"
    b"24 23 0:22 / /home/user/My\\040Notes rw - fuse.sshfs user@host: rw\n"
    b"25 22 0:23 / /mnt rw - vfat /dev/sdb1 rw\n"
    b"26 25 0:24 / /mnt rw,nosuid shared:5 master:2 - xfs /dev/sdc1 rw\n"
    b"27 22 0:25 / /with\\134back\\011tab\\012line rw - btrfs /dev/sdd1 rw\n"
    b"a line that is none\n"
    b"28 22 - short\n"
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/", "ext4"),
        (b"/etc/x", "ext4"),
        (b"/home", "nfs4"),
        (b"/home/user", "nfs4"),
        (b"/homestead", "ext4"),
        (b"/home/user/My Notes/sub", "fuse.sshfs"),
        (b"/mnt/x", "xfs"),
        (b"/with\\back\ttab\nline/x", "btrfs"),
    ],
)
def test_the_innermost_and_latest_mount_holds_a_path(path: bytes, name: str) -> None:
    assert type_from_mount_table(TABLE, path) == name


@pytest.mark.parametrize(
    ("path", "numbers"),
    [
        (b"/home", [b"23", b"24"]),
        (b"/home/user/My Notes", [b"24"]),
        (b"/home/user/My", []),
        (b"/mnt", [b"25", b"26"]),
        (b"/mnt/x", []),
        (b"/", [b"22", b"23", b"24", b"25", b"26", b"27"]),
    ],
)
def test_mounts_on_a_folder_and_below_it_are_found(path: bytes, numbers: list[bytes]) -> None:
    assert [line.split()[0] for line in mounts_in_mount_table(TABLE, path)] == numbers


def test_a_system_that_does_not_tell_has_no_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "_MOUNT_TABLE", str(tmp_path / "none"))
    assert filesystem.mounts_within(tmp_path) == ()


def test_a_table_without_a_mount_tells_nothing() -> None:
    assert type_from_mount_table(b"", b"/x") == ""


@pytest.mark.parametrize("name", ["nfs4", "cifs", "fuse.sshfs", "fuse", "vfat", "exfat", "9p", "virtiofs", "", "smb3"])
def test_network_fuse_fat_and_unknown_file_systems_are_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(filesystem, "filesystem_type", lambda _: name)
    assert name not in LOCAL_TYPES
    assert trust_for(tmp_path, Options()) == Trust(ctime=False, filemode=False, check_stat="minimal")


@pytest.mark.parametrize("name", ["ext4", "xfs", "btrfs", "apfs", "tmpfs", "overlay"])
def test_local_file_systems_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(filesystem, "filesystem_type", lambda _: name)
    assert trust_for(tmp_path, Options()) == Trust()


@pytest.mark.parametrize("name", ["ext4", "nfs4"])
def test_options_win_over_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(filesystem, "filesystem_type", lambda _: name)
    local = name == "ext4"
    assert trust_for(tmp_path, Options(trust_ctime=False)) == Trust(False, local, "default" if local else "minimal")
    assert trust_for(tmp_path, Options(trust_filemode=True)).filemode
    assert trust_for(tmp_path, Options(check_stat="minimal")).check_stat == "minimal"
    assert trust_for(tmp_path, Options(check_stat="default")).check_stat == "default"


def test_the_file_system_is_not_asked_for_where_options_say_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "filesystem_type", lambda _: pytest.fail("asked"))
    assert trust_for(tmp_path, Options(trust_ctime=True, trust_filemode=False, check_stat="default")) == Trust(
        True, False, "default"
    )


def test_the_type_of_a_real_folder_is_told(tmp_path: Path) -> None:
    assert filesystem_type(tmp_path)
    assert filesystem_type(tmp_path / "not there") == filesystem_type(tmp_path)


def test_a_system_without_a_mount_table_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "_MOUNT_TABLE", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert filesystem_type(tmp_path) == ""


@pytest.mark.parametrize("function", ["statfs$INODE64", "statfs"])
@pytest.mark.parametrize(
    ("name", "code", "answer"),
    [
        (b"apfs", 0, "apfs"),
        (b"fifteen_letters", 0, "fifteen_letters"),
        (b"sixteen_letters_", 0, "sixteen_letters_"),
        (b"apfs", -1, ""),
    ],
)
def test_on_macos_the_type_is_the_one_that_statfs_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, name: bytes, code: int, answer: str
) -> None:
    def statfs(path: bytes, buffer: ctypes.Array[ctypes.c_char]) -> int:
        """Fill in `f_fstypename` where sys/mount.h of macOS has it, 16 bytes at 72, among bytes of other meaning."""
        assert path == os.fsencode(tmp_path)
        ctypes.memmove(buffer, b"x" * 72 + name.ljust(16, b"\0") + b"x" * 16, 104)
        return code

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(**{function: statfs}))
    assert filesystem_type(tmp_path) == answer


@pytest.mark.parametrize(
    ("types", "is_shared"),
    [(("ext4", "xfs"), True), (("ext4", "nfs4"), False), (("nfs4", "ext4"), False), (("nfs4", "nfs4"), False)],
)
def test_only_local_file_systems_go_by_one_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, types: tuple[str, str], is_shared: bool
) -> None:
    state, root = tmp_path / "state", tmp_path / "root"
    devices = {state: 2**32 + 1, root: 2}
    monkeypatch.setattr(filesystem, "filesystem_type", dict(zip((state, root), types, strict=True)).__getitem__)
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", lambda path: SimpleNamespace(st_dev=devices[path]))
        found = devices_of_one_clock(state, root)
    assert found == ({1, 2} if is_shared else {1})
