"""The threads that resize and encode, and how much they do at once.

A picture of 200 megapixels takes a gigabyte while it is encoded and, as AVIF, minutes; its page has been given back by
then. So what is encoded at once is bounded in pixels, in order of arrival, and nobody waits without an end.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from calotype.capture.encode import encode
from calotype.capture.shoot import Shot
from calotype.capture.verdict.colours import Colours, colours_of
from calotype.errors import CaptureTimeout
from calotype.request import CaptureRequest

_TIMEOUT_S = 60.0


class Encoders:
    """`close()` it at the end."""

    def __init__(self, *, max_pixels: int, timeout_s: float = _TIMEOUT_S) -> None:
        """
        Args:
            max_pixels: of all pictures that are encoded at once; one alone may have more.
        """
        self._threads = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="encoder")
        self._free = self._budget = max_pixels
        self._timeout_s = timeout_s
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def encode(self, shot: Shot, request: CaptureRequest) -> Shot:
        """As `encode.encode`, in a thread.

        Raises:
            ResultTooLarge
            CaptureTimeout: it took too long, the wait for its turn included.
        """
        pixels = min(shot.width_px * shot.height_px, self._budget)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._take(pixels)
                work = asyncio.get_running_loop().run_in_executor(self._threads, encode, shot, request)
                # When the thread is done with it, not when we are: a thread can't be stopped.
                work.add_done_callback(lambda _: self._give(pixels))
                return await asyncio.shield(work)
        except TimeoutError:
            raise CaptureTimeout("The picture took too long to encode. Ask for a smaller one, or for jpeg.") from None

    async def colours(self, shot: Shot) -> Colours:
        """As `colours.colours_of`, in a thread. It is not counted: pictures that are looked at are nearly empty."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, colours_of, shot.bands)

    def close(self) -> None:
        """End the threads when they are done with what they have; what waits for its turn never begins."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _take(self, pixels: int) -> None:
        if pixels <= self._free and not self._waiting:
            self._free -= pixels
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((pixels, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give(pixels)  # it came in the very moment
            raise
        finally:
            self._hand_out()

    def _give(self, pixels: int) -> None:
        self._free += pixels
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting:
            pixels, turn = self._waiting[0]
            if not turn.done():
                if pixels > self._free:
                    return
                self._free -= pixels
                turn.set_result(None)
            self._waiting.popleft()
