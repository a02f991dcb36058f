"""Kills renderers that take more memory than one page may.

V8's own limit bounds the JavaScript heap only; ArrayBuffers, WebAssembly, canvases, images and the DOM are outside it.
A killed renderer is a crashed page (`Inspector.targetCrashed`): its capture fails, its neighbours go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from calotype.browser.process_tree import descendants

_log = structlog.get_logger(__name__)

_INTERVAL_S = 0.25  # a page fills about 1 GB a second; what it takes between two looks is the price of looking seldom
_RENDERER = b"--type=renderer"


def kill_over(root_pid: int, limit_bytes: int) -> list[int]:
    """Kill the renderers below the process that hold more than the limit; return their process ids. Linux only."""
    killed: list[int] = []
    for pid, held_bytes in _renderers(root_pid):
        if held_bytes > limit_bytes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                _log.warning("page_over_memory", pid=pid, held_bytes=held_bytes, limit_bytes=limit_bytes)
    return killed


async def watch(root_pid: int | None, limit_bytes: int, *, while_: Callable[[], bool]) -> None:
    """`kill_over` again and again, whenever `while_()` holds, until cancelled."""
    while root_pid is not None:
        await asyncio.sleep(_INTERVAL_S)
        if while_():
            await asyncio.to_thread(kill_over, root_pid, limit_bytes)


def _renderers(root_pid: int) -> Iterator[tuple[int, int]]:
    """Each renderer with the bytes that are its own: anonymous and shared memory, not the program's mapped files."""
    for pid in descendants(root_pid):
        with contextlib.suppress(OSError, ValueError):
            if _RENDERER in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b" ", b"\0").split(b"\0"):
                yield pid, _own_bytes(Path(f"/proc/{pid}/status").read_text())


def _own_bytes(status: str) -> int:
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return sum(int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))
