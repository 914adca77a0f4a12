"""What a session says of itself."""

from __future__ import annotations

import resource
import sys

import pytest

from bm_gitindex.syncing import session
from support.faults import raising


@pytest.mark.parametrize(("platform", "unit_bytes"), [("linux", 1024), ("darwin", 1)])
def test_where_proc_does_not_tell_the_peak_of_memory_getrusage_does(
    monkeypatch: pytest.MonkeyPatch, platform: str, unit_bytes: int
) -> None:
    monkeypatch.setattr(session, "open", raising(FileNotFoundError()), raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes
    assert peak <= session._peak_rss_bytes() < 2 * peak
