"""The compiled part, where there is one: the loops that touch every entry of an index.

It is built where a C compiler for Linux is at hand, and decides nothing that Python would not have decided: what it
cannot vouch for it hands back. `BM_GITINDEX_PURE=1` in the environment does without it.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def _loaded() -> ModuleType | None:
    if os.environ.get("BM_GITINDEX_PURE", "0") not in {"", "0"}:
        return None
    try:
        return import_module("bm_gitindex._native")
    except ImportError:
        return None


native = _loaded()
"""The module `_native`; None where Python does its work."""
