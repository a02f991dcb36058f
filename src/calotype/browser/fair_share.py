"""Gives renderers that take much processor time the lowest priority, so that their neighbours get theirs.

A page may start a hundred busy threads, and the kernel shares by thread. Nice levels count within one browser, which
is a session (and so a scheduler's autogroup) of its own. Lowering needs no privilege and is never undone: a renderer
serves one capture.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from calotype.browser.process_tree import renderers

_LOWEST = 19
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def lower_over(root_pid: int, limit_s: float) -> None:
    """Lower every thread of the renderers below the process that have used more processor time. Linux only."""
    for pid in renderers(root_pid):
        with contextlib.suppress(OSError, ValueError):
            if _used_s(pid) > limit_s:
                _lower(pid)


def _lower(pid: int) -> None:
    # On Linux a nice level is a thread's. New threads inherit it from the one that starts them.
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(ProcessLookupError):
            if os.getpriority(os.PRIO_PROCESS, int(thread)) < _LOWEST:
                os.setpriority(os.PRIO_PROCESS, int(thread), _LOWEST)


def _used_s(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / _TICKS_PER_S
