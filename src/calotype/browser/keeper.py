"""The small process between the server and one Chromium: starts it, reaps it, and never outlives its purpose.

Run as a script, with the standard library only:

    python -I -S keeper.py LIFELINE LOCK IN OUT PROFILE [LAUNCHER ARGUMENT…] CHROMIUM FLAG…

LIFELINE is the read end of a pipe whose other end the server holds: it closes however the server ends, kill -9
included. Then, or when Chromium exits, everything Chromium started is killed and reaped (the keeper is a child
subreaper) and the profile directory removed. If the keeper itself is killed, Chromium dies by its parent-death signal.
LOCK is the profile's lock, held while the keeper lives, so that `process.sweep_profiles` knows what is left over.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import shutil
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _exec_chromium(argv: list[str], pipe_in: int, pipe_out: int, keeper_pid: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper_pid:  # the keeper died before the line above
        os._exit(1)
    os.setpgid(0, 0)
    # Chromium reads commands from descriptor 3 and writes to 4. Both are copied out of the way first, so that neither
    # dup2 overwrites the other's source; the copies close on exec.
    high_in, high_out = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (pipe_in, pipe_out))
    os.dup2(high_in, 3)
    os.dup2(high_out, 4)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execv(argv[0], argv)  # noqa: S606


def _await_end(lifeline: int, chromium_pid: int) -> int:
    """Reap until Chromium's main process has ended or the lifeline closes; return an exit status for the keeper."""
    wake_in, wake_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
    os.set_blocking(wake_out, False)
    signal.set_wakeup_fd(wake_out)
    signal.signal(signal.SIGCHLD, _note_only)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    while True:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 0
            if pid == chromium_pid:
                return os.waitstatus_to_exitcode(status) & 0xFF
            if pid == 0:
                break
        ready, _, _ = select.select([lifeline, wake_in], [], [])
        if wake_in in ready:
            os.read(wake_in, 4096)
        if lifeline in ready and not os.read(lifeline, 1):
            return 0


def _note_only(number: int, frame: object) -> None:
    """A Python-level handler must exist for the wakeup descriptor to be written."""


def _children() -> list[int]:
    with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]
    return []


def _kill_all(chromium_pid: int) -> None:
    """Kill Chromium's process group and, as they are reparented to us, everything that had left it; reap each."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(chromium_pid, signal.SIGKILL)
    while True:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def main() -> None:
    """Parse the command line above and keep the one Chromium."""
    descriptors = [int(text) for text in sys.argv[1:5]]
    lifeline, _, pipe_in, pipe_out = descriptors
    profile, argv = sys.argv[5], sys.argv[6:]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the lifeline ends it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    keeper_pid = os.getpid()
    chromium_pid = os.fork()
    if chromium_pid == 0:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        try:
            _exec_chromium(argv, pipe_in, pipe_out, keeper_pid)
        finally:
            os._exit(127)
    os.close(pipe_in)
    os.close(pipe_out)
    status = 0
    try:
        status = _await_end(lifeline, chromium_pid)
    finally:
        _kill_all(chromium_pid)
        shutil.rmtree(profile, ignore_errors=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
