"""Messages reach real receivers, signed; what receivers do decides when they are tried again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Connection, select
from standardwebhooks import Webhook

from calotype import __version__
from calotype.database.clock import NOW, database_now_us
from calotype.settings import GuardSettings
from calotype.webhooks import table
from calotype.webhooks.schedule import PAUSES_S
from calotype.webhooks.signature import secret_text, verify
from tests.receiver import (
    Answer,
    Received,
    answer_with,
    refusing_port,
    running_receiver,
    running_silent_receiver,
)
from tests.unit.guard.fakes import FakeResolver

from .conftest import BODY, PUBLIC, CountingDatabase, Office

CERTIFICATE = Path(__file__).parents[2] / "e2e/certificate"
HOOK = f"http://{PUBLIC}"


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE / "cert.pem", CERTIFICATE / "key.pem")
    return context


def client_tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATE / "cert.pem"))


async def test_a_message_arrives_signed(office: Office) -> None:
    key_id = await office.key()
    with running_receiver() as receiver:
        async with office.courier() as courier:
            [delivery_id] = await office.post(key_id, f"{HOOK}:{receiver.port}/a%20b?x=1&y=%C3%A9#part")
            courier.ring()
            tried = await office.tried.get()
    assert (tried.status, tried.outcome.status_code) == ("delivered", 204)
    [received] = receiver.received
    assert received.path == "/a%20b?x=1&y=%C3%A9"
    assert received.body == BODY.encode()
    assert verify(received.headers, received.body, office.secrets[key_id], now_s=office.now_us / 1e6) == delivery_id
    kept = {name: value for name, value in received.headers.items() if not name.startswith("webhook-")}
    assert kept == {
        "host": f"{PUBLIC}:{receiver.port}",
        "content-length": str(len(BODY)),
        "content-type": "application/json",
        "user-agent": f"calotype/{__version__}",
        "accept": "*/*",
        "connection": "close",
    }
    info = await office.info(delivery_id)
    assert (info.status, info.attempts, info.next_us) == ("delivered", 1, None)
    assert [(each["at_us"], each["status_code"]) for each in info.tries] == [(office.now_us, 204)]


async def test_it_verifies_with_the_official_library_by_the_databases_own_clock(office: Office) -> None:
    key_id = await office.key()
    with running_receiver() as receiver:
        await office.database.write(
            lambda connection: table.post(connection, [table.Message("job", key_id, f"{HOOK}:{receiver.port}/", BODY)])
        )
        courier = office.make(now_us=database_now_us)
        courier.start()
        assert (await office.tried.get()).status == "delivered"
        await courier.stop()
    [received] = receiver.received
    Webhook(secret_text(office.secrets[key_id])).verify(received.body, received.headers)


async def test_each_try_sends_the_same_message_with_a_time_of_its_own(office: Office) -> None:
    key_id = await office.key()
    with running_receiver(answer_with(500), answer_with(404), answer_with(200)) as receiver:
        [delivery_id] = await office.post(key_id, f"{HOOK}:{receiver.port}/")
        async with office.courier() as courier:
            for pause_s in PAUSES_S[:2]:
                assert (await office.tried.get()).status == "pending"
                assert (await office.info(delivery_id)).next_us == office.now_us + pause_s * 1_000_000
                office.advance(pause_s)
                courier.ring()
            assert (await office.tried.get()).status == "delivered"
    assert len({(each.headers["webhook-id"], each.body) for each in receiver.received}) == 1
    times_s = [int(each.headers["webhook-timestamp"]) for each in receiver.received]
    assert [later - sooner for sooner, later in pairwise(times_s)] == [*PAUSES_S[:2]]
    for each, time_s in zip(receiver.received, times_s, strict=True):
        verify(each.headers, each.body, office.secrets[key_id], now_s=time_s)
    assert [each["status_code"] for each in (await office.info(delivery_id)).tries] == [500, 404, 200]


async def test_the_schedule_lasts_a_day_then_the_delivery_has_failed(office: Office) -> None:
    key_id = await office.key()
    began_us = office.now_us
    with running_receiver(answer_with(503)) as receiver:
        [delivery_id] = await office.post(key_id, f"{HOOK}:{receiver.port}/")
        async with office.courier() as courier:
            while (await office.tried.get()).status == "pending":
                next_us = (await office.info(delivery_id)).next_us
                assert next_us is not None
                office.now_us = next_us
                courier.ring()
    info = await office.info(delivery_id)
    assert (info.status, info.attempts, len(receiver.received)) == ("failed", 11, 11)
    assert info.next_us is None
    assert 23.5 < (office.now_us - began_us) / 3.6e9 < 24


async def test_a_receiver_that_was_down_for_hours_gets_everything(office: Office) -> None:
    key_id = await office.key()
    port = refusing_port()
    await office.post(key_id, *[f"{HOOK}:{port}/{number}" for number in range(20)])
    async with office.courier() as courier:
        for _ in range(6):
            for _ in range(20):
                tried = await office.tried.get()
                assert (tried.outcome.error, tried.status) == ("unreachable", "pending")
            office.advance(3600)
            courier.ring()
        for _ in range(20):
            await office.tried.get()
    with running_receiver() as receiver:
        office.internet.ports[port] = receiver.port
        office.advance(8 * 3600)
        async with office.courier():
            assert {(await office.tried.get()).status for _ in range(20)} == {"delivered"}
    assert sorted(each.path for each in receiver.received) == sorted(f"/{number}" for number in range(20))


async def test_gone_ends_it_at_once(office: Office) -> None:
    key_id = await office.key()
    with running_receiver(answer_with(410)) as receiver:
        [delivery_id] = await office.post(key_id, f"{HOOK}:{receiver.port}/")
        async with office.courier():
            assert (await office.tried.get()).status == "failed"
    assert (await office.info(delivery_id)).attempts == 1


@pytest.mark.parametrize(
    ("retry_after", "waits_s"), [("600", 600), ("1", 5), ("99999999", 3600), ("soon", 5), ("-5", 5)]
)
async def test_retry_after_is_kept_within_bounds(office: Office, retry_after: str, waits_s: int) -> None:
    key_id = await office.key()
    with running_receiver(answer_with(429, {"Retry-After": retry_after})) as receiver:
        [delivery_id] = await office.post(key_id, f"{HOOK}:{receiver.port}/")
        async with office.courier():
            await office.tried.get()
    assert (await office.info(delivery_id)).next_us == office.now_us + waits_s * 1_000_000


async def test_tls_asks_for_the_name_and_checks_it(make_office: Callable[..., Office]) -> None:
    """The receiver's certificate is for `localhost`, by an authority of the tests."""
    resolver = FakeResolver({"hooks.example.com": [PUBLIC]})
    office = make_office(resolver=resolver, guard=GuardSettings(allow=("localhost",)), tls=client_tls())
    key_id = await office.key()
    with running_receiver(tls=server_tls()) as receiver:
        right, wrong, literal = await office.post(
            key_id, *(f"https://{host}:{receiver.port}/" for host in ("localhost", "hooks.example.com", PUBLIC))
        )
        async with office.courier():
            seen = {(tried := await office.tried.get()).claimed.id: tried for _ in range(3)}
    assert seen[right].status == "delivered"
    assert {seen[wrong].outcome.error, seen[literal].outcome.error} == {"tls_failed"}
    assert {"localhost", "hooks.example.com"} <= set(receiver.names)
    assert len(receiver.received) == 1


