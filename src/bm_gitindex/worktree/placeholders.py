"""Files of a cloud service that are not on this machine: looking inside would fetch them."""

from __future__ import annotations

import os

_MACOS_DATALESS = 0x4000_0000
_WINDOWS_RECALL = 0x0040_0000 | 0x0004_0000  # RECALL_ON_DATA_ACCESS, RECALL_ON_OPEN

HAS_PLACEHOLDERS = hasattr(os.stat_result, "st_flags") or hasattr(os.stat_result, "st_file_attributes")
"""Whether a stat can say so on this system."""


def is_placeholder(st: object) -> bool:
    """Return whether a stat is that of a file or folder whose content a cloud service would first have to fetch.

    macOS marks it by SF_DATALESS in `st_flags`, Windows by RECALL_ON_DATA_ACCESS in `st_file_attributes`.
    """
    flags: int = getattr(st, "st_flags", 0)
    attributes: int = getattr(st, "st_file_attributes", 0)
    return bool(flags & _MACOS_DATALESS or attributes & _WINDOWS_RECALL)
