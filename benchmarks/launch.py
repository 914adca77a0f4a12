"""Run one command and print what it took: wall seconds, user and system seconds, peak memory in bytes, exit status.

    python -I -S benchmarks/launch.py OUTPUT ERRORS COMMAND [ARGUMENT]...

`measuring.py` starts it for each command that is measured. A process is charged with the memory of the one that it was
forked from (getrusage(2): ru_maxrss survives execve), so that one has to be small: nothing is imported here that the
interpreter has not loaded already. What stays of it, some 5 MB, is the least that can be measured.
"""

import posix
import sys
import time


def main() -> None:
    """Run the command that the command line has."""
    output, errors, *command = sys.argv[1:]
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND
    out, err = posix.open(output, flags, 0o644), posix.open(errors, flags, 0o644)
    started_ns = time.perf_counter_ns()
    pid = posix.fork()
    if not pid:
        try:
            posix.dup2(out, 1)
            posix.dup2(err, 2)
            posix.execve(command[0], command, posix.environ)
        finally:
            posix._exit(127)  # noqa: SLF001 - a public function, in spite of its name
    _, status, used = posix.wait4(pid, 0)
    wall_s = (time.perf_counter_ns() - started_ns) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
    print(wall_s, used.ru_utime, used.ru_stime, used.ru_maxrss * unit, posix.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
