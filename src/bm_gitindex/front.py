"""The front door of the command line: a mere `status` of a project that is watched is answered here.

It imports next to nothing. Whatever it is not certain of it leaves to the command itself.
"""

import os
import sys

from bm_gitindex.roots import CONFIG_NAME, FOLDER_NAME, nearest_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_FLAGS = frozenset({"--porcelain", "-z", "--exit-code"})
_MOVES_STATE = b"state_dir"
_SOCKET_NAME = "watch.sock"


def still_asked(argv: "Sequence[str]") -> "Sequence[str] | None":
    """Return the command line that is still to be carried out; None where that was done, with exit code 0.

    Raises OSError where nothing can be printed.
    """
    match list(argv):
        case ["status", *flags]:
            root = nearest_project(os.getcwd())
        case ["-C", directory, "status", *flags] if directory and not directory.startswith("-"):
            root = os.path.abspath(os.path.expanduser(directory))
        case _:
            return argv
    if root is None or not _FLAGS.issuperset(flags) or len(set(flags)) != len(flags):
        return argv
    folder = _watched_folder(root)
    if folder is None:
        return argv
    # Imported here: most projects are not watched.
    from bm_gitindex.watching.asking import ask

    match (ask(folder, "status") or b"doubt").split(maxsplit=2):
        case [b"clean", number, _token] if number.isdigit():
            if "--porcelain" not in flags and "-z" not in flags:
                sys.stdout.write(f"nothing differs ({int(number):,} files)\n")
            sys.stdout.flush()
            return None
        case [b"status", *_]:
            return argv
    return [*argv, "--no-daemon"]  # who has just been asked in vain is not asked again


def _watched_folder(root: str) -> str | None:
    """Return the state folder of a project that somebody seems to watch; None also where it may be elsewhere."""
    folder = os.path.join(root, FOLDER_NAME)
    try:
        os.lstat(os.path.join(folder, _SOCKET_NAME))
        with open(os.path.join(folder, CONFIG_NAME), "rb") as file:
            return None if _MOVES_STATE in file.read() else folder
    except FileNotFoundError as error:
        return folder if error.filename == os.path.join(folder, CONFIG_NAME) else None
    except OSError:
        return None
