"""The ids by which entities are known in other databases too."""

from __future__ import annotations

import os
import time
from uuid import UUID

_RANDOM_BYTES = 10
_NS_PER_MS = 1_000_000


def new_external_id() -> str:
    """Return a UUID of version 7 (RFC 9562, 5.7): 48 bits of milliseconds since the epoch, and 74 random ones.

    Its index grows at one end. Ids that are random throughout go to as many of its pages as there are new entities, and
    each of these pages is written with them.
    """
    ms = time.time_ns() // _NS_PER_MS & 0xFFFF_FFFF_FFFF
    value = ms << 80 | int.from_bytes(os.urandom(_RANDOM_BYTES), "big")
    value = value & ~(0xF << 76) | 7 << 76
    return str(UUID(int=value & ~(0b11 << 62) | 0b10 << 62))
