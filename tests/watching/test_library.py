"""Leaving what `bmg.watch` returns: however that is done, nothing is left, and nobody complains."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

import bm_gitindex as bmg
from bm_gitindex.errors import LockHeldError, RootMissingError
from bm_gitindex.watching.presence import watcher_fields
from support.child import environment
from support.watching import NEVER_COMES_AFTER_S

if TYPE_CHECKING:
    from pathlib import Path

    from support.vault import Vault

_PROGRAM = """
import asyncio, gc, json, os, sys, threading, time
from contextlib import aclosing, suppress
import bm_gitindex as bmg

root = sys.argv[1]
held = []

async def breaks_off():
    async for report in bmg.watch(root):
        break

async def breaks_off_and_goes_on():
    await breaks_off()
    await asyncio.sleep(0.2)

async def raises():
    async for report in bmg.watch(root):
        raise ValueError

async def raises_with_a_name_for_it():
    reports = bmg.watch(root)
    async for report in reports:
        raise ValueError

async def holds():
    held.append(bmg.watch(root))
    await anext(held[0])

async def holds_that_of_a_project():
    held.append(bmg.Project(root).watch())
    await anext(held[0])

async def holds_unbegun():
    held.append(bmg.watch(root))

async def leaves_a_task_that_waits():
    held.append(asyncio.create_task(goes_on_for_ever()))
    await begun.wait()

async def leaves_a_task_that_begins():
    held.append(asyncio.create_task(goes_on_for_ever()))
    await asyncio.sleep(0.05)

async def cancels():
    task = asyncio.create_task(goes_on_for_ever())
    await begun.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

async def takes_no_longer():
    with suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await goes_on_for_ever()

async def closes():
    reports = bmg.watch(root)
    await anext(reports)
    await reports.aclose()

async def closes_with_its_body():
    async with aclosing(bmg.watch(root)) as reports:
        async for report in reports:
            break

begun = asyncio.Event()

async def goes_on_for_ever():
    async for report in bmg.watch(root):
        begun.set()

with suppress(ValueError):
    asyncio.run(globals()[sys.argv[2]]())
held.clear()
gc.collect()


def open_files():
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            yield os.readlink(f"/proc/self/fd/{fd}")

for _ in range(6000):  # the system's watches are closed by a thread of their own
    files, threads = list(open_files()), [thread.name for thread in threading.enumerate()]
    if len(threads) == 1 and not any(file.startswith(("anon_inode:", "socket:")) for file in files):
        break
    time.sleep(0.01)
print(json.dumps({"files": files, "threads": threads}))
"""


@pytest.fixture(autouse=True)
def _is_behind(vault: Vault) -> None:
    """There is something to report at once."""
    vault.write("five.md", "five\n")


@pytest.mark.parametrize(
    "way",
    [
        "breaks_off",
        "breaks_off_and_goes_on",
        "raises",
        "raises_with_a_name_for_it",
        "holds",
        "holds_that_of_a_project",
        "holds_unbegun",
        "leaves_a_task_that_waits",
        "leaves_a_task_that_begins",
        "cancels",
        "takes_no_longer",
        "closes",
        "closes_with_its_body",
    ],
)
def test_nothing_is_left_and_nothing_said(vault: Vault, way: str) -> None:
    line = [sys.executable, "-W", "always::ResourceWarning", "-c", _PROGRAM, str(vault.root), way]
    done = subprocess.run(
        line,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=NEVER_COMES_AFTER_S,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, "")
    left = json.loads(done.stdout)
    assert left["threads"] == ["MainThread"]
    assert [file for file in left["files"] if file.startswith(("anon_inode:", "socket:"))] == []
    assert [file for file in left["files"] if file.endswith("watch.lock")] == []
    assert not vault.project.state.watch_socket.exists()
    assert watcher_fields(vault.project.state) is None


async def test_a_second_watch_may_follow_one_that_was_closed_with_its_body(vault: Vault) -> None:
    for number in range(2):
        vault.write("six.md", f"{number}\n")
        async with aclosing(bmg.watch(vault.root)) as reports:
            async for report in reports:
                assert report.reason == "start"
                break
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_second_watch_is_refused_at_its_first_step(vault: Vault) -> None:
    async with aclosing(bmg.watch(vault.root)) as first:
        await anext(first)
        second = bmg.watch(vault.root)
        with pytest.raises(LockHeldError):
            await anext(second)


async def test_what_is_no_project_is_told_at_the_first_step(tmp_path: Path) -> None:
    reports = bmg.watch(tmp_path / "nothing")
    with pytest.raises(RootMissingError):
        await anext(reports)


async def test_what_was_closed_yields_nothing_more(vault: Vault) -> None:
    reports = vault.project.watch()
    await anext(reports)
    await reports.aclose()
    await reports.aclose()
    assert [report async for report in reports] == []


async def test_a_watcher_that_was_ended_watches_nothing_more(vault: Vault) -> None:
    watcher = vault.project.watcher()
    watcher.begin()
    assert await watcher.next_report() is not None
    await watcher.end()
    assert await watcher.next_report() is None
    assert not watcher.ears.are_open
    assert asyncio.all_tasks() == {asyncio.current_task()}
