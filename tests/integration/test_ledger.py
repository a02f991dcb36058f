"""The ledger on SQLite and on PostgreSQL: exact rates, credits that add up whatever happens between two steps."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count

import pytest
from sqlalchemy import Connection, func, insert, select

from calotype.accounts import ledger as credit
from calotype.accounts.ledger import Account, Admission
from calotype.accounts.limits import Limits
from calotype.accounts.periods import Period
from calotype.database import Database
from calotype.database.clock import NOW, database_now_us
from calotype.errors import QuotaReached, RateLimited
from calotype.schema import api_keys, ledger
from calotype.settings import Plan

JANUARY = Period(datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 2, 1, tzinfo=UTC))
FEBRUARY = Period(datetime(2030, 2, 1, tzinfo=UTC), datetime(2030, 3, 1, tzinfo=UTC))
UNLIMITED = Limits(None, 1, None)
LEASE_S = 30.0


@dataclass
class Desk:
    """The ledger's functions on a database, at a time that tests turn."""

    database: Database
    now_us: int = 1_900_000_000_000_000
    numbers: count[int] = field(default_factory=count)

    def clock(self, _: Connection) -> int:
        return self.now_us

    async def admit(self, account: Account, request_id: str | None = None) -> tuple[str, Admission]:
        request_id = request_id or f"request-{next(self.numbers)}"
        return request_id, await self.database.write(
            lambda connection: credit.admit(connection, account, request_id, lease_s=LEASE_S, now_us=self.clock)
        )

    async def admitted(self, account: Account) -> str:
        request_id, admission = await self.admit(account)
        assert admission.refusal is None
        return request_id

    async def settle(self, account: Account, request_id: str) -> bool:
        return await self.database.write(lambda connection: credit.settle(connection, account, request_id))

    async def refund(self, request_id: str) -> bool:
        return await self.database.write(lambda connection: credit.refund(connection, request_id, "capture_timeout"))

    async def sweep(self) -> int:
        return await self.database.write(lambda connection: credit.sweep(connection, now_us=self.clock))

    async def counts(self, account: Account) -> tuple[int, int]:
        """Reserved and settled, as the counters have them; they must agree with the rows."""
        standing = await self.database.read(lambda connection: credit.standing_of(connection, account, self.clock))
        rows = select(ledger.c.state, func.count()).where(
            ledger.c.key_id == account.id, ledger.c.period_start == account.period.start
        )
        by_state = Counter(
            dict(await self.database.read(lambda c: [tuple(row) for row in c.execute(rows.group_by(ledger.c.state))]))
        )
        assert (standing.reserved, standing.settled) == (by_state["reserved"], by_state["settled"])
        return standing.reserved, standing.settled


@pytest.fixture
async def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.fixture
async def make_account(database: Database) -> Callable[..., Account]:
    rows = [
        {
            **{"id": f"key{number}", "secret_hash": b"", "service": "screenshot", "plan": "free", "origin": "operator"},
            **{"allow": [], "deny": [], "created_at": JANUARY.start},
        }
        for number in range(3)
    ]
    await database.write(lambda connection: connection.execute(insert(api_keys), rows))
    numbers = count()
    return lambda limits=UNLIMITED: Account(f"key{next(numbers)}", limits, JANUARY)


async def test_a_credit_is_reserved_then_settled(desk: Desk, make_account: Callable[..., Account]) -> None:
    account = make_account(Limits(None, 1, 10))
    request_id, admission = await desk.admit(account)
    assert admission.standing.credits_remaining == 9
    assert await desk.counts(account) == (1, 0)
    assert await desk.settle(account, request_id)
    assert await desk.settle(account, request_id)  # again: the same, and once
    assert not await desk.refund(request_id)
    assert await desk.counts(account) == (0, 1)


async def test_a_refund_gives_it_back_once(desk: Desk, make_account: Callable[..., Account]) -> None:
    account = make_account(Limits(None, 1, 1))
    request_id = await desk.admitted(account)
    assert await desk.refund(request_id)
    assert not await desk.refund(request_id)
    assert await desk.counts(account) == (0, 0)
    await desk.admitted(account)


async def test_no_more_than_the_credits_however_many_ask_at_once(
    desk: Desk, make_account: Callable[..., Account]
) -> None:
    account = make_account(Limits(None, 1, 100))
    answers = await asyncio.gather(*(desk.admit(account) for _ in range(300)))
    refusals = [admission.refusal for _, admission in answers]
    assert refusals.count(None) == 100
    assert {type(refusal) for refusal in refusals if refusal} == {QuotaReached}
    assert await desk.counts(account) == (100, 0)
    assert answers[-1][1].standing.credits_remaining == 0


async def test_what_is_refused_leaves_no_row_and_counts_for_nothing(
    desk: Desk, make_account: Callable[..., Account]
) -> None:
    account = make_account(Limits(1_000_000, 1, 1))
    request_id = await desk.admitted(account)
    desk.now_us += 1_000_000
    _, admission = await desk.admit(account)
    assert isinstance(admission.refusal, QuotaReached)
    await desk.refund(request_id)
    await desk.admitted(account)  # the refused one has not used up the rate


async def test_the_rate_is_exact_and_says_when_to_come_again(desk: Desk, make_account: Callable[..., Account]) -> None:
    account = make_account(Limits.of(Plan(name="free", requests_per_second=1, burst=1)))
    await desk.admitted(account)
    for waited_us in (0, 1, 400_000, 598_999):
        desk.now_us += waited_us
        _, admission = await desk.admit(account)
        assert isinstance(admission.refusal, RateLimited)
    assert admission.refusal.retry_after_s == pytest.approx(0.001)
    assert admission.standing.requests_remaining == 0
    desk.now_us += 1000
    await desk.admitted(account)


