"""A scripted origin server on loopback, and a browser's end of a connection to the proxy, both in raw bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Exchange:
    """One connection to the origin, as its script sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    origin: Origin

    async def head(self) -> bytes:
        """The next request's head, noted in `origin.requests`; b"" when there is none."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        self.origin.requests.append(head)
        return head

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


Script = Callable[[Exchange], Awaitable[None]]


@dataclass
class Origin:
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    all_gone: asyncio.Event = field(default_factory=asyncio.Event)
    """No connection is open."""


@asynccontextmanager
async def running_origin(script: Script) -> AsyncIterator[Origin]:
    """Run the script for each connection; close the connection after it."""
    origin = Origin()
    open_now = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        origin.connections += 1
        open_now += 1
        origin.all_gone.clear()
        try:
            with suppress(ConnectionError):
                await script(Exchange(reader, writer, origin))
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            open_now -= 1
            if not open_now:
                origin.all_gone.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    origin.port = server.sockets[0].getsockname()[1]
    try:
        yield origin
    finally:
        server.close()
        async with asyncio.timeout(20):
            if origin.connections:
                await origin.all_gone.wait()
            await server.wait_closed()


def answering(response: bytes) -> Script:
    """A script that gives every request of a connection this response."""

    async def script(exchange: Exchange) -> None:
        while await exchange.head():
            await exchange.send(response)

    return script


def ok(body: bytes = b"hello") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Browser:
    """A connection to a channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def status(self) -> int:
        return int((await self.head()).split()[1])

    async def get(self, url: str, *lines: str, method: str = "GET") -> tuple[bytes, bytes]:
        """Ask for the URL; return head and body, the latter by its Content-Length."""
        text = "\r\n".join([f"{method} {url} HTTP/1.1", "Host: ignored.example", *lines, "", ""])
        await self.send(text.encode())
        head = await self.head()
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:") and method != "HEAD":
                length = int(line.partition(b":")[2])
        return head, await self.reader.readexactly(length)

    async def connect(self, authority: str) -> int:
        await self.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        return await self.status()

    async def rest(self) -> bytes:
        """All until the end, however it comes."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def browsing(server: str) -> AsyncIterator[Browser]:
    host, _, port = server.rpartition(":")
    browser = Browser(*await asyncio.open_connection(host, int(port)))
    try:
        yield browser
    finally:
        await browser.close()
