"""Move bytes from one connection to another: a body up to its end, a tunnel until both sides are done.

What is read is written before more is read, and a slow taker stops the reading: memory stays bounded both ways.
"""

from __future__ import annotations

import asyncio

from calotype.guard.chunked import ChunkedBody
from calotype.guard.http1 import Framing
from calotype.guard.wire import Wire, WireLost


async def relay_body(source: Wire, sink: Wire, framing: Framing) -> None:
    """Move one message's body. What follows it stays with the source.

    Raises:
        WireLost: the body broke off, or nobody takes it.
        BadMessage: it is not as its framing says.
    """
    match framing.kind:
        case "none":
            pass
        case "length":
            await _relay_length(source, sink, framing.length)
        case "chunked":
            await _relay_chunked(source, sink)
        case "until_close":
            await _relay_all(source, sink)


async def relay_tunnel(one: Wire, other: Wire) -> None:
    """Move bytes both ways until both sides have ended. Each side's end is passed on (RFC 9110 section 9.3.6)."""
    await asyncio.gather(_relay_half(one, other), _relay_half(other, one))


async def _relay_half(source: Wire, sink: Wire) -> None:
    try:
        await _relay_all(source, sink)
        sink.write_eof()
    except WireLost:
        source.abort()
        sink.abort()


async def _relay_length(source: Wire, sink: Wire, remaining_bytes: int) -> None:
    while remaining_bytes:
        data = await _read_some(source)
        if len(data) > remaining_bytes:
            source.unread(data[remaining_bytes:])
            data = data[:remaining_bytes]
        remaining_bytes -= len(data)
        await _write(sink, data)


async def _relay_chunked(source: Wire, sink: Wire) -> None:
    body = ChunkedBody()
    while not body.ended:
        data = await _read_some(source)
        taken = body.feed(data)
        if taken < len(data):
            source.unread(data[taken:])
            data = data[:taken]
        await _write(sink, data)


async def _relay_all(source: Wire, sink: Wire) -> None:
    while data := await source.read():
        await _write(sink, data)


async def _read_some(source: Wire) -> bytes:
    data = await source.read()
    if not data:
        raise WireLost
    return data


async def _write(sink: Wire, data: bytes) -> None:
    sink.write(data)
    await sink.drain()
