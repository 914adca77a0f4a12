"""The checksum of an index, computed beside whatever else is done with its bytes."""

from _thread import allocate_lock, start_new_thread
from contextlib import suppress
from hashlib import sha1

from bm_gitindex.index.entry import ID_LENGTH

_WORTH_A_THREAD_BYTES = 1024 * 1024
"""A megabyte takes a millisecond, and a thread a twentieth of that."""


class Checksum:
    """SHA-1 over all but the trailer. Of a large index a thread computes it, without the interpreter's lock.

    `threading` is not needed for that, and takes longer to import than it would save.
    """

    def __init__(self, data: bytes) -> None:
        """Begin."""
        self._data = data
        self._digest = b""
        self._is_done = allocate_lock()
        if len(data) >= _WORTH_A_THREAD_BYTES:
            self._is_done.acquire()
            with suppress(RuntimeError):  # no more threads are to be had
                start_new_thread(self._compute, ())
                return
            self._is_done.release()

    def digest(self) -> bytes:
        """Return it, waiting for it if need be."""
        with self._is_done:
            return self._digest or self._sha1()

    def _compute(self) -> None:  # pragma: no cover - a thread that starts without threading is not traced
        try:
            self._digest = self._sha1()
        finally:
            self._is_done.release()

    def _sha1(self) -> bytes:
        return sha1(memoryview(self._data)[:-ID_LENGTH], usedforsecurity=False).digest()
