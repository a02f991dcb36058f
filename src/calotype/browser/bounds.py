"""Holds the pages of one browser to their bounds while captures run: memory, and a fair share of the processor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from calotype.browser.fair_share import lower_over
from calotype.browser.memory_watch import kill_over
from calotype.settings import BrowserSettings

_INTERVAL_S = 0.25  # a page fills about 1 GB a second; what it takes between two looks is the price of looking seldom


async def hold_to_bounds(root_pid: int | None, settings: BrowserSettings, *, while_: Callable[[], bool]) -> None:
    """Look again and again, whenever `while_()` holds, until cancelled."""
    while root_pid is not None:
        await asyncio.sleep(_INTERVAL_S)
        if while_():
            await asyncio.to_thread(_look, root_pid, settings)


def _look(root_pid: int, settings: BrowserSettings) -> None:
    kill_over(root_pid, settings.page_memory_bytes)
    lower_over(root_pid, settings.page_cpu_s)
