"""A watcher's socket: who may ask is the owner of the project's state folder, and nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bm_gitindex.statefolder import stamp
from bm_gitindex.syncing.cancellation import ended
from bm_gitindex.version import VERSION
from bm_gitindex.watching.answers import Answers, Doubt
from bm_gitindex.watching.asking import is_of_owner, socket_address
from bm_gitindex.watching.wire import report_text, status_text

if TYPE_CHECKING:
    from bm_gitindex.watching.report import WatchReport
    from bm_gitindex.watching.watcher import Watcher

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_QUESTION_BYTES = 1_024
_QUESTION_S = 5.0
_PARTING_S = 1.0
"""How long those who are connected when the watcher ends may take to hear the rest."""
_THE_END = ""
_KEPT: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""asyncio would look for the socket by its address, which is that of a descriptor."""
_MOST_WAITING = 1_000
"""Reports that a follower may be behind; one that reads no more is left."""


class Service:
    """Answers what is asked of a watcher, while the body of `async with` runs.

    Where there can be no socket, the watcher's state says so.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._answers = Answers(watcher)
        self._followers: set[asyncio.Queue[str]] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._socket_stamp: tuple[int, ...] | None = None

    async def __aenter__(self) -> None:
        try:
            self._server = await self._listening()
        except (OSError, AttributeError, NotImplementedError) as error:
            self._watcher.state.notes.append(f"no questions are answered: {error}")

    async def __aexit__(self, *_raised: object) -> None:
        if self._server is not None:
            if stamp(self._watcher.folder.watch_socket) == self._socket_stamp:  # and not another watcher's
                with suppress(OSError):
                    self._watcher.folder.watch_socket.unlink()
            self._server.close()
            await self._part()

    async def _part(self) -> None:
        """Let those who are connected hear the rest, and leave them."""
        for follower in self._followers:
            with suppress(asyncio.QueueFull):
                follower.put_nowait(_THE_END)
        if self._serving:
            _, late = await asyncio.wait(self._serving, timeout=_PARTING_S)
            for task in late:
                task.cancel()
                await ended(task)

    def tell(self, report: WatchReport) -> None:
        """Tell those who follow."""
        text = f"report {report_text(report)}"
        for follower in list(self._followers):
            try:
                follower.put_nowait(text)
            except asyncio.QueueFull:
                self._followers.discard(follower)

    async def _listening(self) -> asyncio.Server:
        folder = self._watcher.folder
        folder_fd = os.open(folder.path, _FOLDER_FLAGS)
        try:
            with suppress(FileNotFoundError):
                folder.watch_socket.unlink()  # of a watcher that was killed: the lock is ours
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listener.bind(socket_address(folder_fd, str(folder.path)))
                folder.watch_socket.chmod(0o600)
                self._socket_stamp = stamp(folder.watch_socket)
                return await asyncio.start_unix_server(self._serve, sock=listener, limit=_QUESTION_BYTES, **_KEPT)
            except BaseException:
                listener.close()
                raise
        finally:
            os.close(folder_fd)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            if not is_of_owner(writer.get_extra_info("socket").getsockopt):
                return
            async with asyncio.timeout(_QUESTION_S):
                question = (await reader.readline()).decode("utf-8", "replace").split()
            await self._answer(question, reader, writer)
        except (OSError, TimeoutError, ValueError):
            return
        except asyncio.CancelledError:
            return  # by `_part`; the loop would print that a connection was cancelled
        finally:
            writer.close()

    async def _answer(self, question: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match question:
            case ["status", version]:
                await _say(writer, await self._status(version))
            case ["state", _]:
                await _say(writer, f"state {json.dumps(self._state())}")
            case ["stop", _]:
                await _say(writer, "stopping")
                self._watcher.stop()
            case ["follow", _]:
                await self._follow(reader, writer)
            case _:
                await _say(writer, "doubt the question is not understood")

    async def _status(self, version: str) -> str:
        if version != VERSION:
            return f"doubt the watcher is of version {VERSION}"
        found = await self._answers.status()
        if isinstance(found, Doubt):
            return "doubt " + " ".join(found.reason.split())
        if not found.status.changes and not found.status.skipped:
            return f"clean {found.status.counters.files_seen} {found.token}"
        return f"status {found.token} {status_text(found.status)}"

    def _state(self) -> dict[str, object]:
        return {"pid": os.getpid(), "version": VERSION, **asdict(self._watcher.state)}

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reports: asyncio.Queue[str] = asyncio.Queue(_MOST_WAITING)
        self._followers.add(reports)
        gone = asyncio.ensure_future(reader.read())
        try:
            await _say(writer, "following")
            while reports in self._followers or not reports.empty():
                next_report = asyncio.ensure_future(reports.get())
                await asyncio.wait({gone, next_report}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    next_report.cancel()
                    return
                if next_report.result() == _THE_END:
                    return
                await _say(writer, next_report.result())
        finally:
            self._followers.discard(reports)
            gone.cancel()
            await ended(gone)


async def _say(writer: asyncio.StreamWriter, line: str) -> None:
    writer.write(line.encode() + b"\n")
    await writer.drain()
