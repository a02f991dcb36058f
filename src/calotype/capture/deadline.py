"""The one absolute deadline of a capture, handed down to every step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class DeadlineReached(Exception):
    """The deadline came while waiting for `waiting_for`, a phrase for `meta.partial_reason`."""

    def __init__(self, waiting_for: str) -> None:
        super().__init__(waiting_for)
        self.waiting_for = waiting_for


class Deadline:
    """A moment on the event loop's clock."""

    def __init__(self, timeout_s: float) -> None:
        self.at = asyncio.get_running_loop().time() + timeout_s

    @property
    def remaining_s(self) -> float:
        return max(0.0, self.at - asyncio.get_running_loop().time())

    @asynccontextmanager
    async def waiting_for(self, what: str) -> AsyncGenerator[None]:
        """Run the block until the deadline; past it, raise `DeadlineReached(what)`."""
        scope = asyncio.timeout_at(self.at)
        try:
            async with scope:
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            raise DeadlineReached(what) from None
