"""Asking the process that watches a project. It needs next to nothing, since an answer is wanted at once.

A question is a line, a verb and the version of who asks; an answer is a line whose first word says what it is:

    clean FILES TOKEN     nothing differs from the index, and nothing is passed over
    status TOKEN JSON     what differs, or is passed over (`wire`)
    doubt REASON          whoever asks has to look
    state JSON, stopping, report JSON
"""

import _socket  # `socket` itself takes 5 ms to import, a fifth of what an answer may take
import os
import time

from bm_gitindex.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 0.25
"""How long an answer is waited for."""
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK_BYTES = 65_536
_MOST_BYTES = 64 * 1024 * 1024
_OWN_FOLDERS = "/proc/self/fd"
_SOCKET_NAME = "watch.sock"
_LONGEST_ADDRESS = 100
_UCRED_BYTES = 12
"""struct ucred (unix(7)): pid, uid and gid."""


def ask(folder: str, verb: str, patience_s: float = PATIENCE_S) -> bytes | None:
    """Return the answer of the watcher whose state folder this is, without the line's end.

    None where there is no watcher, it takes too long, or is another user's.
    """
    return next(listen(folder, verb, patience_s), None)


def listen(folder: str, verb: str, patience_s: float | None = PATIENCE_S) -> "Iterator[bytes]":
    """Yield one answer after the other, until the watcher ends or one takes too long; None waits for ever."""
    try:
        connection = _connected(folder, patience_s)
    except (OSError, AttributeError):  # there are no such sockets everywhere
        return
    try:
        if not is_of_owner(connection.getsockopt):
            return
        connection.sendall(f"{verb} {VERSION}\n".encode())
        yield from _lines(connection, patience_s)
    except OSError:
        return
    finally:
        connection.close()


def socket_address(folder_fd: int, folder: str) -> str:
    """Return by which path a socket in an open folder can be reached: an address holds no more than 107 bytes.

    Raises OSError where there is none.
    """
    if os.path.isdir(_OWN_FOLDERS):
        return f"{_OWN_FOLDERS}/{folder_fd}/{_SOCKET_NAME}"
    address = os.path.join(folder, _SOCKET_NAME)
    if len(os.fsencode(address)) > _LONGEST_ADDRESS:
        raise OSError(f"{address} is too long for a socket")
    return address


def is_of_owner(getsockopt: "Callable[[int, int, int], bytes]") -> bool:
    """Return whether the user at the other end of a connection is this one, given the way to ask its options.

    Where the system does not say, the permissions of the state folder have to do. Raises OSError.
    """
    option = getattr(_socket, "SO_PEERCRED", None)
    if option is None:
        return True
    credentials = getsockopt(_socket.SOL_SOCKET, option, _UCRED_BYTES)
    return memoryview(credentials).cast("I")[1] == os.geteuid()


def _connected(folder: str, patience_s: float | None) -> "_socket.socket":
    """Return a connection with a watcher. Raises OSError, and AttributeError where there are no Unix sockets."""
    folder_fd = os.open(folder, _FOLDER_FLAGS)
    try:
        if os.fstat(folder_fd).st_uid != os.geteuid():
            raise PermissionError
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.settimeout(patience_s)
            connection.connect(socket_address(folder_fd, folder))
        except OSError:
            connection.close()
            raise
        return connection
    finally:
        os.close(folder_fd)


def _lines(connection: "_socket.socket", patience_s: float | None) -> "Iterator[bytes]":
    """Yield lines that are whole. Raises OSError; TimeoutError is one."""
    rest = b""
    deadline_s = None if patience_s is None else time.monotonic() + patience_s
    while len(rest) <= _MOST_BYTES:
        line, end, after = rest.partition(b"\n")
        if end:
            rest = after
            yield line
            continue
        if deadline_s is not None:
            connection.settimeout(max(0.001, deadline_s - time.monotonic()))
        part = connection.recv(_CHUNK_BYTES)
        if not part:
            return
        rest += part
