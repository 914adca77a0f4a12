from __future__ import annotations

from hashlib import sha1

import pytest

from bm_gitindex.index import checksum
from bm_gitindex.index.checksum import Checksum

SIZES = [20, 21, 1000, 1024 * 1024 - 1, 1024 * 1024, 3 * 1024 * 1024 + 7]


@pytest.mark.parametrize("size", SIZES)
def test_it_is_the_sha1_of_all_but_the_trailer_however_often_it_is_asked_for(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    computed = Checksum(data)
    assert computed.digest() == computed.digest() == sha1(data[:-20]).digest()


def test_it_is_computed_all_the_same_where_there_can_be_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(checksum, "start_new_thread", refuse)
    data = bytes(2 * 1024 * 1024)
    assert Checksum(data).digest() == sha1(data[:-20]).digest()


def test_a_thread_that_could_not_compute_it_leaves_it_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksum, "start_new_thread", lambda work, _: None)
    data = bytes(2 * 1024 * 1024)
    started = Checksum(data)
    started._is_done.release()  # as a thread does that has failed
    assert started.digest() == sha1(data[:-20]).digest()
