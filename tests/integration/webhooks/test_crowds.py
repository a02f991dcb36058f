"""Many messages: receivers that are dead delay nobody, processes share the work, and a crash loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler

from calotype.database import Database
from calotype.webhooks import table
from calotype.webhooks.table import Lanes
from tests.receiver import Received, refusing_port, running_receiver, running_silent_receiver
from tests.unit.guard.fakes import FakeResolver

from .conftest import BODY, PUBLIC, Office

HOOK = f"http://{PUBLIC}"


async def test_dead_receivers_delay_nobody(office: Office) -> None:
    key_id = await office.key()
    with running_silent_receiver() as silent, running_receiver() as receiver:
        dead = await office.post(key_id, *[f"{HOOK}:{silent.port}/"] * 50)
        refused = await office.post(key_id, *[f"{HOOK}:{refusing_port()}/"] * 50)
        alive = await office.post(key_id, *[f"{HOOK}:{receiver.port}/"] * 50)
        async with office.courier():
            seen = [await office.tried.get() for _ in range(100)]
            assert len(receiver.received) == 50
            assert len(silent.connections) == 2  # two at once, and their time is not over
        by_id = {tried.claimed.id: tried.status for tried in seen}
        assert {by_id[each] for each in alive} == {"delivered"}
        assert {by_id[each] for each in refused} == {"pending"}
        for each in dead:  # given back when the courier stopped
            info = await office.info(each)
            assert (info.status, info.attempts, list(info.tries)) == ("pending", 0, [])


async def test_one_keys_many_dead_receivers_delay_no_other_key(office: Office) -> None:
    one, other = await office.key(), await office.key()
    office.resolver = FakeResolver({f"h{number}.example.com": [PUBLIC] for number in range(30)})
    with running_silent_receiver() as silent, running_receiver() as receiver:
        await office.post(one, *(f"http://h{number}.example.com:{silent.port}/" for number in range(30)))
        [alive] = await office.post(other, f"{HOOK}:{receiver.port}/")
        async with office.courier(lanes=Lanes(per_host=2, per_key=8)):
            tried = await office.tried.get()
            assert (tried.claimed.id, tried.status) == (alive, "delivered")
            assert len(silent.connections) <= 8


async def test_no_more_at_once_than_there_may_be(office: Office) -> None:
    keys = [await office.key() for _ in range(4)]
    office.resolver = FakeResolver({f"h{number}.example.com": [PUBLIC] for number in range(4)})
    with running_silent_receiver() as silent:
        for number, key_id in enumerate(keys):
            await office.post(key_id, *[f"http://h{number}.example.com:{silent.port}/"] * 4)
        async with office.courier(at_once=3, timeout_s=0.3):
            for _ in range(6):
                assert (await office.tried.get()).outcome.error == "timeout"
        assert len(silent.connections) <= 6 + 3


async def test_processes_share_the_work(office: Office, database_url: str) -> None:
    key_id = await office.key()
    others = [Database(database_url) for _ in range(2)]
    for other in others:
        await other.open()
    with running_receiver() as receiver:
        ids = await office.post(key_id, *[f"{HOOK}:{receiver.port}/"] * 60)
        couriers = [office.make(database) for database in (office.database, *others)]
        for courier in couriers:
            courier.start()
        seen = [await office.tried.get() for _ in ids]
        for courier in couriers:
            await courier.stop()
    for other in others:
        await other.close()
    assert Counter(tried.claimed.id for tried in seen) == Counter(ids)
    assert Counter(each.headers["webhook-id"] for each in receiver.received) == Counter(ids)


_PROGRAM = """
import asyncio, sys
from types import SimpleNamespace

from calotype.database import Database
from calotype.guard.policy import EgressPolicy
from calotype.settings import GuardSettings, TargetRules
from calotype.webhooks.courier import Courier
from calotype.webhooks.sender import Sender

async def signer(key_id):
    return SimpleNamespace(secrets=[b"secret"], rules=TargetRules())

async def main():
    database = Database(sys.argv[1])
    await database.open()
    courier = Courier(database, Sender(EgressPolicy(GuardSettings(allow=("127.0.0.1",)))), signer)
    courier.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_killed_between_sending_and_recording_it_is_sent_again(office: Office, database_url: str) -> None:
    """The receiver has it, the database doesn't know: another process sends it again once the lease is over."""
    processes: list[asyncio.subprocess.Process] = []
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def kill_the_sender(received: Received, handler: BaseHTTPRequestHandler) -> None:
        if len(receiver.received) == 1:
            os.kill(processes[0].pid, signal.SIGKILL)
            loop.call_soon_threadsafe(arrived.set)
        else:
            handler.send_response(204)
            handler.end_headers()

    office.guard = office.guard.model_copy(update={"allow": ("127.0.0.1",)})
    key_id = await office.key()
    with running_receiver(kill_the_sender) as receiver:
        message = table.Message("job", key_id, f"http://127.0.0.1:{receiver.port}/", BODY)
        [delivery_id] = await office.database.write(lambda connection: table.post(connection, [message]))
        processes.append(await asyncio.create_subprocess_exec(sys.executable, "-c", _PROGRAM, database_url))
        await arrived.wait()
        await processes[0].wait()
        info = await office.info(delivery_id)
        assert (info.status, list(info.tries)) == ("pending", [])
        assert info.next_us is not None
        office.now_us = info.next_us - 1
        async with office.courier() as courier:
            claims = await office.database.write(
                lambda connection: table.claim_due(
                    connection, 1, lease_s=1, under_way=[], lanes=Lanes(2, 2), now_us=office.clock
                )
            )
            assert claims.deliveries == []  # the lease holds to its end
            office.advance(0.000001)
            courier.ring()
            assert (await office.tried.get()).status == "delivered"
    assert {each.headers["webhook-id"] for each in receiver.received} == {delivery_id}
    assert len(receiver.received) == 2
    assert len({each.body for each in receiver.received}) == 1
