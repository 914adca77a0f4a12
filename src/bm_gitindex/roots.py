"""Which folder is a project's root. It imports next to nothing: whoever asks for a status wants to know it at once."""

import os

FOLDER_NAME = ".basic-memory"
"""Below the root; what is kept of a project is there, unless its configuration says otherwise."""
CONFIG_NAME = "config.toml"


def nearest_project(start: str) -> str | None:
    """Return the nearest folder from `start` upwards that has an index or a configuration; None where there is none.

    The home folder and `/` are never found in this way, since basic-memory keeps its own state in the home folder.
    """
    forbidden = never_guessed()
    folder, above = start, os.path.dirname(start)
    while True:
        state = os.path.join(folder, FOLDER_NAME)
        has_state = any(os.path.isfile(os.path.join(state, name)) for name in ("index", CONFIG_NAME))
        if has_state and folder not in forbidden:
            return folder
        if above == folder:
            return None
        folder, above = above, os.path.dirname(above)


def never_guessed() -> frozenset[str]:
    """Return the folders that are taken for a project only where they are named."""
    return frozenset({"/", os.path.expanduser("~")})
