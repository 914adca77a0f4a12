"""Files and folders that may not be read or written, met by a user to whom the system denies them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.stage import EDITS, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.strace import Tracer

NOBODY = 65534


@pytest.fixture
def uid() -> int | None:
    """A user who is no superuser; None: we are no superuser ourselves."""
    return NOBODY if os.geteuid() == 0 else None


@pytest.fixture
def stage(uid: int | None) -> Iterator[Stage]:
    """A stage that belongs to that user, in a folder that he can reach."""
    folder = Path(tempfile.mkdtemp(prefix="bm-gitindex-")).resolve()
    folder.chmod(0o755)
    stage = Stage(EDITS, folder)
    if uid is not None:
        for place, folders, files in os.walk(stage.root):
            for name in [".", *folders, *files]:
                os.chown(os.path.join(place, name), uid, uid)
    stage.look_again()
    yield stage
    shutil.rmtree(folder)


def denied(tracer: Tracer, stage: Stage, uid: int | None, path: str, mode: int) -> tuple[int, str]:
    """Run the command while a path has this mode. Returns exit code and messages; `status` never comes to grief."""
    place = stage.root / path
    was = place.stat().st_mode
    place.chmod(mode)
    try:
        ended = tracer.run(stage.argv, uid=uid)
        looked = tracer.run([*stage.argv[:2], "status"], uid=uid)
        assert looked.status in {0, ended.status}, looked
        assert "Traceback" not in looked.err
    finally:
        place.chmod(was)
    stage.look_again()
    return ended.status, ended.err


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        (".basic-memory", 0o500),
        (".basic-memory", 0o000),
        (".basic-memory/lock", 0o400),
        (".basic-memory/index", 0o000),
        (".basic-memory/entities.db", 0o400),
        (".basic-memory/entities.db", 0o000),
    ],
)
def test_state_that_may_not_be_used_is_told_in_one_line_and_stays(
    tracer: Tracer, stage: Stage, uid: int | None, path: str, mode: int
) -> None:
    before = stage.snapshot()
    status, err = denied(tracer, stage, uid, path, mode)
    assert (status, err.count("\n")) == (6, 1)
    assert str(stage.root / path) in err
    after = stage.snapshot()
    assert {name: after[name].data for name in before if name != "lock"} == {
        name: saved.data for name, saved in before.items() if name != "lock"
    }
    assert after.keys() == before.keys()
    assert stage.wrongs_after_crash() + stage.wrongs_after_sync() == []


@pytest.mark.parametrize("path", ["edited.md", "new.md", "other/two.md"])
def test_a_file_that_may_not_be_read_is_named_and_loses_nothing(
    tracer: Tracer, stage: Stage, uid: int | None, path: str
) -> None:
    status, err = denied(tracer, stage, uid, path, 0o000)
    assert status == 3
    assert f"bm-gitindex: {path}: " in err
    assert stage.wrongs_after_crash() + stage.wrongs_after_sync() == []


@pytest.mark.parametrize(("path", "mode"), [("other", 0o000), ("sub", 0o000), ("sub", 0o600), (".", 0o300)])
def test_a_folder_that_may_not_be_read_is_named_and_keeps_what_is_known(
    tracer: Tracer, stage: Stage, uid: int | None, path: str, mode: int
) -> None:
    stage.expect_no_moves()
    status, err = denied(tracer, stage, uid, path, mode)
    assert status == 3
    assert f"bm-gitindex: {path}" in err
    assert stage.wrongs_after_crash() + stage.wrongs_after_sync() == []
