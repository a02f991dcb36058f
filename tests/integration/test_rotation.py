"""One key in the place of another, on both databases: it inherits everything, and no credit is gained or lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, func, select

from calotype.accounts import ledger as credit
from calotype.accounts.key_making import Rotation
from calotype.accounts.keys import KeyRing, Principal
from calotype.accounts.ledger import Account
from calotype.accounts.limits import Limits, Standing
from calotype.accounts.periods import period_at
from calotype.database import Database
from calotype.database.clock import database_now_us
from calotype.errors import ApiKeyInvalid, InvalidRequest, QuotaReached
from calotype.schema import key_usage, ledger
from calotype.settings import Plan, Settings, TargetRules

CREDITS = 40
SETTINGS = Settings(plans=(Plan(name="forty", monthly_credits=CREDITS),))
MADE_AT = datetime(2030, 1, 20, 12, tzinfo=UTC)


@dataclass
class Clock:
    now: datetime = MADE_AT

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(database: Database, clock: Clock) -> KeyRing:
    return ring(database, clock)


def ring(database: Database, clock: Clock) -> KeyRing:
    return KeyRing(database, pepper=b"pepper", plans=SETTINGS.plan, clock=clock)


def account_of(caller: Principal, clock: Clock) -> Account:
    period = period_at(clock(), created_at=caller.account_since, reset="anniversary")
    return Account(caller.account_id, Limits.of(caller.plan), period)


async def standing(database: Database, caller: Principal, clock: Clock) -> Standing:
    account = account_of(caller, clock)
    return await database.read(lambda connection: credit.standing_of(connection, account, database_now_us))


async def capture(database: Database, caller: Principal, clock: Clock, number: int, *, good: bool = True) -> bool:
    """Admit, and then settle or refund; False if it was refused."""
    account, request_id = account_of(caller, clock), f"request-{number}"

    def admit(connection: Connection) -> credit.Admission:
        return credit.admit(connection, account, request_id, lease_s=30, now_us=database_now_us)

    admission = await database.write(admit)
    if admission.refusal is not None:
        assert isinstance(admission.refusal, QuotaReached)
        return False
    await asyncio.sleep(0)
    if good:
        assert await database.write(lambda connection: credit.settle(connection, account, request_id))
    else:
        assert await database.write(lambda connection: credit.refund(connection, request_id, "capture_timeout"))
    return True


async def test_the_new_key_has_plan_name_rules_and_end_of_the_old_one(keys: KeyRing, clock: Clock) -> None:
    rules = TargetRules(allow=("10.1.0.0/16",), deny=("bad.example.com",))
    ends_at = clock.now + timedelta(days=90)
    old = await keys.create("forty", name="Ada", expires_at=ends_at, rules=rules)
    clock.now += timedelta(days=3)
    rotation = await keys.rotate(old.key_id)
    assert rotation is not None
    info = rotation.new.info
    assert (info.plan, info.name, info.rules, info.expires_at) == ("forty", "Ada", rules, ends_at)
    assert (info.account_id, info.account_since, info.created_at) == (old.key_id, MADE_AT, clock.now)
    assert info == await keys.find(info.key_id)
    assert rotation.old == await keys.find(old.key_id)
    assert (rotation.old.state(clock.now), rotation.old.replaced_by) == ("revoked", info.key_id)
    assert (await keys.authenticate(rotation.new.text)).account_since == MADE_AT
    with pytest.raises(ApiKeyInvalid):
        await keys.authenticate(old.text)


async def test_with_a_grace_time_both_work_until_the_old_one_ends(keys: KeyRing, clock: Clock) -> None:
    old = await keys.create("forty")
    rotation = await keys.rotate(old.key_id, grace=timedelta(hours=24), expires_at=clock.now + timedelta(days=9))
    assert rotation is not None
    assert rotation.old.expires_at == clock.now + timedelta(hours=24)
    assert rotation.new.info.expires_at == clock.now + timedelta(days=9)
    both = [await keys.authenticate(old.text), await keys.authenticate(rotation.new.text)]
    assert both[0].account_id == both[1].account_id
    clock.now += timedelta(hours=24)
    with pytest.raises(ApiKeyInvalid):
        await keys.authenticate(old.text)
    await keys.authenticate(rotation.new.text)


async def test_grace_does_not_prolong_a_key_that_ends_sooner(keys: KeyRing, clock: Clock) -> None:
    ends_at = clock.now + timedelta(hours=1)
    old = await keys.create("forty", expires_at=ends_at)
    rotation = await keys.rotate(old.key_id, grace=timedelta(days=7))
    assert rotation is not None
    assert rotation.old.expires_at == ends_at


async def test_usage_and_reservations_go_on_through_any_number_of_rotations(
    keys: KeyRing, database: Database, clock: Clock
) -> None:
    new = await keys.create("forty")
    caller = await keys.authenticate(new.text)
    first = caller
    for number in range(5):
        assert await capture(database, caller, clock, number)
    account = account_of(first, clock)
    await database.write(lambda c: credit.admit(c, account, "in flight", lease_s=30, now_us=database_now_us))
    for _ in range(3):
        rotation = await keys.rotate(new.key_id)
        assert rotation is not None
        new = rotation.new
        caller = await keys.authenticate(new.text)
        now = await standing(database, caller, clock)
        assert (now.reserved, now.settled, now.credits_remaining) == (1, 5, CREDITS - 6)
    # What was admitted for the first key is settled when the third has replaced it.
    assert await database.write(lambda connection: credit.settle(connection, account, "in flight"))
    now = await standing(database, caller, clock)
    assert (now.reserved, now.settled) == (0, 6)
    rows = await database.read(lambda c: c.execute(select(func.count()).select_from(key_usage)).scalar_one())
    assert rows == 1


async def test_the_month_still_begins_on_the_day_of_the_first_key(
    keys: KeyRing, database: Database, clock: Clock
) -> None:
    old = await keys.create("forty")
    clock.now = datetime(2030, 2, 10, tzinfo=UTC)
    rotation = await keys.rotate(old.key_id)
    assert rotation is not None
    caller = await keys.authenticate(rotation.new.text)
    assert (await standing(database, caller, clock)).resets_at == datetime(2030, 2, 20, 12, tzinfo=UTC)


async def test_rotating_while_captures_run_gives_no_credit_away(keys: KeyRing, database: Database) -> None:
    """A key on 40 credits is rotated ten times, with and without grace, in the middle of 150 captures."""
    clock, dice = Clock(), random.Random(7)
    new = await keys.create("forty")
    callers = [await keys.authenticate(new.text)]
    admitted: list[bool] = []

    async def ask(number: int) -> None:
        good = dice.random() < 0.6
        if await capture(database, dice.choice(callers), clock, number, good=good):
            admitted.append(good)

    async def rotate() -> None:
        nonlocal new
        for turn in range(10):
            rotation = await keys.rotate(new.key_id, grace=timedelta(hours=turn % 2))
            assert rotation is not None
            new = rotation.new
            callers.append(await keys.authenticate(new.text))

    await asyncio.gather(rotate(), *(ask(number) for number in range(150)))
    for number in range(150, 200):  # whatever is left
        await capture(database, callers[-1], clock, number)
    now = await standing(database, callers[0], clock)
    assert (now.reserved, now.settled) == (0, CREDITS)
    by_state = select(ledger.c.state, func.count()).group_by(ledger.c.state)
    states = Counter(dict(await database.read(lambda c: [tuple(row) for row in c.execute(by_state)])))
    assert states["settled"] == CREDITS
    assert states["refunded"] == admitted.count(False)


async def test_of_two_rotations_at_once_one_wins(keys: KeyRing, database: Database, clock: Clock) -> None:
    """Also in two processes, and with a grace time, when the old key goes on."""
    for grace in (timedelta(0), timedelta(hours=1)):
        old = await keys.create("forty")
        rings = [ring(database, clock) for _ in range(6)]
        ends = await asyncio.gather(*(each.rotate(old.key_id, grace=grace) for each in rings), return_exceptions=True)
        won = [end for end in ends if isinstance(end, Rotation)]
        lost = [end for end in ends if isinstance(end, InvalidRequest)]
        assert (len(won), len(lost)) == (1, 5)
        assert all(won[0].new.key_id in error.message for error in lost)
        assert [info.account_id for info in await keys.list()].count(old.key_id) == 2


async def test_what_can_not_be_replaced(keys: KeyRing, database: Database, clock: Clock) -> None:
    revoked, expired = await keys.create("forty"), await keys.create("forty", expires_at=clock.now + timedelta(days=1))
    orphan, good = await keys.create("forty"), await keys.create("forty")
    await keys.revoke(revoked.key_id)
    with pytest.raises(InvalidRequest, match="would have expired"):
        await keys.rotate(good.key_id, expires_at=clock.now)
    clock.now += timedelta(days=1)
    with pytest.raises(InvalidRequest, match="is revoked"):
        await keys.rotate(revoked.key_id)
    with pytest.raises(InvalidRequest, match="is expired"):
        await keys.rotate(expired.key_id)
    plans_gone = KeyRing(database, pepper=b"pepper", plans=Settings().plan, clock=clock)
    with pytest.raises(InvalidRequest, match="no plan 'forty'"):
        await plans_gone.rotate(orphan.key_id)
    assert await keys.rotate("nobody00") is None
    assert len(await keys.list()) == 4


async def test_a_rotation_that_fails_midway_changes_nothing(keys: KeyRing, database: Database) -> None:
    old = await keys.create("forty")
    before = await keys.list()
    work = keys._maker.rotation(old.key_id, grace=timedelta(0), expires_at=None)

    def then_fail(connection: Connection) -> None:
        work(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(then_fail)
    assert await keys.list() == before
    await keys.authenticate(old.text)


async def test_keys_from_before_there_was_rotation_are_accounts_of_their_own(
    keys: KeyRing, database: Database, clock: Clock
) -> None:
    def to_the_revision_before(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "calotype:migrations")
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")

    old = await keys.create("forty")
    caller = await keys.authenticate(old.text)
    assert await capture(database, caller, clock, 1)
    await database.write(to_the_revision_before)
    await database.upgrade()
    rotation = await ring(database, clock).rotate(old.key_id)
    assert rotation is not None
    assert (await standing(database, await keys.authenticate(rotation.new.text), clock)).settled == 1
