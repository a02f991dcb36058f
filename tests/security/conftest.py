"""A running proxy whose internet is loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from calotype.guard.channel import Channel
from calotype.guard.policy import EgressPolicy
from calotype.guard.proxy import EgressProxy
from calotype.settings import GuardSettings
from tests.unit.guard.fakes import FakeInternet, FakeResolver

PUBLIC = "93.184.216.34"
"""Where the fake internet's names lead, and the dialer finds loopback."""


class WayOut:
    """Opens channels of one proxy, the names `*.example` being public unless `answers` says otherwise."""

    def __init__(self, *, answers: dict[str, list[str] | list[list[str]]] | None = None, **settings: object) -> None:
        names = {f"{name}.example": [PUBLIC] for name in ("site", "other", "cdn")}
        self.resolver = FakeResolver({**names, **(answers or {})})
        self.internet = FakeInternet()
        self.settings = GuardSettings(**settings)  # type: ignore[arg-type]
        self.policy = EgressPolicy(self.settings, resolver=self.resolver)
        self.proxy = EgressProxy(self.policy, self.settings, dialer=self.internet)

    async def channel(self) -> Channel:
        return await self.proxy.open_channel()


@asynccontextmanager
async def running_way_out(
    *, answers: dict[str, list[str] | list[list[str]]] | None = None, **settings: object
) -> AsyncIterator[WayOut]:
    way_out = WayOut(answers=answers, **settings)
    await way_out.proxy.start()
    try:
        yield way_out
    finally:
        await way_out.proxy.stop()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops: the server runs on uvloop, tests and some systems on asyncio's."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def way_out() -> AsyncIterator[WayOut]:
    async with running_way_out() as running:
        yield running


@pytest.fixture
async def channel(way_out: WayOut) -> Channel:
    return await way_out.channel()
