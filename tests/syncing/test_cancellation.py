from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from bm_gitindex.syncing.cancellation import ended, in_thread, to_end


async def test_a_cancelled_caller_waits_for_its_thread() -> None:
    began, may_end, has_ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        may_end.wait(60)
        has_ended.set()

    caller = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(began.wait, 60)
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
        assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert has_ended.is_set()


async def test_a_cancelled_caller_asks_its_work_to_stop_once_and_is_cancelled_whatever_that_says() -> None:
    stop, stops = asyncio.Event(), 0

    async def work() -> None:
        await stop.wait()
        raise OSError("on its way out")

    def ask() -> None:
        nonlocal stops
        stops += 1
        stop.set()

    caller = asyncio.create_task(to_end(work(), ask))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert stops == 1


async def test_what_the_work_returns_or_raises_is_the_callers() -> None:
    assert await in_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_how_a_task_ended_is_of_no_interest_to_who_waits_for_its_end(is_cancelled: bool) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def fail() -> None:
        raise OSError("nobody asks")

    task = asyncio.create_task(fail())
    if is_cancelled:
        task.cancel()
    await ended(task)
    assert task.done()
    del task
    gc.collect()
    assert complaints == []
