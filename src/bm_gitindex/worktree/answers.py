"""What a helper is asked, and what it answers: what it found in a group of folders, as bytes."""

from __future__ import annotations

import os
from hashlib import sha1
from itertools import compress
from struct import Struct
from typing import TYPE_CHECKING

from bm_gitindex.worktree.unproven import Unproven

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterator, Sequence

    from bm_gitindex.index.stat import Trust
    from bm_gitindex.rules import Classifier
    from bm_gitindex.worktree.tree import Tree
    from bm_gitindex.worktree.unproven import FolderProof

VERSION = "1"
"""Of what is asked and answered, and of what both must have in common."""
HEAD = Struct("<II")
"""What precedes an answer: which group it is of, and its length."""
INDEX, ANSWERS, ROOT = 0, 1, 3
"""The descriptors of a helper."""
UNREADABLE, FOLDER, OTHER = b"-", b"d", b"f"


ABOUT = 0xFFFF_FFFF
"""Instead of a number, in the first answer: it names the entries that all others are about."""


class Answer:
    """What was found in one folder."""

    __slots__ = ("proof", "proven")

    def __init__(self, proof: FolderProof, proven: Sequence[int]) -> None:
        """`proven` are the places of its files that are unchanged."""
        self.proof = proof
        self.proven = proven


def entries_id(offsets: array[int]) -> bytes:
    """Return what tells apart where an index of the same bytes has its entries."""
    return sha1(offsets, usedforsecurity=False).digest()


def framed(number: int, body: bytes) -> bytes:
    """Return an answer with what precedes it."""
    return HEAD.pack(number, len(body)) + body


def arguments(timestamp_s: int, trust: Trust, limits: Classifier) -> list[str]:
    """Return what a helper is asked, beside its descriptors."""
    ctime, filemode, check_stat = trust
    numbers = (timestamp_s, int(ctime), int(filemode), limits.large_file_bytes, limits.longest_path)
    return [VERSION, check_stat, *map(str, numbers)]


def read_answer(
    tree: Tree, places_of: Callable[[bytes], Sequence[int]], folders: Sequence[bytes], body: bytes
) -> dict[bytes, Answer]:
    """Return what is answered for a group of folders; those that cannot be read are not in it.

    Raises ValueError where it makes no sense.
    """
    count = sum(len(places_of(folder)) for folder in folders)
    fields = iter(body[count:].split(b"\0"))
    found: dict[bytes, Answer] = {}
    start = 0
    for folder in folders:
        places = places_of(folder)
        flags = body[start : start + len(places)]
        start += len(places)
        is_sound = len(flags) == len(places) and not flags.translate(None, b"\0\1")
        first = next(fields, b"")
        if not is_sound or (first == UNREADABLE and any(flags)):
            raise ValueError("these are no flags")
        if first != UNREADABLE:
            others = [_other(tree, folder, field) for field in _until_empty(fields)]
            proven = places if all(flags) else list(compress(places, flags))
            found[folder] = Answer((int(first), len(proven), others), proven)
    if next(fields, None) is not None:
        raise ValueError("there is more than was asked for")
    return found


def _until_empty(fields: Iterator[bytes]) -> Iterator[bytes]:
    while field := next(fields, None):
        yield field
    if field is None:
        raise ValueError("the names of a folder are cut short")


def _other(tree: Tree, folder: bytes, field: bytes) -> Unproven:
    if field[:1] not in (FOLDER, OTHER):
        raise ValueError("this is no name")
    return Unproven(tree, folder, os.fsdecode(field[1:]), is_folder=field[:1] == FOLDER)
