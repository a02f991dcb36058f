"""What one capture may use of the network: each limit ends it, is counted once, and is told to the caller."""

from __future__ import annotations

import pytest

from calotype.guard.pins import MAX_NAMES

from .conftest import WayOut, running_way_out
from .origin import Exchange, answering, browsing, ok, running_origin


async def endless(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await exchange.send(b"x" * 2**14)


async def silent(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.reader.read()


@pytest.mark.parametrize("is_tunnel", [False, True])
async def test_when_its_time_is_over_everything_is_cut_and_nothing_more_is_served(is_tunnel: bool) -> None:
    async with running_way_out(max_time_s=0.3) as way_out, running_origin(silent) as origin:
        channel = await way_out.channel()
        async with browsing(channel.server) as browser:
            if is_tunnel:
                assert await browser.connect(f"site.example:{origin.port}") == 200
            await browser.send(f"GET http://site.example:{origin.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert await browser.rest() == b""  # returns when the connection is cut
        async with browsing(channel.server) as browser:
            assert (await browser.get(f"http://site.example:{origin.port}/"))[0].startswith(b"HTTP/1.1 502 ")
        assert channel.verdict_for(f"http://site.example:{origin.port}/").kind == "limit"  # type: ignore[union-attr]
        assert channel.limits_reached() == ["max_time"]
        assert way_out.proxy.counts["max_time"] == 1


async def test_the_time_begins_with_the_first_connection() -> None:
    async with running_way_out(max_time_s=0.2) as way_out, running_origin(answering(ok())) as origin:
        kept_ready, other = await way_out.channel(), await way_out.channel()
        async with browsing(other.server) as browser:
            await browser.get(f"http://site.example:{origin.port}/")
            assert await browser.rest() == b""  # by now the time of the first channel, had it begun, were over
        async with browsing(kept_ready.server) as browser:
            assert (await browser.get(f"http://site.example:{origin.port}/"))[0].startswith(b"HTTP/1.1 200 ")


async def test_bytes() -> None:
    async with running_way_out(max_bytes=2**20) as way_out, running_origin(endless) as origin:
        channel = await way_out.channel()
        async with browsing(channel.server) as browser:
            await browser.get(f"http://site.example:{origin.port}/")
            await browser.rest()
        async with browsing(channel.server) as browser:
            assert (await browser.get(f"http://site.example:{origin.port}/"))[0].startswith(b"HTTP/1.1 502 ")
        assert channel.limits_reached() == ["max_bytes"]
        assert way_out.proxy.counts["max_bytes"] == 1


async def test_connections() -> None:
    async with running_way_out(max_connections=1) as way_out, running_origin(answering(ok())) as origin:
        channel = await way_out.channel()
        async with browsing(channel.server) as one, browsing(channel.server) as two:
            await one.get(f"http://site.example:{origin.port}/")
            await two.get(f"http://site.example:{origin.port}/")
        assert channel.limits_reached() == ["max_connections"]
        assert way_out.proxy.counts["max_connections"] == 1


async def test_names_are_a_limit_and_no_refusal(way_out: WayOut) -> None:
    channel = await way_out.channel()
    for number in range(MAX_NAMES + 2):
        await channel.decide(f"n{number}.example", 443)
    assert channel.limits_reached() == ["max_names"]
    assert channel.blocked() == []
    assert way_out.proxy.counts["too_many_names"] == 2


async def test_decisions_are_counted_by_reason_once_per_capture(way_out: WayOut) -> None:
    for _ in range(2):
        channel = await way_out.channel()
        for host in ("127.0.0.1", "127.0.0.1", "site.example", "nowhere.example"):
            await channel.decide(host, 443)
    assert way_out.proxy.counts == {"loopback": 2, "public": 2, "unresolvable": 2}
