"""One TCP connection as a coroutine sees it: read a head, let the rest flow to another connection, write, wait.

Thinner than asyncio's streams, because every byte of every page passes here: what arrived is handed over as it arrived,
not copied through a buffer. One reader and one writer at a time. Received and not read are about `HIGH_WATER_BYTES` at
most, written and not sent about three times that.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

HIGH_WATER_BYTES = 256 * 1024
HEAD_MAX_BYTES = HIGH_WATER_BYTES
"""Not more than the high water, at which reading stops. Chromium's own limit for a response."""
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LONGEST_HEAD_END = 4


class WireLost(Exception):
    """The connection was reset, cut or closed where more was due."""


class HeadTooLarge(Exception):
    """The head is over `HEAD_MAX_BYTES`."""


class Body(Protocol):
    """Knows where a body ends."""

    @property
    def ended(self) -> bool: ...

    def feed(self, data: bytes) -> int:
        """Take in the next bytes; return how many of them belong to the body. What it raises ends the flow."""
        ...


class Wire(asyncio.Protocol):
    """The connection. After `close()` or `abort()`, `await wait_lost()` before forgetting it."""

    def __init__(
        self,
        *,
        on_made: Callable[[Wire], None] | None = None,
        on_bytes: Callable[[int], bool] | None = None,
    ) -> None:
        """
        Args:
            on_made: called once there is a connection.
            on_bytes: told the number of bytes received; the connection is cut when it says False.
        """
        self._on_made = on_made
        self._on_bytes = on_bytes
        self._transport: asyncio.Transport | None = None
        self._pending = b""
        self._has_ended = False  # the peer has said that it will send no more
        self._is_lost = False  # reset, or cut by us
        self._reading_paused = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._is_full = False
        self._flow: _Flow | None = None  # what is read goes there, not to `_pending`
        self._source: Wire | None = None  # whose flow ends here
        self._lost = asyncio.get_running_loop().create_future()
        self.on_ended: Callable[[], None] | None = None
        """Called when the peer has closed or reset its side, at once."""
        self.on_lost: Callable[[Wire], None] | None = None
        """Called when the connection is gone."""

    @property
    def is_usable(self) -> bool:
        """Whether nothing has come that nobody asked for, not even the end."""
        return not (self._pending or self._has_ended or self._is_lost)

    @property
    def has_pending(self) -> bool:
        """Whether something has come that was not read."""
        return bool(self._pending)

    @property
    def has_ended(self) -> bool:
        """Whether the peer has closed or reset its side."""
        return self._has_ended or self._is_lost

    @property
    def peer_host(self) -> str:
        """The peer's IP address; "" if unknown."""
        peer: tuple[str, int] | None = self._transport.get_extra_info("peername") if self._transport else None
        return peer[0] if peer else ""

    async def read_head(self) -> bytes:
        """Return the next head with the empty line that ends it; b"" at the end of the stream, if between messages.

        Raises:
            HeadTooLarge, WireLost
        """
        searched = 0
        while True:
            if found := _HEAD_END.search(self._pending, max(0, searched - _LONGEST_HEAD_END)):
                if found.end() > HEAD_MAX_BYTES:
                    raise HeadTooLarge
                head, self._pending = self._pending[: found.end()], self._pending[found.end() :]
                self._resume()
                return head
            searched = len(self._pending)
            if searched >= HEAD_MAX_BYTES:
                raise HeadTooLarge
            if self._has_ended and not self._pending:
                return b""
            if self._has_ended or self._is_lost:
                raise WireLost
            await self._more()

    async def flow_to(self, sink: Wire, body: Body, *, head: bytes = b"") -> None:
        """Write `head`, then what comes, to `sink` until the body or the stream has ended. What follows a body stays.

        Each piece is passed on when it arrives, without waking a task; while `sink` is full, reading stops.

        Raises:
            WireLost: either connection broke off.
        """
        data, self._pending = self._pending, b""
        taken = body.feed(data)
        self._pending = data[taken:]
        sink.write(head + data[:taken])  # one system call for a small answer
        if not (body.ended or self._has_ended):
            await self._flow_rest(sink, body)
        self._resume()
        await sink.drain()

    def write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._is_lost:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the peer has taken enough of what was written.

        Raises:
            WireLost
        """
        while self._is_full and not self._is_lost:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        if self._is_lost:
            raise WireLost

    def write_eof(self) -> None:
        """Tell the peer that no more will come; it may still send."""
        if self._transport is not None and not self._is_lost and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close after what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._is_lost = True
        self._pending = b""
        if self._transport is not None:
            self._transport.abort()

    async def wait_lost(self) -> None:
        """Wait until the connection is gone; at once if it was never made."""
        if self._transport is not None:
            await asyncio.shield(self._lost)

    # --- what the event loop calls -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # What flows resumes while there is enough left to send: neither side waits for the other's turn.
        self._transport.set_write_buffer_limits(high=2 * HIGH_WATER_BYTES, low=HIGH_WATER_BYTES)
        if self._on_made is not None:
            self._on_made(self)

    def data_received(self, data: bytes) -> None:
        if self._is_lost:
            return
        if self._on_bytes is not None and not self._on_bytes(len(data)):
            self.abort()
            return
        if self._flow is not None:
            self._pass_on(self._flow, data)
            return
        self._pending = self._pending + data if self._pending else data
        if len(self._pending) >= HIGH_WATER_BYTES:
            self._pause()
        _wake(self._reader)

    def eof_received(self) -> bool:
        self._has_ended = True
        self._wake_all()
        self._end_flow()
        return True  # a half-closed connection still carries the other direction

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._wake_all()
        self._end_flow(WireLost())
        if self._source is not None:
            self._source._end_flow(WireLost())
        if not self._lost.done():
            self._lost.set_result(None)
        if self.on_lost is not None:
            self.on_lost(self)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._source is not None:
            self._source._resume()
        _wake(self._writer)

    # --------------------------------------------------------------------------------------------------------------

    def _wake_all(self) -> None:
        _wake(self._reader)
        _wake(self._writer)
        if self.on_ended is not None:
            self.on_ended()

    async def _more(self) -> None:
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    async def _flow_rest(self, sink: Wire, body: Body) -> None:
        if self._is_lost or sink._is_lost:
            raise WireLost
        flow = self._flow = _Flow(sink, body, asyncio.get_running_loop().create_future())
        sink._source = self
        try:
            if sink._is_full:
                self._pause()
            else:
                self._resume()
            await flow.done
        finally:
            self._end_flow()

    def _pass_on(self, flow: _Flow, data: bytes) -> None:
        try:
            taken = flow.body.feed(data)
        except Exception as error:
            self._end_flow(error)
            return
        if taken < len(data):
            self._pending, data = data[taken:], data[:taken]
        flow.sink.write(data)
        if flow.body.ended:
            self._end_flow()
        elif flow.sink._is_full:
            self._pause()

    def _end_flow(self, error: Exception | None = None) -> None:
        flow, self._flow = self._flow, None
        if flow is None:
            return
        flow.sink._source = None
        if not flow.done.done():
            flow.done.set_exception(error) if error is not None else flow.done.set_result(None)
        self._resume()

    def _pause(self) -> None:
        if not self._reading_paused and self._transport is not None and not self._is_lost:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        is_held = self._flow is not None and self._flow.sink._is_full
        is_due = self._reading_paused and not is_held and len(self._pending) < HIGH_WATER_BYTES
        if is_due and self._transport is not None and not self._is_lost:
            self._reading_paused = False
            self._transport.resume_reading()


@dataclass(slots=True)
class _Flow:
    sink: Wire
    body: Body
    done: asyncio.Future[None]


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
