"""Dialling: in order, by turns of the IP version, the first that answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest

from calotype.guard.dialer import SocketDialer, alternate
from calotype.guard.wire import Wire

LOOPBACK, LOOPBACK_2, LOOPBACK_6 = ip_address("127.0.0.1"), ip_address("127.0.0.2"), ip_address("::1")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server on 127.0.0.1 only."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def connect(*addresses: str, port: int) -> str:
    wire = await SocketDialer(timeout_s=10).dial([ip_address(text) for text in addresses], port, Wire)
    host = wire.peer_host
    wire.abort()
    await wire.wait_lost()
    return host


async def test_one_address(port: int) -> None:
    assert await connect("127.0.0.1", port=port) == "127.0.0.1"


@pytest.mark.parametrize("dead", ["127.0.0.2", "::1", "2606:4700::1111"])
async def test_the_next_address_when_one_fails(dead: str, port: int) -> None:
    """A closed port fails at once; an address without a route either fails at once or is given a moment only."""
    assert await connect(dead, "127.0.0.1", port=port) == "127.0.0.1"


async def test_an_address_that_never_answers_is_not_waited_for(port: int) -> None:
    with socket.socket() as silent:  # a full backlog: further connections hang
        silent.bind(("127.0.0.2", port))
        silent.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", port))
        assert await connect("127.0.0.2", "127.0.0.1", port=port) == "127.0.0.1"
        for filler in fillers:
            filler.close()


async def test_no_address_answers() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed_port = unused.getsockname()[1]
        for addresses in ([LOOPBACK], [LOOPBACK, LOOPBACK_2, LOOPBACK_6]):
            with pytest.raises(ConnectionRefusedError):
                await SocketDialer(timeout_s=10).dial(addresses, closed_port, Wire)


async def test_the_time_is_shared_by_all_addresses() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())
        with pytest.raises(TimeoutError):
            await SocketDialer(timeout_s=0.05).dial([LOOPBACK, LOOPBACK], silent.getsockname()[1], Wire)
        for filler in fillers:
            filler.close()


def test_ip_versions_take_turns() -> None:
    texts = ["::1", "::2", "::3", "127.0.0.1"]
    assert [str(address) for address in alternate([ip_address(text) for text in texts])] == [
        "::1",
        "127.0.0.1",
        "::2",
        "::3",
    ]
