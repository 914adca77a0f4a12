"""Every option, its unit and its default. Nothing here reads the environment or a file."""

from typing import Literal, NamedTuple

NAME_MAX_BYTES = 1_800
"""PostgreSQL's indexes hold no more than 2,704 bytes of a row; a lower case may be longer than the upper one was."""

LargeFilePolicy = Literal["stat", "sample", "full"]
CheckStat = Literal["default", "minimal"]


class NoteBounds(NamedTuple):
    """How much of a single note is taken in before the rest is left out, with a warning on its entity.

    They keep time and memory bounded whatever a file contains: a note beyond one of them is still an entity.
    """

    note_max_bytes: int = 4 * 1024 * 1024
    """A larger note is hashed in chunks, and not parsed."""
    front_matter_max_bytes: int = 64 * 1024
    """A larger YAML header is left out; the body is parsed."""
    front_matter_max_nodes: int = 10_000
    """YAML nodes in a header, after aliases are expanded."""
    front_matter_max_depth: int = 32
    """Nested YAML collections in a header."""
    name_max_characters: int = 1_000
    """A longer title or type is cut; a longer permalink is not used."""
    max_items: int = 100_000
    """Observations that one note may have, and relations, and tags of observations."""
    max_nesting: int = 200
    """Nested Markdown blocks; a note nested deeper is taken in without observations and relations."""


class WatchOptions(NamedTuple):
    """How a project is watched."""

    interval_s: float = 600.0
    """Between two passes over everything, give or take a tenth: what the system's events have lost is found then."""
    is_polled: bool = False
    """Ask for every file again and again, even where the system tells what changes."""
    most_stats_per_s: float | None = None
    """How many files are asked for in a second where they are polled, on the average of a pass and the pause after it;
    None sets no bound but that of the processor's time."""


class Options(NamedTuple):
    """How a project is read. `None` means: chosen by the type of the file system."""

    note_suffixes: tuple[str, ...] = (".md", ".markdown")
    """File name endings of notes, lower case; compared without regard to case."""
    ignore: tuple[str, ...] = ()
    """Patterns in the syntax of gitignore(5), relative to the root; they win over `.gitignore` files."""
    ignore_max_bytes: int = 256 * 1024
    """Size of all `.gitignore` files that hold in one folder; one that goes beyond it rules nothing."""
    include_hidden: bool = False
    """Take in dot-files and dot-folders (`.git` and the state folder never)."""
    include_temporary: bool = False
    """Take in editors' and operating systems' temporary files."""

    large_file_bytes: int = 10_000_000
    """A file that is no note and larger than this is treated by `large_file_policy`."""
    large_file_policy: LargeFilePolicy = "stat"
    """`stat`: size and times only, never opened; `sample`: size and both ends; `full`: hashed in chunks."""

    trust_ctime: bool | None = None
    """Compare ctime and inode; git's core.trustctime is about ctime alone."""
    trust_filemode: bool | None = None
    """Compare the owner's executable bit, as git's core.fileMode."""
    check_stat: CheckStat | None = None
    """`minimal` compares size and whole-second mtime alone, as git's core.checkStat."""

    state_dir: str | None = None
    """Where index, lock and database are kept, if not in `.basic-memory/` below the root."""

    database_url: str | None = None
    """A PostgreSQL database for the entities, `postgresql://USER@HOST/DATABASE`; None is an SQLite file in the state
    folder. A password does not belong here: it comes from the environment."""

    bounds: NoteBounds = NoteBounds()
    """What is taken in of a single note."""

    def __repr__(self) -> str:
        """Return the options but for `database_url`, which may hold what is nobody's business."""
        shown = (f"{name}={value!r}" for name, value in self._asdict().items() if name != "database_url")
        return f"Options({', '.join(shown)})"
