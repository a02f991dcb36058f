"""Connections on which no request comes: they must not be kept for ever."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from calotype.http import wire
from tests.serving import FakeServices, Serving

_ONE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_PATIENCE_S = 20.0  # much less than uvicorn's own: it has none


async def _end_of(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(_PATIENCE_S):
        return await reader.read()


@pytest.mark.parametrize("given", [b"", b"GET /healthz HTTP/1.1\r\nX-Half: "], ids=["nothing", "half a head"])
async def test_a_request_that_does_not_come_ends_the_connection(
    served: Serving, monkeypatch: pytest.MonkeyPatch, given: bytes
) -> None:
    monkeypatch.setattr(wire, "HEAD_TIMEOUT_S", 0.2)
    reader, writer = await asyncio.open_connection(served.host, served.port)
    writer.write(given)
    assert await _end_of(reader) == b""
    writer.close()


async def test_the_next_request_may_not_come_byte_by_byte_either(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HEAD_TIMEOUT_S", 0.2)
    reader, writer = await asyncio.open_connection(served.host, served.port)
    writer.write(_ONE + b"GET")

    async def trickle() -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.02)

    trickling = asyncio.create_task(trickle())
    answer = b""
    try:
        answer = await _end_of(reader)
    except ConnectionResetError:  # it closed while bytes were under way
        pass
    finally:
        trickling.cancel()
        writer.close()
    assert answer.count(b"HTTP/1.1 ") <= 1


async def test_an_answer_may_take_longer_than_a_head(
    served: Serving, services: FakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HEAD_TIMEOUT_S", 0.2)
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def ping() -> None:
        asked.set()
        await may_answer.wait()

    monkeypatch.setattr(services.database, "ping", ping)
    async with httpx.AsyncClient(base_url=served.url) as client:
        answering = asyncio.create_task(client.get("/readyz"))
        await asked.wait()
        reader, writer = await asyncio.open_connection(served.host, served.port)
        await _end_of(reader)  # a timeout that began later is over
        writer.close()
        may_answer.set()
        assert (await answering).status_code == 200
        assert (await client.get("/readyz")).status_code == 200  # and the connection is kept