async def test_a_burst_is_exact_and_refills_at_the_rate(desk: Desk, make_account: Callable[..., Account]) -> None:
    account = make_account(Limits.of(Plan(name="team", requests_per_second=10, burst=5)))
    answers = await asyncio.gather(*(desk.admit(account) for _ in range(9)))
    assert sorted(a.standing.requests_remaining for _, a in answers if not a.refusal) == [0, 1, 2, 3, 4]
    desk.now_us += 200_000  # two more
    answers = await asyncio.gather(*(desk.admit(account) for _ in range(9)))
    assert sum(admission.refusal is None for _, admission in answers) == 2
    desk.now_us += 60_000_000  # no more than the burst, however long it was quiet
    answers = await asyncio.gather(*(desk.admit(account) for _ in range(9)))
    assert sum(admission.refusal is None for _, admission in answers) == 5


@pytest.mark.parametrize("servers", [1, 2])
async def test_half_a_minute_of_too_many_requests_admits_one_a_second(
    desk: Desk, make_account: Callable[..., Account], database_url: str, servers: int
) -> None:
    """50 a second for 30 s on the plan `free`, spread over the servers; `bench.rate` does it with real ones."""
    account = make_account(Limits.of(Plan(name="free", requests_per_second=1, monthly_credits=100)))
    others = [Database(database_url) for _ in range(servers - 1)]
    for other in others:
        await other.open()
    counters = [desk, *(replace(desk, database=other) for other in others)]
    start_us, admitted_us = desk.now_us, []
    for number in range(0, 30 * 50, servers):
        for counter in counters:
            counter.now_us = start_us + number * 20_000
        asked = await asyncio.gather(*(counter.admit(account) for counter in counters))
        admitted_us += [counters[0].now_us - start_us for _, admission in asked if admission.refusal is None]
    for other in others:
        await other.close()
    assert admitted_us == [second * 1_000_000 for second in range(30)]
    assert await desk.counts(account) == (30, 0)


async def test_keys_do_not_share(desk: Desk, make_account: Callable[..., Account]) -> None:
    one, other = make_account(Limits(1_000_000, 1, 1)), make_account(Limits(1_000_000, 1, 1))
    await desk.admitted(one)
    await desk.admitted(other)


async def test_a_new_month_has_all_credits_and_the_old_one_keeps_its_reservations(
    desk: Desk, make_account: Callable[..., Account]
) -> None:
    january = make_account(Limits(None, 1, 2))
    february = replace(january, period=FEBRUARY)
    late = await desk.admitted(january)
    await desk.admitted(january)
    assert isinstance((await desk.admit(january))[1].refusal, QuotaReached)
    later, gone = await desk.admitted(february), await desk.admitted(february)
    assert await desk.counts(february) == (2, 0)
    assert await desk.settle(january, late)  # begun in January, ended in February: January's
    assert await desk.refund(gone)
    assert await desk.settle(february, later)
    assert await desk.counts(february) == (0, 1)


async def test_a_reservation_that_nobody_extends_is_swept_back(
    desk: Desk, make_account: Callable[..., Account]
) -> None:
    account = make_account(Limits(None, 1, 3))
    dead, alive = await desk.admitted(account), await desk.admitted(account)
    desk.now_us += 20_000_000
    await desk.database.write(lambda connection: credit.extend(connection, [alive], lease_s=LEASE_S, now_us=desk.clock))
    desk.now_us += 20_000_000
    assert await desk.sweep() == 1
    assert await desk.sweep() == 0
    assert await desk.counts(account) == (1, 0)
    assert not await desk.refund(dead)
    assert await desk.settle(account, alive)


@pytest.mark.parametrize(("credits", "charged"), [(2, True), (1, False)])
async def test_a_picture_that_comes_after_the_sweep_is_charged_if_it_can_be(
    desk: Desk, make_account: Callable[..., Account], credits: int, charged: bool
) -> None:
    account = make_account(Limits(None, 1, credits))
    late = await desk.admitted(account)
    desk.now_us += 60_000_000
    assert await desk.sweep() == 1
    await desk.settle(account, await desk.admitted(account))
    answers = await asyncio.gather(*(desk.settle(account, late) for _ in range(4)))
    assert set(answers) == {charged}
    assert await desk.counts(account) == (0, 1 + charged)


async def test_it_adds_up_whatever_happens_at_once(desk: Desk, make_account: Callable[..., Account]) -> None:
    """Captures that settle, fail, die and settle twice, with sweeps and a turn of the month in between."""
    account = make_account(Limits(None, 1, 60))
    dice = random.Random(4)
    delivered = 0

    async def capture() -> None:
        nonlocal delivered
        request_id, admission = await desk.admit(account)
        if admission.refusal:
            return
        match dice.randrange(4):
            case 0:
                await desk.refund(request_id)
            case 1:
                pass  # its process dies
            case 2:
                await asyncio.gather(desk.sweep(), desk.settle(account, request_id), desk.settle(account, request_id))
                delivered += 1
            case _:
                if await desk.settle(account, request_id):
                    delivered += 1

    for _ in range(6):
        await asyncio.gather(*(capture() for _ in range(40)))
        desk.now_us += 31_000_000
        await desk.sweep()
        reserved, settled = await desk.counts(account)
        assert (reserved, settled) == (0, delivered)
    assert delivered == 60


async def test_the_databases_own_clock(database: Database) -> None:
    now_us = await database.read(
        lambda connection: connection.execute(select(NOW), {"now_us": database_now_us(connection)}).scalar_one()
    )
    assert abs(now_us / 1e6 - datetime.now(UTC).timestamp()) < 60
