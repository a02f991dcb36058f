"""Deliveries as rows: posted with what they are about, leased to one, kept for a while."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, func, select

from calotype.schema import webhook_deliveries
from calotype.webhooks import table
from calotype.webhooks.schedule import Outcome
from calotype.webhooks.table import Claimed, Claims, Lanes

from .conftest import BODY, Office

ONE, OTHER = "https://one.example.com/hook", "https://other.example.com/hook"
WIDE = Lanes(100, 100)


async def claim(
    office: Office, at_most: int = 10, *, lanes: Lanes = WIDE, under_way: list[Claimed] | None = None
) -> Claims:
    return await office.database.write(
        lambda connection: table.claim_due(
            connection, at_most, lease_s=60, under_way=under_way or [], lanes=lanes, now_us=office.clock
        )
    )


async def record(office: Office, claimed: Claimed, outcome: Outcome) -> str | None:
    return await office.database.write(
        lambda connection: table.record(connection, claimed, outcome, spread=0, now_us=office.clock)
    )


async def redeliver(office: Office, **which: str | int) -> list[str]:
    return await office.database.write(lambda connection: table.redeliver(connection, **which, now_us=office.clock))


async def expire(office: Office, older_than_s: float, at_most: int = 100) -> int:
    return await office.database.write(
        lambda connection: table.expire(connection, older_than_s=older_than_s, at_most=at_most, now_us=office.clock)
    )


async def test_it_is_posted_with_what_it_is_about_or_not_at_all(office: Office) -> None:
    key_id = await office.key()

    def post_and_fail(connection: Connection) -> None:
        table.post(connection, [table.Message("job", key_id, ONE, BODY)], now_us=office.clock)
        raise LookupError

    with pytest.raises(LookupError):
        await office.database.write(post_and_fail)
    assert (await claim(office)).deliveries == []
    await office.post(key_id)  # nothing is fine as well
    count = select(func.count()).select_from(webhook_deliveries)
    assert await office.database.read(lambda connection: connection.execute(count).scalar()) == 0


async def test_a_claim_holds_for_its_lease_and_is_one_processs(office: Office) -> None:
    key_id = await office.key()
    [delivery_id] = await office.post(key_id, ONE)
    [first] = (await claim(office)).deliveries
    assert (first.id, first.body, first.attempts, first.host) == (delivery_id, BODY, 1, "one.example.com:443")
    office.advance(59.999)
    claims = await claim(office)
    assert (list(claims.deliveries), claims.next_in_s) == ([], pytest.approx(0.001))
    office.advance(0.001)
    [second] = (await claim(office)).deliveries
    assert (second.id, second.attempts) == (delivery_id, 2)
    assert await record(office, first, Outcome(500)) is None  # late: its claim is another's
    await office.database.write(lambda connection: table.release(connection, first, now_us=office.clock))
    assert await record(office, second, Outcome(204)) == "delivered"
    assert await record(office, second, Outcome(500)) is None
    info = await office.info(delivery_id)
    assert (info.status, info.attempts, [each["status_code"] for each in info.tries]) == ("delivered", 2, [204])


async def test_what_is_due_longest_goes_first_and_what_is_not_due_waits(office: Office) -> None:
    key_id = await office.key()
    [first] = await office.post(key_id, ONE)
    office.advance(1)
    [second] = await office.post(key_id, ONE)
    office.advance(-0.5)
    claims = await claim(office)
    assert [each.id for each in claims.deliveries] == [first]
    assert claims.next_in_s == pytest.approx(0.5)
    office.advance(0.5)
    assert [each.id for each in (await claim(office, 1)).deliveries] == [second]


async def test_claims_leave_room_for_other_hosts_and_keys(office: Office) -> None:
    key_id, other_key = await office.key(), await office.key()
    for which, url, number in ((key_id, ONE, 40), (key_id, OTHER, 40), (other_key, OTHER, 3)):
        await office.post(which, *[url] * number)
        office.advance(1)
    claims = await claim(office, lanes=Lanes(per_host=3, per_key=4))
    assert [(each.key_id, each.host) for each in claims.deliveries] == [
        *[(key_id, "one.example.com:443")] * 3,
        (key_id, "other.example.com:443"),
        *[(other_key, "other.example.com:443")] * 2,
    ]
    assert claims.next_in_s is None  # whatever else is due has no room: the end of a try is the time to look
    again = await claim(office, lanes=Lanes(per_host=3, per_key=4), under_way=[*claims.deliveries[1:]])
    assert [(each.key_id, each.host) for each in again.deliveries] == [(key_id, "one.example.com:443")]


async def test_the_log_keeps_the_last_tries(office: Office) -> None:
    key_id = await office.key()
    [delivery_id] = await office.post(key_id, ONE)
    for number in range(30):
        await redeliver(office, delivery_id=delivery_id)
        [claimed] = (await claim(office)).deliveries
        await record(office, claimed, Outcome(None, f"word{number}", 7))
    tries = (await office.info(delivery_id)).tries
    assert [each["error"] for each in tries] == [f"word{number}" for number in range(10, 30)]
    assert tries[0] == {"at_us": office.now_us, "error": "word10", "elapsed_ms": 7}


async def test_of_a_job_all_deliveries_and_no_others(office: Office) -> None:
    key_id = await office.key()
    messages = [table.Message(job_id, key_id, url, BODY) for job_id, url in (("a", ONE), ("b", ONE), ("a", OTHER))]
    ids = await office.database.write(lambda connection: table.post(connection, messages, now_us=office.clock))
    infos = await office.database.read(lambda connection: table.of_job(connection, "a"))
    assert {info.id for info in infos} == {ids[0], ids[2]}
    assert [(info.status, info.attempts, info.created_us, info.next_us) for info in infos] == [
        ("pending", 0, office.now_us, office.now_us)
    ] * 2
    assert await office.database.read(lambda connection: table.of_job(connection, "c")) == []


async def test_an_answer_shows_times_and_no_url(office: Office) -> None:
    key_id = await office.key()
    [delivery_id] = await office.post(key_id, "https://one.example.com/?token=receivers")
    [claimed] = (await claim(office)).deliveries
    await record(office, claimed, Outcome(error="timeout", elapsed_ms=15_000))
    assert (await office.info(delivery_id)).as_json() == {
        "id": delivery_id,
        "status": "pending",
        "attempts": 1,
        "created_at": "2030-03-17T17:46:40.000+00:00",
        "next_try_at": "2030-03-17T17:46:45.000+00:00",
        "tries": [{"at": "2030-03-17T17:46:40.000+00:00", "error": "timeout", "elapsed_ms": 15_000}],
    }


async def test_ids_are_the_standards_and_never_the_same(office: Office) -> None:
    key_id = await office.key()
    ids = await office.post(key_id, *[ONE] * 100)
    assert len(set(ids)) == 100
    assert all(each.startswith("msg_") and "." not in each and len(each) == 40 for each in ids)


async def ended(office: Office, key_id: str, outcome: Outcome) -> str:
    [delivery_id] = await office.post(key_id, ONE)
    [claimed] = (await claim(office)).deliveries
    assert await record(office, claimed, outcome) in ("delivered", "failed")
    return delivery_id


async def test_what_failed_since_a_time_is_delivered_again(office: Office) -> None:
    key_id = await office.key()
    old = await ended(office, key_id, Outcome(410))
    office.advance(100)
    since_us = office.now_us
    failed, delivered = await ended(office, key_id, Outcome(410)), await ended(office, key_id, Outcome(200))
    assert await redeliver(office, failed_since_us=since_us) == [failed]
    assert {(await office.info(each)).status for each in (old, delivered)} == {"failed", "delivered"}
    [claimed] = (await claim(office)).deliveries
    assert (claimed.id, claimed.attempts) == (failed, 1)
    office.advance(0.1)
    assert await record(office, claimed, Outcome(500)) == "pending"  # the schedule begins anew


async def test_by_id_or_job_also_what_was_delivered_or_waits_is_sent_now(office: Office) -> None:
    key_id = await office.key()
    delivered = await ended(office, key_id, Outcome(200))
    [waiting] = await office.post(key_id, ONE)
    [claimed] = (await claim(office)).deliveries
    assert await redeliver(office, delivery_id=waiting) == []  # it is being tried
    await record(office, claimed, Outcome(500))
    assert await redeliver(office, delivery_id=waiting) == [waiting]
    assert await redeliver(office, job_id="job-0") == [delivered]
    assert {each.id for each in (await claim(office)).deliveries} == {delivered, waiting}
    assert await redeliver(office, delivery_id="msg_none") == []
    with pytest.raises(ValueError, match="which"):
        await redeliver(office)


async def test_ended_deliveries_expire_and_others_do_not(office: Office) -> None:
    key_id = await office.key()
    old = [await ended(office, key_id, outcome) for outcome in (Outcome(200), Outcome(410), Outcome(200))]
    [waiting] = await office.post(key_id, ONE)
    office.advance(100)
    await claim(office)  # the waiting one, so that the next claim is another's
    new = await ended(office, key_id, Outcome(200))
    assert [await expire(office, 100.5) for _ in range(2)] == [0, 0]
    office.advance(1)
    assert [await expire(office, 100.5, 2) for _ in range(3)] == [2, 1, 0]
    rows = await office.database.read(
        lambda connection: set(connection.execute(select(webhook_deliveries.c.id)).scalars())
    )
    assert rows == {waiting, new}
    assert not rows & set(old)
