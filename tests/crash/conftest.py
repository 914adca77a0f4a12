from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from support.strace import Tracer
from support.vault import never_young

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def tracer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracer]:
    if sys.platform != "linux":
        pytest.skip("a process that has loaded all may be forked, and traced, on Linux only")
    tracer = Tracer(tmp_path_factory.mktemp("traces"))
    yield tracer
    tracer.close()


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is young: what the index says of one is believed, so that it shows if it should not have been."""
    never_young(monkeypatch)
