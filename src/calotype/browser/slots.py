"""Places for captures: so many at once, so many more waiting in order of arrival, the rest refused at once."""

from __future__ import annotations

import asyncio
from collections import deque

from calotype.errors import LimitError, Overloaded


class Slots:
    """A first-in-first-out semaphore with a bounded queue that can be closed."""

    def __init__(self, size: int, *, queue: int) -> None:
        self._free = size
        self._size = size
        self._queue = queue
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed: type[LimitError] | None = None

    @property
    def waiting(self) -> int:
        return sum(not waiter.done() for waiter in self._waiters)

    @property
    def active(self) -> int:
        return self._size - self._free

    async def acquire(self, timeout_s: float) -> None:
        """Take a slot, which `release` gives back.

        Raises:
            Overloaded: as many wait as may, or `timeout_s` passed.
            ShuttingDown: `close` was called with it.
        """
        if self._closed:
            raise self._closed()
        if self._free and not self.waiting:
            self._free -= 1
            return
        if self.waiting >= self._queue:
            raise Overloaded(
                f"This server is busy: {self._size} captures run and {self.waiting} wait.",
                retry_after_s=self._retry_after_s(),
            )
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            self._give_up(waiter)
            raise Overloaded(
                f"No browser page came free within {timeout_s:g} s.", retry_after_s=self._retry_after_s()
            ) from None
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise

    def release(self) -> None:
        self._free += 1
        self._hand_out()

    def close(self, error: type[LimitError]) -> None:
        """Refuse everyone who waits and everyone who comes with `error`; slots already taken stay taken."""
        self._closed = error
        waiters, self._waiters = self._waiters, deque()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error())

    def _give_up(self, waiter: asyncio.Future[None]) -> None:
        if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            self.release()  # the slot was handed over in the very moment we stopped waiting
        elif waiter in self._waiters:
            self._waiters.remove(waiter)

    def _hand_out(self) -> None:
        while self._free and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._free -= 1
                waiter.set_result(None)

    def _retry_after_s(self) -> float:
        # A capture takes a second or so; whoever comes back when the queue ahead of him is served finds room.
        return max(1.0, self.waiting / self._size)
