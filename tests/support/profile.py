"""How far the tests go: a sample, which runs everywhere in minutes, or all of it.

With `BM_GITINDEX_NIGHTLY=1` in the environment every kill point, every interleaving and every byte is tried; that takes
hours. With `BM_GITINDEX_FIGURES=FILE` the tests append to that file how many cases they tried, and docs/guarantees.md
has the figures of such a run.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

NIGHTLY = os.environ.get("BM_GITINDEX_NIGHTLY", "") not in {"", "0"}

_FIGURES = os.environ.get("BM_GITINDEX_FIGURES", "")

Case = TypeVar("Case")


def sample(cases: Sequence[Case], count: int) -> Sequence[Case]:
    """Return all cases by night, else `count` of them."""
    return cases if NIGHTLY else spread(cases, count)


def spread(cases: Sequence[Case], count: int) -> Sequence[Case]:
    """Return `count` of the cases, or all if there are fewer, spread evenly, the first and the last among them."""
    if count >= len(cases):
        return cases
    if count == 1:
        return cases[:1]
    return [cases[position * (len(cases) - 1) // (count - 1)] for position in range(count)]


def record_figures(test: str, **figures: object) -> None:
    """Write down how far a test went, where somebody asked for it."""
    if _FIGURES:
        with open(_FIGURES, "a", encoding="utf-8") as file:
            file.write(json.dumps({"test": test, **figures}) + "\n")
