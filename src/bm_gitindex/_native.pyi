from collections.abc import Callable

from typing_extensions import Buffer

def read_table(index: Buffer, /) -> tuple[bytes, int] | None: ...
def prove(
    root_fd: int,
    index: Buffer,
    offsets: Buffer,
    mask: Buffer,
    changed_at: int,
    timestamp_s: int,
    most_bytes: int,
    longest_path: int,
    endings: Buffer,
    remembered: bytes,
    settled_before_s: int,
    thread_count: int,
    on_progress: Callable[[int], object],
    /,
) -> tuple[
    dict[bytes, tuple[int, int, tuple[()]]],
    dict[bytes, tuple[int, int, tuple[list[bytes], list[bytes]]]],
    bytes,
    bytes,
]: ...
