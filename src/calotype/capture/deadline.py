"""The one absolute deadline of a capture, handed down to every step, and how long each wait under it took."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from calotype.capture.result import WaitedFor

_NOTICEABLE_MS = 10


class DeadlineReached(Exception):
    """The deadline came while waiting for `waiting_for`, a phrase for `meta.partial_reason`."""

    def __init__(self, waiting_for: str) -> None:
        super().__init__(waiting_for)
        self.waiting_for = waiting_for


class Deadline:
    """A moment on the event loop's clock."""

    def __init__(self, timeout_s: float) -> None:
        self.at = asyncio.get_running_loop().time() + timeout_s
        self._waits: dict[str, tuple[float, bool]] = {}

    @property
    def remaining_s(self) -> float:
        return max(0.0, self.at - asyncio.get_running_loop().time())

    def note_wait(self, name: str, elapsed_ms: float, *, ended: bool = True) -> None:
        """Add to what has been waited for under this name; `ended` is of the last time."""
        before, _ = self._waits.get(name, (0.0, True))
        self._waits[name] = (before + elapsed_ms, ended)

    def gave_up(self, name: str) -> bool:
        """Whether this wait was left without its end, the last time."""
        return name in self._waits and not self._waits[name][1]

    def waited_for(self) -> list[WaitedFor]:
        """The named waits that took noticeable time, or did not end, in the order of their first beginning."""
        return [
            WaitedFor(what=name, ms=round(elapsed_ms), ended=ended)
            for name, (elapsed_ms, ended) in self._waits.items()
            if elapsed_ms >= _NOTICEABLE_MS or not ended
        ]

    @asynccontextmanager
    async def waiting_for(self, what: str, name: str | None = None) -> AsyncGenerator[None]:
        """Run the block until the deadline; past it, raise `DeadlineReached(what)`. A wait with a name is noted."""
        scope = asyncio.timeout_at(self.at)
        began = asyncio.get_running_loop().time()
        try:
            async with scope:
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            raise DeadlineReached(what) from None
        finally:
            if name is not None:
                elapsed_ms = (asyncio.get_running_loop().time() - began) * 1000
                self.note_wait(name, elapsed_ms, ended=not scope.expired())
