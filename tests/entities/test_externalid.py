"""External ids: unique, and in the order of time, so that an index of them grows at one end."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from bm_gitindex.entities.externalid import new_external_id

if TYPE_CHECKING:
    import pytest


def test_an_external_id_is_a_uuid_of_version_7_in_its_usual_form() -> None:
    for _ in range(1_000):
        text = new_external_id()
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.variant, parsed.version) == (text, uuid.RFC_4122, 7)


def test_no_two_are_the_same_though_made_in_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_123_456_789)
    ids = {new_external_id() for _ in range(10_000)}
    assert len(ids) == 10_000
    assert {text[:14] for text in ids} == {"018bcfe5-687b-"}  # RFC 9562, 5.7: the milliseconds


def test_later_ones_are_greater(monkeypatch: pytest.MonkeyPatch) -> None:
    moments_ms = [0, 1, 255, 256, 10**9, 1_700_000_000_000, 2**48 - 1]
    made = []
    for ms in moments_ms:
        monkeypatch.setattr(time, "time_ns", lambda ms=ms: ms * 1_000_000)
        made.append(new_external_id())
    assert made == sorted(made)
