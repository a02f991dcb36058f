"""The captures that callers are waiting for: each ends with its caller, and all of them before the server does.

Draining refuses new captures at once, lets running ones finish within the grace period, and cancels the rest, whose
callers then get 503 `shutting_down` instead of a broken connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from calotype.errors import ShuttingDown

_T = TypeVar("_T")

_RETRY_AFTER_S = 5.0  # what a restart takes, with room


class ClientGone(Exception):
    """The caller closed the connection; nobody is left to answer."""


class InFlight:
    """One per server."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._mere_waits: set[asyncio.Task[Any]] = set()
        self._is_stopping = False

    @property
    def is_stopping(self) -> bool:
        return self._is_stopping

    async def run(
        self, work: Callable[[], Coroutine[Any, Any, _T]], receive: Receive, *, is_mere_wait: bool = False
    ) -> _T:
        """Run the work for a caller, whose request was read to its end, and cancel it when the caller leaves.

        Args:
            is_mere_wait: nothing is lost when it ends as soon as the server stops.

        Raises:
            ShuttingDown: the server is stopping, or stopped while the work ran.
            ClientGone: the caller left; the work has ended.
        """
        if self._is_stopping:
            raise ShuttingDown(retry_after_s=_RETRY_AFTER_S)
        task = asyncio.create_task(work(), name="capture")
        tasks = self._mere_waits if is_mere_wait else self._tasks
        tasks.add(task)
        gone = asyncio.create_task(_until_disconnect(receive), name="disconnect-watch")
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ClientGone
            if task.cancelled() and self._is_stopping:
                raise ShuttingDown(retry_after_s=_RETRY_AFTER_S)
            return task.result()
        finally:
            tasks.discard(task)
            await _end(task, gone)

    async def drain(self, grace_s: float) -> None:
        """Refuse new work, wait for what runs, and cancel what has not ended after `grace_s` seconds."""
        self._is_stopping = True
        for task in self._mere_waits:
            task.cancel()
        if not self._tasks:
            return
        _, overdue = await asyncio.wait(set(self._tasks), timeout=grace_s)
        for task in overdue:
            task.cancel()


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
