"""What a path is, by its name and size alone: a note, a file, or left out. The user's own rules are in `ignore`."""

import re
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from bm_gitindex.index.entry import Tracking
from bm_gitindex.options import NAME_MAX_BYTES

if TYPE_CHECKING:
    from bm_gitindex.options import Options

STATE_FOLDER = b".basic-memory"
GITIGNORE = b".gitignore"

_TEMPORARY = rb"""
      .*~ | \#.*\# | \.\#.* | 4913            # Emacs, vim and their kin
    | .*\.sw[a-p] | .*\.tmp | .*\.bak~
    | .*___jb_(?:tmp|old)___                  # JetBrains
    | ~\$.* | \.~lock\..*\#                   # office programs
    | .*\.(?:part|crdownload|download)        # browsers
    | .*\.sb-[0-9a-f]{8}-[0-9A-Za-z]{6}       # macOS "safe save"
    | (?i:Thumbs\.db|desktop\.ini) | \.DS_Store | Icon\r
    """
_MARKS = frozenset(b"~#._\r")
"""A temporary name has one of these in it, or is `4913`."""
STRANGE_BEGINNINGS = ".#~"
ORDINARY_ENDINGS = (
    *(".md", ".markdown", ".txt", ".canvas", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".csv", ".json"),
    *(".html", ".docx", ".xlsx", ".pptx", ".mp3", ".mp4", ".zip"),
)
"""A name that begins and ends as most do is left out by no option."""
_ICLOUD_ENDING = b".icloud"


class Kind(Enum):
    """How a file's content is known. The values are those of the JSON output and of the database."""

    NOTE = "note"
    """Read, hashed and parsed."""
    FILE = "file"
    """Read in chunks and hashed."""
    STAT_ONLY = "stat-only"
    """Known by size and times; never opened."""
    SAMPLE = "sample"
    """Known by size and both ends: weak, since a change between them goes unseen."""

    @property
    def tracking(self) -> Tracking:
        """What an index entry's id is made from for a file of this kind."""
        return _TRACKING[self]


_TRACKING = {
    Kind.NOTE: Tracking.CONTENT,
    Kind.FILE: Tracking.CONTENT,
    Kind.STAT_ONLY: Tracking.STAT,
    Kind.SAMPLE: Tracking.SAMPLE,
}
_MOST_BYTES_STORED = 4
_ANY_LENGTH = 0xFFFF_FFFF
_LARGE_KIND = {"stat": Kind.STAT_ONLY, "sample": Kind.SAMPLE, "full": Kind.FILE}


class SkipReason(Enum):
    """Why something in the tree was passed over. The values are shown to users."""

    SYMLINK = "symbolic link"
    FIFO = "named pipe"
    SOCKET = "socket"
    DEVICE = "device"
    NAME = "name that git does not allow"
    TOO_LONG = "path longer than a PostgreSQL database takes"
    UNREADABLE = "cannot be read"
    PLACEHOLDER = "not on this machine (cloud placeholder)"
    UNSTABLE = "changed while it was read"
    VANISHED = "vanished while it was read"
    UNMOUNTED = "its file system is not mounted"
    RULES_NOTHING = "rules nothing"

    @property
    def keeps_known(self) -> bool:
        """Whether what is known of the path, and of all below it, stays: nothing was proven about it."""
        return self in _KEEPS_KNOWN

    @property
    def is_failure(self) -> bool:
        """Whether the user would expect this file to have been read."""
        return self in (SkipReason.UNREADABLE, SkipReason.UNSTABLE)


_KEEPS_KNOWN = frozenset(
    {SkipReason.UNREADABLE, SkipReason.PLACEHOLDER, SkipReason.UNSTABLE, SkipReason.VANISHED, SkipReason.UNMOUNTED}
)


class Skipped(NamedTuple):
    """A path that was passed over."""

    path: bytes
    reason: SkipReason
    detail: str = ""
    """The system's own words, where there are any."""

    @property
    def why(self) -> str:
        """Reason and detail in one text."""
        return f"{self.reason.value}: {self.detail}" if self.detail else self.reason.value


class Classifier:
    """Tells kinds apart and leaves out, by name and size, what the options say."""

    def __init__(self, options: "Options") -> None:
        self.large_file_bytes = options.large_file_bytes
        self._suffixes = tuple(suffix.lower().encode() for suffix in options.note_suffixes)
        self._large_kind = _LARGE_KIND[options.large_file_policy]
        self._include_hidden = options.include_hidden
        self._include_temporary = options.include_temporary
        self._has_server = options.database_url is not None
        self.longest_path = NAME_MAX_BYTES // _MOST_BYTES_STORED if self._has_server else _ANY_LENGTH
        """A path up to so many bytes is not too long, whatever they are."""

    def kind(self, path: bytes, size_bytes: int) -> Kind:
        """Return how the file at `path` is to be known."""
        if path.lower().endswith(self._suffixes):
            return Kind.NOTE
        return self._large_kind if size_bytes > self.large_file_bytes else Kind.FILE

    def is_left_out(self, name: bytes) -> bool:
        """Return whether a file or folder of this name is left out wherever it stands."""
        if name[:1] == b"." and not self._include_hidden:
            return True
        if name == STATE_FOLDER:
            return True
        return not self._include_temporary and _is_temporary(name)

    def is_too_long(self, path: bytes) -> bool:
        """Return whether the database cannot hold this path; a byte that is no UTF-8 takes four there."""
        if len(path) <= self.longest_path or not self._has_server:
            return False
        strange = sum("\udc80" <= character <= "\udcff" for character in path.decode("utf-8", "surrogateescape"))
        return len(path) + 3 * strange > NAME_MAX_BYTES


def _is_temporary(name: bytes) -> bool:
    if _MARKS.isdisjoint(name) and name != b"4913":
        return False
    return _temporary_names().fullmatch(name) is not None


@cache
def _temporary_names() -> re.Pattern[bytes]:
    # Compiled when it is first needed, since that takes as long as a look at many files.
    return re.compile(_TEMPORARY, re.VERBOSE | re.DOTALL)


def is_git_folder(name: bytes) -> bool:
    """Return whether git would refuse an index entry with this component, in any case of its letters."""
    return name.lower() == b".git"


def icloud_stub_target(name: bytes) -> bytes | None:
    """Return the name of the file that an iCloud stub (`.name.icloud`) stands for, or None for any other name."""
    is_stub = name.startswith(b".") and name.endswith(_ICLOUD_ENDING) and len(name) > 1 + len(_ICLOUD_ENDING)
    return name[1 : -len(_ICLOUD_ENDING)] if is_stub else None
