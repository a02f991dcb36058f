"""The HTTP layer, served with fakes behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.serving import KEY, FakeServices, Serving, serving


@pytest.fixture
def services() -> FakeServices:
    return FakeServices()


@pytest.fixture
async def served(services: FakeServices) -> AsyncIterator[Serving]:
    async with serving(services) as running:
        yield running


@pytest.fixture
async def client(served: Serving) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the right key."""
    async with httpx.AsyncClient(base_url=served.url, headers={"Authorization": f"Bearer {KEY}"}) as client:
        yield client
