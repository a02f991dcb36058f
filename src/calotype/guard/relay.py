"""Move bytes from one connection to another: a body up to its end, a tunnel until both sides are done.

What arrives is written at once, and a slow taker stops the reading: memory stays bounded both ways.
"""

from __future__ import annotations

import asyncio

from calotype.guard.chunked import ChunkedBody
from calotype.guard.http1 import Framing
from calotype.guard.wire import Body, Wire, WireLost


async def relay_body(source: Wire, sink: Wire, framing: Framing, *, head: bytes = b"") -> None:
    """Move one message's body, and its head before it. What follows the body stays with the source.

    Raises:
        WireLost: the body broke off, or nobody takes it.
        BadMessage: it is not as its framing says.
    """
    body = _body(framing)
    if body.ended:
        sink.write(head)
        return
    await source.flow_to(sink, body, head=head)
    if not body.ended and framing.kind != "until_close":
        raise WireLost


async def relay_tunnel(one: Wire, other: Wire) -> None:
    """Move bytes both ways until both sides have ended. Each side's end is passed on (RFC 9110 section 9.3.6)."""
    await asyncio.gather(_relay_half(one, other), _relay_half(other, one))


class _LengthBody:
    def __init__(self, length: int) -> None:
        self._remaining = length

    @property
    def ended(self) -> bool:
        return self._remaining == 0

    def feed(self, data: bytes) -> int:
        taken = min(len(data), self._remaining)
        self._remaining -= taken
        return taken


class _OpenBody:
    ended = False

    def feed(self, data: bytes) -> int:
        return len(data)


def _body(framing: Framing) -> Body:
    match framing.kind:
        case "none":
            return _LengthBody(0)
        case "length":
            return _LengthBody(framing.length)
        case "chunked":
            return ChunkedBody()
        case "until_close":
            return _OpenBody()


async def _relay_half(source: Wire, sink: Wire) -> None:
    try:
        await source.flow_to(sink, _OpenBody())
        sink.write_eof()
    except WireLost:
        source.abort()
        sink.abort()
