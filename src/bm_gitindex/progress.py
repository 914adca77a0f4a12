"""What a run says on the way."""

from typing import NamedTuple


class Progress(NamedTuple):
    """How far a run has come. It is told from whatever thread is at work."""

    activity: str
    """What is being done, in a word or two."""
    files: int
    bytes: int


def no_progress(_: Progress) -> None:
    """Tell nobody."""
