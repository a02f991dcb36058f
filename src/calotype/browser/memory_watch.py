"""Kills renderers that take more memory than one page may.

V8's own limit bounds the JavaScript heap only; ArrayBuffers, WebAssembly, canvases, images and the DOM are outside it.
A killed renderer is a crashed page (`Inspector.targetCrashed`): its capture fails, its neighbours go on.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import structlog

from calotype.browser.process_tree import renderers

_log = structlog.get_logger(__name__)


def kill_over(root_pid: int, limit_bytes: int) -> list[int]:
    """Kill the renderers below the process that hold more than the limit; return their process ids. Linux only."""
    killed: list[int] = []
    for pid in renderers(root_pid):
        with contextlib.suppress(OSError, ValueError):
            if (held_bytes := _own_bytes(pid)) > limit_bytes:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                _log.warning("page_over_memory", pid=pid, held_bytes=held_bytes, limit_bytes=limit_bytes)
    return killed


def _own_bytes(pid: int) -> int:
    """Anonymous and shared memory: what is the page's own, not the program's mapped files."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return sum(int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))
