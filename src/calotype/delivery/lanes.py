"""How many captures of one key run at once (`max_concurrency` of its plan); the others of that key wait for them, in
order, and nobody else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from calotype.errors import Overloaded


@dataclass(eq=False)
class _Lane:
    places: asyncio.Semaphore
    size: int
    users: int = 0
    """Those inside and those that wait."""


class Lanes:
    """Bounded: of one key, `queue` may wait, each for `timeout_s`."""

    def __init__(self, *, queue: int, timeout_s: float) -> None:
        self._queue = queue
        self._timeout_s = timeout_s
        self._lanes: dict[str, _Lane] = {}

    @asynccontextmanager
    async def lane(self, key_id: str, size: int | None) -> AsyncGenerator[None]:
        """Hold one of the key's places; None: there are as many as it wants.

        Raises:
            Overloaded: too many wait, or none came free in time.
        """
        if size is None:
            yield
            return
        lane = self._lanes.get(key_id)
        if lane is None or lane.size != size:  # its plan has changed
            lane = self._lanes[key_id] = _Lane(asyncio.Semaphore(size), size)
        if lane.users >= size + self._queue:
            raise _busy(size)
        lane.users += 1
        try:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await lane.places.acquire()
            except TimeoutError:
                raise _busy(size) from None
            try:
                yield
            finally:
                lane.places.release()
        finally:
            lane.users -= 1
            if not lane.users and self._lanes.get(key_id) is lane:
                del self._lanes[key_id]


def _busy(size: int) -> Overloaded:
    return Overloaded(f"The plan's {size} captures at once are running, and others of the key wait.", retry_after_s=1)
