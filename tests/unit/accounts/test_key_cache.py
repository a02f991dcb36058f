"""What a cached lookup may and may not do, and what a ring refuses."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
import structlog
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from calotype.accounts.keys import KeyRing
from calotype.database import Database
from calotype.errors import ApiKeyInvalid, InvalidRequest
from calotype.schema import api_keys
from calotype.settings import Plan, TargetRules

from .conftest import PEPPER, Clock, ring


async def test_the_text_has_a_readable_prefix_the_id_and_256_bits(keys: KeyRing) -> None:
    key = await keys.create("free")
    assert re.fullmatch(rf"calo_{key.key_id}_[0-9A-Za-z]{{43}}", key.text)
    assert key.text not in repr(key)


async def test_white_space_around_a_key_is_forgiven(keys: KeyRing) -> None:
    key = await keys.create("free")
    assert (await keys.authenticate(f" {key.text}\n")).key_id == key.key_id


async def test_a_revocation_elsewhere_takes_effect_within_5_s(keys: KeyRing, database: Database, clock: Clock) -> None:
    key = await keys.create("free")
    await keys.authenticate(key.text)
    await ring(database, clock).revoke(key.key_id)
    clock.advance(seconds=4.99)
    with pytest.raises(ApiKeyInvalid):
        await keys.authenticate(key.text)


async def test_a_replacement_takes_effect_here_at_once_and_elsewhere_within_5_s(
    keys: KeyRing, database: Database, clock: Clock
) -> None:
    elsewhere = ring(database, clock)
    key = await keys.create("free")
    await keys.authenticate(key.text)
    await elsewhere.authenticate(key.text)
    rotation = await keys.rotate(key.key_id)
    assert rotation is not None
    assert (await elsewhere.authenticate(rotation.new.text)).account_id == key.key_id
    with pytest.raises(ApiKeyInvalid):
        await keys.authenticate(key.text)
    # Until then it counts on the same account.
    assert (await elsewhere.authenticate(key.text)).account_id == key.key_id
    clock.advance(seconds=4.99)
    with pytest.raises(ApiKeyInvalid):
        await elsewhere.authenticate(key.text)


async def test_a_revocation_elsewhere_takes_effect_although_the_time_is_set_back(
    keys: KeyRing, database: Database, clock: Clock
) -> None:
    key = await keys.create("free")
    await keys.authenticate(key.text)
    await ring(database, clock).revoke(key.key_id)
    clock.advance(seconds=4.99)
    clock.now -= timedelta(days=1)
    with pytest.raises(ApiKeyInvalid):
        await keys.authenticate(key.text)


async def test_lookups_under_way_do_not_outlive_a_revocation(keys: KeyRing, clock: Clock) -> None:
    """Lookups of the key are queued before, between and behind the revocation; whatever they read is not kept."""
    for _ in range(10):
        key = await keys.create("free")
        await keys.authenticate(key.text)
        clock.advance(seconds=10)  # the cache is stale: each of these asks the database
        asked = [asyncio.create_task(keys.authenticate(key.text)) for _ in range(3)]
        revoked = asyncio.create_task(keys.revoke(key.key_id))
        asked += [asyncio.create_task(keys.authenticate(key.text)) for _ in range(3)]
        await asyncio.gather(*asked, revoked, return_exceptions=True)
        with pytest.raises(ApiKeyInvalid):
            await keys.authenticate(key.text)


async def test_a_recent_lookup_asks_no_database(keys: KeyRing, database: Database, clock: Clock) -> None:
    key = await keys.create("free")
    await keys.authenticate(key.text)
    clock.advance(seconds=3)
    await database.write(lambda connection: connection.execute(delete(api_keys)))  # asking would find nothing
    assert (await keys.authenticate(key.text)).key_id == key.key_id


async def test_a_key_that_was_tried_before_it_existed_works_at_once(keys: KeyRing, database: Database) -> None:
    key = await keys.create("free")
    row = await database.read(lambda connection: connection.execute(select(api_keys)).mappings().one())
    await database.write(lambda connection: connection.execute(delete(api_keys)))
    with pytest.raises(ApiKeyInvalid):
        await keys.authenticate(key.text)
    await database.write(lambda connection: connection.execute(insert(api_keys).values(dict(row))))
    assert (await keys.authenticate(key.text)).key_id == key.key_id


async def test_cancelled_lookups_leave_the_ring_working(keys: KeyRing, clock: Clock) -> None:
    key = await keys.create("free")
    for turns in range(40):
        clock.advance(seconds=10)
        lookup = asyncio.create_task(keys.authenticate(key.text))
        for _ in range(turns):
            await asyncio.sleep(0)
        lookup.cancel()
        await asyncio.gather(lookup, return_exceptions=True)
    clock.advance(seconds=10)
    assert (await keys.authenticate(key.text)).key_id == key.key_id


async def test_a_plan_that_is_gone_makes_its_keys_invalid_and_the_log_says_why(
    database: Database, clock: Clock
) -> None:
    before = KeyRing(database, pepper=PEPPER, plans={"team": Plan(name="team")}.get, clock=clock)
    key = await before.create("team")
    with structlog.testing.capture_logs() as logs, pytest.raises(ApiKeyInvalid):
        await ring(database, clock).authenticate(key.text)
    [entry] = [entry for entry in logs if entry["event"] == "key_plan_missing"]
    assert entry["log_level"] == "error"
    assert (entry["key_id"], entry["plan"]) == (key.key_id, "team")
    assert key.text not in str(logs)


async def test_keys_are_listed_oldest_first_with_their_state(keys: KeyRing, clock: Clock) -> None:
    first = await keys.create("unlimited", name="first")
    clock.advance(seconds=1)
    expiry = datetime(2030, 1, 2, 5, 0, tzinfo=timezone(timedelta(hours=1)))
    second = await keys.create("free", expires_at=expiry, rules=TargetRules(allow=("10.0.0.0/8",)))
    await keys.revoke(first.key_id)
    infos = await keys.list()
    assert [info.key_id for info in infos] == [first.key_id, second.key_id]
    assert [info.state(clock.now) for info in infos] == ["revoked", "active"]
    assert infos[1].state(expiry) == "expired"
    assert infos[1].created_at == clock.now
    assert infos[1].expires_at == expiry
    assert infos[1].expires_at.tzinfo is UTC
    assert infos[1].rules.allow == ("10.0.0.0/8",)


async def test_what_can_not_become_a_key_is_refused_by_field(keys: KeyRing, clock: Clock) -> None:
    wrong = [
        ("plan", lambda: keys.create("gold")),
        ("name", lambda: keys.create("free", name="x" * 201)),
        ("name", lambda: keys.create("free", name="a\x1b[2J")),
        ("name", lambda: keys.create("free", name="a\x00")),
        ("expires_at", lambda: keys.create("free", expires_at=clock.now)),
        ("allow.0", lambda: keys.create("free", rules=TargetRules(allow=("http://wiki.example.com/",)))),
    ]
    for field, create in wrong:
        with pytest.raises(InvalidRequest) as caught:
            await create()
        assert [detail["field"] for detail in caught.value.details] == [field]
    assert await keys.list() == []


async def test_there_is_no_first_key_where_one_was_ever_made(keys: KeyRing) -> None:
    key = await keys.create("free")
    await keys.revoke(key.key_id)
    assert await keys.ensure_first("unlimited", "first start") is None


async def test_a_second_first_key_is_refused_by_the_database(keys: KeyRing, database: Database) -> None:
    """What `ensure_first` relies on where counting takes no lock, and two servers have both counted none."""
    assert await keys.ensure_first("unlimited", "first start")
    row = await database.read(lambda connection: connection.execute(select(api_keys)).mappings().one())
    with pytest.raises(IntegrityError):
        await database.write(lambda connection: connection.execute(insert(api_keys).values({**row, "id": "another0"})))
