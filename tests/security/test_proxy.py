"""The proxy on real sockets: every request parsed and decided, only checked addresses dialled, nothing left behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import CapturingLogger

from calotype.guard.channel import Channel
from calotype.guard.listener import PortPerChannel
from calotype.guard.proxy import EgressProxy
from calotype.guard.records import BlockedRequest
from calotype.settings import TargetRules

from .conftest import PUBLIC, WayOut, running_way_out
from .origin import Exchange, answering, browsing, ok, running_origin

CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"
BARE_502 = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def log() -> Iterator[CapturingLogger]:
    captured = CapturingLogger()
    structlog.configure(processors=[], logger_factory=lambda *_: captured, cache_logger_on_first_use=False)
    yield captured
    structlog.reset_defaults()


# --- plain http -------------------------------------------------------------------------------------------------------


async def test_a_request_is_passed_on_in_origin_form_with_its_own_host(channel: Channel) -> None:
    async with running_origin(answering(ok())) as origin, browsing(channel.server) as browser:
        head, body = await browser.get(f"http://site.example:{origin.port}/path?q=1", "Accept: */*")
    assert (head, body) == (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello")
    expected = f"GET /path?q=1 HTTP/1.1\r\nHost: site.example:{origin.port}\r\nAccept: */*\r\n\r\n"
    assert origin.requests == [expected.encode()]


async def test_connections_are_kept_on_both_sides(way_out: WayOut, channel: Channel) -> None:
    async with running_origin(answering(ok())) as origin, browsing(channel.server) as browser:
        for number in range(60):
            assert (await browser.get(f"http://site.example:{origin.port}/{number}"))[1] == b"hello"
    assert (len(origin.requests), origin.connections, channel.connections) == (60, 1, 1)
    assert way_out.internet.dialled == [((PUBLIC,), origin.port)]


async def test_every_request_on_a_connection_is_decided(way_out: WayOut, channel: Channel) -> None:
    async with running_origin(answering(ok())) as origin, browsing(channel.server) as browser:
        public = f"http://site.example:{origin.port}/"
        inside = f"http://127.0.0.1:{origin.port}/secret"
        assert (await browser.get(public))[1] == b"hello"
        assert (await browser.get(inside))[0] == BARE_502
        assert (await browser.get(public))[1] == b"hello"
        await browser.send(f"GET {inside} HTTP/1.1\r\n\r\nGET {public} HTTP/1.1\r\n\r\n".encode())  # pipelined
        assert [await browser.status(), await browser.status()] == [502, 200]
    assert len(origin.requests) == 3
    assert channel.blocked() == [BlockedRequest("127.0.0.1", origin.port, "loopback")]
    assert {addresses for addresses, _ in way_out.internet.dialled} == {(PUBLIC,)}


async def test_the_next_origin_on_the_same_connection_gets_its_own_connection(channel: Channel) -> None:
    async with (
        running_origin(answering(ok(b"one"))) as one,
        running_origin(answering(ok(b"other"))) as other,
        browsing(channel.server) as browser,
    ):
        bodies = [(await browser.get(f"http://site.example:{origin.port}/"))[1] for origin in (one, other, other, one)]
    assert bodies == [b"one", b"other", b"other", b"one"]
    assert (one.connections, other.connections) == (2, 1)


async def test_hop_by_hop_fields_do_not_reach_the_origin(channel: Channel) -> None:
    async with running_origin(answering(ok())) as origin, browsing(channel.server) as browser:
        await browser.get(
            f"http://site.example:{origin.port}/",
            *("Connection: Upgrade, Cookie", "Upgrade: websocket", "Proxy-Authorization: x", "Cookie: a", "Accept: b"),
        )
    assert origin.requests[0].split(b"\r\n")[2:-2] == [b"Accept: b"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n",
        b"GET https://site.example/ HTTP/1.1\r\n\r\n",
        b"GET ftp://site.example/ HTTP/1.1\r\n\r\n",
        b"GET http://user@site.example/ HTTP/1.1\r\n\r\n",
        b"GET http://site.example/#fragment HTTP/1.1\r\n\r\n",
        b"GET http://site.example:99999/ HTTP/1.1\r\n\r\n",
        b"GET http:///path HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"CONNECT site.example HTTP/1.1\r\n\r\n",
        b"CONNECT site.example:0 HTTP/1.1\r\n\r\n",
        b"CONNECT site.example:65536 HTTP/1.1\r\n\r\n",
        b"CONNECT a@site.example:443 HTTP/1.1\r\n\r\n",
        b"CONNECT site.example:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        b"POST http://site.example/ HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET http://site.example/ HTTP/1.1\r\nX: " + b"x" * 300_000 + b"\r\n\r\n",
    ],
    ids=range(16),
)
async def test_what_no_browser_sends_is_refused_and_the_connection_closed(
    way_out: WayOut, channel: Channel, head: bytes
) -> None:
    async with browsing(channel.server) as browser:
        try:
            await browser.send(head)
            assert await browser.status() == 400
        except ConnectionError:
            assert len(head) > 100_000  # closed while it was still being sent
        assert await browser.rest() == b""
    assert way_out.internet.dialled == []


@pytest.mark.parametrize(
    ("response", "body", "keeps"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\r\n0\r\n\r\n",
            True,
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", b"", True),
        (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok(), b"hello", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    ],
    ids=["chunked", "204", "304", "205", "interim", "http10"],
)
async def test_bodies_end_where_they_end(channel: Channel, response: bytes, body: bytes, keeps: bool) -> None:
    async with running_origin(answering(response)) as origin, browsing(channel.server) as browser:
        for _ in range(2):
            await browser.send(f"GET http://site.example:{origin.port}/ HTTP/1.1\r\n\r\n".encode())
            assert (await browser.head()).startswith(b"HTTP/1.1 ")
            assert await browser.reader.readexactly(len(body)) == body
    assert origin.connections == (1 if keeps else 2)


async def test_what_follows_a_reset_content_is_no_body(channel: Channel) -> None:
    """Chromium takes 205 for bodiless whatever it states: what came behind would be its next answer."""
    script = answering(b"HTTP/1.1 205 Reset Content\r\nContent-Length: 40\r\n\r\n" + ok(b""))
    async with running_origin(script) as origin, browsing(channel.server) as browser:
        for _ in range(2):
            await browser.send(f"GET http://site.example:{origin.port}/ HTTP/1.1\r\n\r\n".encode())
            assert await browser.head() == b"HTTP/1.1 205 Reset Content\r\n\r\n"
    assert origin.connections == 2


async def test_a_head_request(channel: Channel) -> None:
    script = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
    async with running_origin(script) as origin, browsing(channel.server) as browser:
        for _ in range(2):
            head, _ = await browser.get(f"http://site.example:{origin.port}/", method="HEAD")
            assert b"Content-Length: 99" in head
    assert origin.connections == 1


async def test_a_body_that_ends_with_the_connection(channel: Channel) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)

    async with running_origin(script) as origin, browsing(channel.server) as browser:
        head, _ = await browser.get(f"http://site.example:{origin.port}/")
        assert b"Connection: close" in head
        assert await browser.rest() == b"x" * 100_000


async def test_a_body_cut_short_looks_cut_short(channel: Channel) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")

    async with running_origin(script) as origin, browsing(channel.server) as browser:
        await browser.send(f"GET http://site.example:{origin.port}/ HTTP/1.1\r\n\r\n".encode())
        assert b"Content-Length: 100" in await browser.head()
        assert len(await browser.rest()) <= 5


async def test_an_origin_can_not_answer_the_next_request_before_it_is_asked(channel: Channel) -> None:
    async with running_origin(answering(ok() + ok(b"forged"))) as origin, browsing(channel.server) as browser:
        for _ in range(3):
            assert (await browser.get(f"http://site.example:{origin.port}/"))[1] == b"hello"
    assert origin.connections == 3


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50,
    ],
    ids=["not-http", "switch", "lengths", "head", "interim"],
)
async def test_an_answer_that_makes_no_sense(channel: Channel, response: bytes) -> None:
    async with running_origin(answering(response)) as origin, browsing(channel.server) as browser:
        url = f"http://site.example:{origin.port}/"
        assert (await browser.get(url))[0] == BARE_502
    verdict = channel.verdict_for(url)
    assert verdict is not None
    assert (verdict.kind, verdict.reason) == ("unreachable", "bad_response")


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_request_bodies(channel: Channel, is_chunked: bool) -> None:
    body = b"x" * 400_000
    wire_body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if is_chunked else body
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    received: list[bytes] = []

    async def script(exchange: Exchange) -> None:
        while await exchange.head():
            received.append(await exchange.reader.readexactly(len(wire_body)))
            await exchange.send(ok())

    async with running_origin(script) as origin, browsing(channel.server) as browser:
        url = f"http://site.example:{origin.port}/"
        for _ in range(2):
            await browser.send(f"POST {url} HTTP/1.1\r\n{framing}\r\n\r\n".encode() + wire_body)
            assert await browser.status() == 200
            assert await browser.reader.readexactly(5) == b"hello"
    assert received == [wire_body, wire_body]
    assert framing.encode() in origin.requests[0]


async def test_expect_continue(channel: Channel) -> None:
    async def script(exchange: Exchange) -> None:
        assert b"Expect: 100-continue" in await exchange.head()
        await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await exchange.send(ok(await exchange.reader.readexactly(4)))

    async with running_origin(script) as origin, browsing(channel.server) as browser:
        head = f"POST http://site.example:{origin.port}/ HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        await browser.send(head.encode())
        assert await browser.status() == 100
        await browser.send(b"body")
        assert await browser.status() == 200
        assert await browser.reader.readexactly(4) == b"body"


async def test_an_answer_before_the_body_was_sent_ends_the_connection(channel: Channel) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await exchange.reader.read()

    async with running_origin(script) as origin, browsing(channel.server) as browser:
        await browser.send(f"POST http://site.example:{origin.port}/ HTTP/1.1\r\nContent-Length: 9\r\n\r\n".encode())
        assert await browser.status() == 413
        assert await browser.rest() == b""


async def test_a_kept_connection_that_the_origin_closed_is_replaced(channel: Channel) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(ok())
        if exchange.origin.connections == 1:
            await exchange.head()  # and closes without an answer

    async with running_origin(script) as origin, browsing(channel.server) as browser:
        for _ in range(2):
            assert (await browser.get(f"http://site.example:{origin.port}/"))[1] == b"hello"
    assert origin.connections == 2


async def test_a_browser_that_goes_away_takes_its_request_back(channel: Channel) -> None:
    asked = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        asked.set()
        await exchange.head()  # until the connection is closed

    async with running_origin(script) as origin:
        async with browsing(channel.server) as browser:
            await browser.send(f"GET http://site.example:{origin.port}/ HTTP/1.1\r\n\r\n".encode())
            await asked.wait()
        await origin.all_gone.wait()


async def test_a_slow_reader_stops_the_origin(channel: Channel) -> None:
    """The origin may send 64 MB; while nobody reads, only what buffers hold gets through the proxy."""
    total, sent = 64 * 2**20, 0
    stuck = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.head()
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent < total:
            piece = b"x" * 2**16
            exchange.writer.write(piece)
            try:
                async with asyncio.timeout(0.5 if not stuck.is_set() else None):
                    await exchange.writer.drain()
            except TimeoutError:
                stuck.set()
                await exchange.writer.drain()
            sent += len(piece)

    async with running_origin(script) as origin, browsing(channel.server) as browser:
        await browser.send(f"GET http://site.example:{origin.port}/ HTTP/1.1\r\n\r\n".encode())
        await browser.head()
        await stuck.wait()
        assert channel.bytes_received < total / 2
        received = 0
        while received < total:
            received += len(await browser.reader.read(2**20))
        assert received == total
    assert channel.bytes_received > total


async def test_what_follows_a_body_is_the_next_answer(channel: Channel) -> None:
    """Each in pieces of a few bytes, and in one."""
    body = bytes(range(256)) * 100

    async def script(exchange: Exchange) -> None:
        while head := await exchange.head():
            answer = b"".join(
                [
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                    *(b"100\r\n" + body[at : at + 256] + b"\r\n" for at in range(0, len(body), 256)),
                    b"0\r\n\r\n",
                ]
            )
            step = 997 if b"/pieces" in head else len(answer)
            for at in range(0, len(answer), step):
                await exchange.send(answer[at : at + step])
                await asyncio.sleep(0)

    async with running_origin(script) as origin, browsing(channel.server) as browser:
        for path in ("pieces", "whole", "pieces", "whole"):
            await browser.send(f"GET http://site.example:{origin.port}/{path} HTTP/1.1\r\n\r\n".encode())
            await browser.head()
            for at in range(0, len(body), 256):
                assert await browser.reader.readexactly(5 + 256 + 2) == b"100\r\n" + body[at : at + 256] + b"\r\n"
            assert await browser.reader.readexactly(5) == b"0\r\n\r\n"
    assert origin.connections == 1


# --- tunnels ----------------------------------------------------------------------------------------------------------


async def echo(exchange: Exchange) -> None:
    while data := await exchange.reader.read(2**16):
        await exchange.send(data)


@pytest.mark.parametrize("is_upward", [False, True])
async def test_a_slow_taker_stops_the_tunnel(channel: Channel, is_upward: bool) -> None:
    """While one end reads nothing the other can send what buffers hold; then everything arrives as it was sent."""
    data = b"".join(number.to_bytes(4, "big") for number in range(6 * 2**20))  # 24 MiB
    taken: asyncio.Queue[bytes] = asyncio.Queue()
    may_read, stuck = asyncio.Event(), asyncio.Event()

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        try:
            async with asyncio.timeout(0.5):
                await writer.drain()
        except TimeoutError:
            stuck.set()
        await writer.drain()
        writer.write_eof()

    async def take(reader: asyncio.StreamReader) -> None:
        await may_read.wait()
        taken.put_nowait(await reader.read())

    async def script(exchange: Exchange) -> None:
        await (take(exchange.reader) if is_upward else send(exchange.writer))

    async with running_origin(script) as origin, browsing(channel.server) as browser:
        assert await browser.connect(f"site.example:{origin.port}") == 200
        ours = asyncio.create_task(send(browser.writer) if is_upward else take(browser.reader))
        await stuck.wait()
        may_read.set()
        assert await taken.get() == data
        await ours


async def test_a_tunnel(channel: Channel) -> None:
    async with running_origin(echo) as origin, browsing(channel.server) as browser:
        assert await browser.connect(f"site.example:{origin.port}") == 200
        data = bytes(range(256)) * 4_000
        browser.writer.write(data)
        assert await browser.reader.readexactly(len(data)) == data
    assert channel.verdict_for(f"https://site.example:{origin.port}/") is None
    assert channel.bytes_received == len(data)


async def test_what_follows_connect_at_once_goes_into_the_tunnel(channel: Channel) -> None:
    async with running_origin(echo) as origin, browsing(channel.server) as browser:
        await browser.send(f"CONNECT site.example:{origin.port} HTTP/1.1\r\n\r\nearly".encode())
        assert await browser.status() == 200
        assert await browser.reader.readexactly(5) == b"early"


async def test_each_side_of_a_tunnel_can_end_first(channel: Channel) -> None:
    async def script(exchange: Exchange) -> None:
        everything = await exchange.reader.read()
        await exchange.send(b"got %d" % len(everything))

    async with running_origin(script) as origin, browsing(channel.server) as browser:
        await browser.connect(f"site.example:{origin.port}")
        await browser.send(b"x" * 1_000)
        browser.writer.write_eof()
        assert await browser.rest() == b"got 1000"


@pytest.mark.parametrize(
    ("authority", "reason"),
    [
        ("127.0.0.1:443", "loopback"),
        ("localhost:443", "loopback"),
        ("[::1]:443", "loopback"),
        ("[::ffff:169.254.169.254]:80", "link_local"),
        ("0x7f.1:443", "loopback"),
        ("inside.example:443", "private"),
        ("metadata.google.internal:80", "internal_name"),
        ("site.example:25", "unsafe_port"),
    ],
)
async def test_a_tunnel_inside_is_refused(authority: str, reason: str) -> None:
    async with running_way_out(answers={"inside.example": ["10.0.0.1"]}) as way_out:
        channel = await way_out.channel()
        async with browsing(channel.server) as browser:
            await browser.send(f"CONNECT {authority} HTTP/1.1\r\n\r\n".encode())
            assert await browser.head() == BARE_502
        assert way_out.internet.dialled == []
        verdict = channel.verdict_for(f"wss://{authority}/")
        assert verdict is not None
        assert (verdict.kind, verdict.reason) == ("blocked", reason)


# --- what it dials ----------------------------------------------------------------------------------------------------


async def test_dns_that_turns_inside_later_changes_nothing() -> None:
    answers: dict[str, list[str] | list[list[str]]] = {"rebind.example": [[PUBLIC], ["127.0.0.1"]]}
    async with running_way_out(answers=answers) as way_out, running_origin(answering(ok())) as origin:
        channel = await way_out.channel()
        for _ in range(2):
            async with browsing(channel.server) as browser:
                assert (await browser.get(f"http://rebind.example:{origin.port}/"))[1] == b"hello"
        async with browsing(channel.server) as browser:
            assert await browser.connect(f"rebind.example:{origin.port}") == 200
        assert way_out.resolver.asked == ["rebind.example"]
        assert {addresses for addresses, _ in way_out.internet.dialled} == {(PUBLIC,)}
        next_capture = await way_out.channel()
        async with browsing(next_capture.server) as browser:
            assert (await browser.get(f"http://rebind.example:{origin.port}/"))[0] == BARE_502


async def test_the_proxy_can_not_be_used_to_reach_itself() -> None:
    async with running_way_out(allow=("127.0.0.0/8",)) as way_out:
        one, other = await way_out.channel(), await way_out.channel()
        for server in (one.server, other.server, f"[::ffff:{one.server.partition(':')[0]}]:{way_out.proxy.port}"):
            async with browsing(one.server) as browser:
                assert (await browser.get(f"http://{server}/"))[0] == BARE_502
                assert await browser.connect(server) == 502
        assert {blocked.reason for blocked in one.blocked()} == {"own_proxy"}
        assert way_out.internet.dialled == []


async def test_a_key_may_be_allowed_more_than_others() -> None:
    async with running_way_out() as way_out, running_origin(answering(ok())) as origin:
        favoured, plain = await way_out.channel(), await way_out.channel()
        favoured.apply(TargetRules(allow=(f"127.0.0.1:{origin.port}",)))
        for channel, status in ((favoured, b"200"), (plain, b"502")):
            for host in ("127.0.0.1", "localhost"):
                async with browsing(channel.server) as browser:
                    assert (await browser.get(f"http://{host}:{origin.port}/"))[0].split()[1] == status
        with pytest.raises(ValueError, match="allow list"):
            plain.apply(TargetRules(allow=("no/network",)))


# --- what the page and the server get to know -------------------------------------------------------------------------


async def test_blocked_unresolvable_and_unreachable_look_alike_to_the_page(channel: Channel) -> None:
    async def silent(exchange: Exchange) -> None:
        await exchange.head()

    async with running_origin(silent) as mute:
        urls = {
            "http://127.0.0.1/": "blocked",
            "http://nowhere.example/": "unresolvable",
            "http://site.example:1/": "blocked",
            "http://site.example:2/": "unreachable",
            f"http://site.example:{mute.port}/": "unreachable",
        }
        answers: set[bytes] = set()
        for url, kind in urls.items():
            async with browsing(channel.server) as browser:
                answers.add((await browser.get(url))[0])
                authority = url.removeprefix("http://").strip("/")
                if "site" not in url:
                    await browser.send(f"CONNECT {authority}:443 HTTP/1.1\r\n\r\n".encode())
                    answers.add(await browser.head())
            verdict = channel.verdict_for(url)
            assert verdict is not None
            assert verdict.kind == kind, url
    assert answers == {BARE_502}


async def test_a_later_success_clears_the_verdict(channel: Channel) -> None:
    async with running_origin(answering(ok())) as origin:
        url = f"http://127.0.0.1:{origin.port}/page#part"
        async with browsing(channel.server) as browser:
            await browser.get(url.partition("#")[0])
        assert channel.verdict_for(url) is not None
        channel.apply(TargetRules(allow=(f"127.0.0.1:{origin.port}",)))
        async with browsing(channel.server) as browser:
            await browser.get(url.partition("#")[0])
        assert channel.verdict_for(url) is None


async def test_channels_know_nothing_of_each_other(way_out: WayOut) -> None:
    one, other = await way_out.channel(), await way_out.channel()
    assert one.server != other.server
    async with running_origin(answering(ok())) as origin:
        async with browsing(one.server) as browser:
            await browser.get("http://127.0.0.1:9/")
        async with browsing(other.server) as browser:
            await browser.get(f"http://site.example:{origin.port}/")
    assert [blocked.host for blocked in one.blocked()] == ["127.0.0.1"]
    assert (other.blocked(), other.verdict_for("http://127.0.0.1:9/")) == ([], None)
    assert (one.bytes_received, one.connections) == (0, 0)
    assert (other.bytes_received, other.connections) == (len(ok()), 1)
    for channel in (one, other, other):  # the proxy's counts are of open channels and of closed ones
        assert (way_out.proxy.bytes_received, way_out.proxy.connections) == (len(ok()), 1)
        await channel.close()
    assert (way_out.proxy.bytes_received, way_out.proxy.connections) == (len(ok()), 1)


async def test_a_refusal_is_logged_once_with_its_reason(log: CapturingLogger, channel: Channel) -> None:
    channel.request_id = "req_1"
    async with browsing(channel.server) as browser:
        for _ in range(3):
            await browser.get("http://127.0.0.1:8080/")
    (line,) = [call.kwargs for call in log.calls if call.kwargs.get("event") == "egress_denied"]
    assert {key: line[key] for key in ("host", "port", "reason", "refused", "channel", "request_id")} == {
        "host": "127.0.0.1",
        "port": 8080,
        "reason": "loopback",
        "refused": ["127.0.0.1"],
        "channel": channel.server,
        "request_id": "req_1",
    }


@pytest.mark.parametrize("request_line", ["GET http://{host}/", "CONNECT {host}:443"])
async def test_a_host_too_long_to_be_one_is_refused_and_kept_nowhere(
    log: CapturingLogger, channel: Channel, request_line: str
) -> None:
    async with browsing(channel.server) as browser:
        await browser.send(f"{request_line.format(host='a' * 100_000)} HTTP/1.1\r\n\r\n".encode())
        assert await browser.status() == 502
        await browser.get("http://127.0.0.1/")  # the connection goes on
    assert channel.blocked()[0].reason == "malformed_host"
    assert len(repr(channel.blocked())) + len(repr(log.calls)) < 10_000


# --- a browser that was taken over ------------------------------------------------------------------------------------


async def test_refusals_that_nobody_reads_stop_the_asking(channel: Channel) -> None:
    """Answers to a client that only asks must not pile up in memory."""

    async def ask_on(asking: socket.socket) -> None:
        for _ in range(100):  # 33 MB
            async with asyncio.timeout(3):
                await loop.sock_sendall(asking, b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n" * 10_000)

    loop = asyncio.get_running_loop()
    host, _, port = channel.server.rpartition(":")
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # else the kernel holds megabytes of answers
        deaf.setblocking(False)
        await loop.sock_connect(deaf, (host, int(port)))
        with pytest.raises(TimeoutError):
            await ask_on(deaf)


async def test_many_requests_at_once_do_not_hold_up_the_others(channel: Channel) -> None:
    requests = 2_000
    turns = 0
    is_over = False

    def turn() -> None:
        nonlocal turns
        turns += 1
        if not is_over:
            asyncio.get_running_loop().call_soon(turn)

    async with browsing(channel.server) as browser:
        await browser.get("http://127.0.0.1/")
        turn()
        await browser.send(b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n" * requests)
        await browser.reader.readexactly(len(BARE_502) * requests)
        is_over = True
    assert turns > requests


# --- limits and the end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_tunnel", [False, True])
async def test_a_capture_can_not_receive_more_than_its_share(is_tunnel: bool) -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await exchange.send(b"x" * 2**14)

    async with running_way_out(max_bytes=2**20) as way_out, running_origin(endless) as origin:
        channel = await way_out.channel()
        url = f"http://site.example:{origin.port}/"
        async with browsing(channel.server) as browser:
            if is_tunnel:
                assert await browser.connect(f"site.example:{origin.port}") == 200
                await browser.send(b"GET / HTTP/1.1\r\n\r\n")
            else:
                await browser.get(url)
            assert len(await browser.rest()) <= 2**20
        key = url.replace("http:", "https:") if is_tunnel else url
        assert channel.verdict_for(key) is not None
        assert channel.verdict_for(key).kind == "limit"  # type: ignore[union-attr]
        async with browsing(channel.server) as browser:
            assert (await browser.get("http://site.example/next"))[0] == BARE_502
        assert channel.verdict_for("http://site.example/next").kind == "limit"  # type: ignore[union-attr]


async def test_a_capture_can_not_have_more_connections_than_its_share() -> None:
    async with running_way_out(max_connections=2) as way_out, running_origin(echo) as origin:
        channel = await way_out.channel()
        authority = f"site.example:{origin.port}"
        async with browsing(channel.server) as one, browsing(channel.server) as two, browsing(channel.server) as three:
            assert [await browser.connect(authority) for browser in (one, two, three)] == [200, 200, 502]
            assert channel.verdict_for(f"https://{authority}/").kind == "limit"  # type: ignore[union-attr]
            assert await three.rest() == b""


async def test_closing_a_channel_ends_everything_of_it_and_nothing_else(way_out: WayOut) -> None:
    asked = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if b"/hang" in await exchange.head():
            asked.set()
        await exchange.reader.read()

    async with running_origin(echo) as origin, running_origin(script) as hanging:
        channel, other = await way_out.channel(), await way_out.channel()
        async with (
            browsing(channel.server) as tunnel,
            browsing(channel.server) as waiting,
            browsing(channel.server) as idle,
            browsing(other.server) as bystander,
        ):
            assert await tunnel.connect(f"site.example:{origin.port}") == 200
            assert await bystander.connect(f"site.example:{origin.port}") == 200
            await waiting.send(f"GET http://site.example:{hanging.port}/hang HTTP/1.1\r\n\r\n".encode())
            await asked.wait()
            await asyncio.gather(channel.close(), channel.close())
            assert [await browser.rest() for browser in (tunnel, waiting, idle)] == [b"", b"", b""]
            await hanging.all_gone.wait()
            await bystander.send(b"still here")
            assert await bystander.reader.readexactly(10) == b"still here"
            host, _, port = channel.server.rpartition(":")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(host, int(port))
    assert not [task for task in asyncio.all_tasks() if task.get_name() in ("guard-send", "guard-dial", "guard-lookup")]


async def test_closing_a_channel_ends_a_lookup_and_a_dial(way_out: WayOut) -> None:
    entered = asyncio.Event()

    async def never(*_: object) -> None:
        entered.set()
        await asyncio.Event().wait()

    way_out.internet.dial = never  # type: ignore[method-assign, assignment]
    channel = await way_out.channel()
    async with browsing(channel.server) as browser:
        await browser.send(b"CONNECT site.example:443 HTTP/1.1\r\n\r\n")
        await entered.wait()
        await channel.close()
        assert await browser.rest() == b""
    way_out.resolver.resolve = never  # type: ignore[method-assign, assignment]
    entered.clear()
    channel = await way_out.channel()
    async with browsing(channel.server) as browser:
        await browser.send(b"CONNECT site.example:443 HTTP/1.1\r\n\r\n")
        await entered.wait()
        await channel.close()
        assert await browser.rest() == b""


async def test_requests_that_wait_for_one_answer_make_one_log_line(log: CapturingLogger) -> None:
    async with running_way_out(answers={"inside.example": ["10.0.0.1"]}) as way_out:
        channel = await way_out.channel()
        decisions = await asyncio.gather(*(channel.decide("inside.example", 443) for _ in range(5)))
    assert {decision.reason for decision in decisions} == {"private"}
    assert [call.kwargs.get("event") for call in log.calls].count("egress_denied") == 1
    assert way_out.resolver.asked == ["inside.example"]


async def test_a_page_can_not_fill_the_log(log: CapturingLogger, channel: Channel) -> None:
    for port in range(1024, 2048):
        await channel.decide("127.0.0.1", port)
    assert [call.kwargs.get("event") for call in log.calls].count("egress_denied") == 100
    assert len(channel.blocked()) == 100


async def test_stopping_the_proxy_closes_every_channel() -> None:
    async with running_way_out() as way_out:
        channels = [await way_out.channel() for _ in range(3)]
        assert {channel.port for channel in channels} == {way_out.proxy.port}
    for channel in channels:
        host, _, port = channel.server.rpartition(":")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, int(port))
    with pytest.raises(RuntimeError):
        await way_out.proxy.open_channel()


async def test_a_port_per_channel_where_there_is_one_loopback_address_only() -> None:
    way_out = WayOut(allow=("127.0.0.0/8",))
    way_out.proxy = EgressProxy(way_out.policy, way_out.settings, dialer=way_out.internet, listeners=PortPerChannel())
    await way_out.proxy.start()
    one, other = await way_out.channel(), await way_out.channel()
    assert one.server != other.server
    async with browsing(one.server) as browser:
        assert await browser.connect(other.server) == 502
    await way_out.proxy.stop()
