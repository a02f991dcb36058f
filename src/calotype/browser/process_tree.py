"""Memory of a process and all its descendants, from Linux's /proc; 0 elsewhere."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def descendants(root_pid: int) -> list[int]:
    """The process and everything below it, parents first."""
    pids = [root_pid]
    for pid in pids:  # grows while it is walked
        with contextlib.suppress(OSError, ValueError):
            for task in os.listdir(f"/proc/{pid}/task"):
                pids.extend(int(child) for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return pids


def renderers(root_pid: int) -> list[int]:
    """Chromium's renderer processes below the process."""
    return [pid for pid in descendants(root_pid) if _is_renderer(pid)]


def _is_renderer(pid: int) -> bool:
    with contextlib.suppress(OSError):
        # A process forked by the zygote writes its title with spaces where the others have NULs.
        return b"--type=renderer" in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b" ", b"\0").split(b"\0")
    return False


def tree_memory_bytes(root_pid: int) -> int:
    """Proportional set size of the tree: pages shared by its processes count once."""
    return sum(_pss_bytes(pid) for pid in descendants(root_pid))


def _pss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