async def test_an_unknown_authority_is_refused(make_office: Callable[..., Office]) -> None:
    office = make_office(guard=GuardSettings(allow=("localhost",)))  # the system's authorities
    key_id = await office.key()
    with running_receiver(tls=server_tls()) as receiver:
        await office.post(key_id, f"https://localhost:{receiver.port}/")
        async with office.courier():
            assert (await office.tried.get()).outcome.error == "tls_failed"
    assert receiver.received == []


def endless_body(received: Received, handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        handler.close_connection = True


def says(data: bytes) -> Answer:
    def answer(received: Received, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(data)

    return answer


def endless_header(received: Received, handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        handler.close_connection = True


def body_that_never_comes(received: Received, handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.connection.recv(1)  # until the client goes away


@pytest.mark.parametrize(
    "answer", [endless_body, body_that_never_comes, says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")]
)
async def test_the_status_counts_whatever_becomes_of_the_body(office: Office, answer: Answer) -> None:
    key_id = await office.key()
    with running_receiver(answer) as receiver:
        await office.post(key_id, f"{HOOK}:{receiver.port}/")
        async with office.courier():
            assert (await office.tried.get()).status == "delivered"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(endless_header, id="endless header"),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.2\r\n"), id="another protocol"),
        pytest.param(says(b""), id="nothing"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), id="two lengths"),
    ],
)
async def test_what_is_no_answer_is_a_failed_try(office: Office, answer: Answer) -> None:
    key_id = await office.key()
    with running_receiver(answer) as receiver:
        await office.post(key_id, f"{HOOK}:{receiver.port}/")
        async with office.courier():
            tried = await office.tried.get()
    assert (tried.outcome.error, tried.status) == ("bad_answer", "pending")


async def test_a_receiver_that_never_answers_is_a_timeout(office: Office) -> None:
    key_id = await office.key()
    with running_silent_receiver() as silent:
        await office.post(key_id, f"{HOOK}:{silent.port}/", f"https://{PUBLIC}:{silent.port}/")
        async with office.courier(timeout_s=0.2):
            assert {(await office.tried.get()).outcome.error for _ in range(2)} == {"timeout"}
            for connection in silent.connections:  # given up: in the middle of the handshake too
                while await asyncio.to_thread(connection.recv, 65536):
                    pass


async def test_the_environments_proxies_are_not_used(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    key_id = await office.key()
    with running_receiver() as proxy, running_receiver() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await office.post(key_id, f"{HOOK}:{receiver.port}/")
        async with office.courier():
            assert (await office.tried.get()).status == "delivered"
    assert (len(proxy.received), len(receiver.received)) == (0, 1)


async def test_no_cookie_is_kept(office: Office) -> None:
    key_id = await office.key()
    with running_receiver(answer_with(200, {"Set-Cookie": "a=b"})) as receiver:
        async with office.courier() as courier:
            for _ in range(2):
                await office.post(key_id, f"{HOOK}:{receiver.port}/")
                courier.ring()
                await office.tried.get()
    assert ["cookie" in each.headers for each in receiver.received] == [False, False]


async def test_a_revoked_keys_messages_end_and_an_expired_keys_go_on(office: Office) -> None:
    expired = await office.key(expires_at=datetime.fromtimestamp(office.now_us / 1e6, UTC) + timedelta(seconds=1))
    revoked = await office.key()
    with running_receiver() as receiver:
        sent, unsent = [(await office.post(key, f"{HOOK}:{receiver.port}/"))[0] for key in (expired, revoked)]
        office.advance(2)
        await office.keys.revoke(revoked)
        async with office.courier():
            seen = {(tried := await office.tried.get()).claimed.id: tried for _ in range(2)}
    assert seen[sent].status == "delivered"
    assert (seen[unsent].status, seen[unsent].outcome.error) == ("failed", "key_unusable")
    assert len(receiver.received) == 1


async def test_while_nothing_is_due_the_database_is_left_alone(office: Office) -> None:
    key_id = await office.key()
    database = CountingDatabase(office.database, expected=3)
    with running_receiver(answer_with(500)) as receiver:
        await office.post(key_id, f"{HOOK}:{receiver.port}/")
        async with office.courier(database=database):
            await database.written.wait()  # a claim, a record, and a claim that finds the next try in 5 s
            await asyncio.sleep(0.5)  # there is no event to wait for where nothing is to happen
            assert database.writes == 3


async def test_a_url_that_is_none_stops_neither_the_job_nor_the_courier(office: Office) -> None:
    """It was checked when the job was made; by another version, perhaps."""
    key_id = await office.key()
    await office.post(key_id, "https://user@example.com/", "no url")
    async with office.courier():
        seen = [await office.tried.get() for _ in range(2)]
    assert {(tried.outcome.error, tried.status) for tried in seen} == {("invalid_url", "failed")}
    assert office.internet.dialled == []


async def test_it_wakes_by_itself_when_a_delivery_falls_due(office: Office) -> None:
    """By the real clock, with nobody ringing."""
    key_id = await office.key()

    def in_a_moment(connection: Connection) -> int:
        now: int = connection.execute(select(NOW), {"now_us": database_now_us(connection)}).scalar_one()
        return now + 300_000

    with running_receiver() as receiver:
        message = table.Message("job", key_id, f"{HOOK}:{receiver.port}/", BODY)
        await office.database.write(lambda connection: table.post(connection, [message], now_us=in_a_moment))
        async with office.courier(now_us=database_now_us):
            assert (await office.tried.get()).status == "delivered"
