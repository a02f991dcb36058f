"""Captures as callers get them, on SQLite and on PostgreSQL: paid once, made once, given again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from calotype.accounts.keys import Principal
from calotype.accounts.limits import Standing
from calotype.capture.result import CaptureMeta, CaptureResult
from calotype.database import Database
from calotype.delivery.desk import Delivery, Desk
from calotype.delivery.lanes import Lanes
from calotype.delivery.upkeep import Upkeep
from calotype.errors import (
    CaptureTimeout,
    IdempotencyConflict,
    InternalError,
    Overloaded,
    PageCrashed,
    QuotaReached,
    RateLimited,
    SelectorNotFound,
)
from calotype.request import CaptureRequest, parse_body
from calotype.schema import answers, api_keys, ledger
from calotype.settings import Plan, TargetRules
from calotype.storage.directory import DirectoryStorage

NO_RULES = TargetRules()
MADE_AT = datetime(2030, 1, 1, tzinfo=UTC)
LEASE_S = 30.0


@dataclass
class FakeCapturer:
    """Makes a picture of a number, the next one each time, after `script`."""

    script: Callable[[CaptureRequest], Awaitable[None]] | None = None
    made: list[str] = field(default_factory=list)
    partial: bool = False
    running: int = 0
    most_running: int = 0

    async def capture(
        self, request: CaptureRequest, *, request_id: str, rules: TargetRules = NO_RULES
    ) -> CaptureResult:
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            if self.script:
                await self.script(request)
        finally:
            self.running -= 1
        self.made.append(request_id)
        image = f"picture {len(self.made)}".encode()
        meta = CaptureMeta(
            request_id=request_id,
            elapsed_ms=5,
            url=request.url,
            final_url=request.url,
            status_code=200,
            title="",
            width=1,
            height=1,
            bytes=len(image),
            partial=self.partial,
        )
        return CaptureResult(image, "image/jpeg", meta)


@dataclass
class Office:
    """A desk and what is around it."""

    database: Database
    directory: Path
    capturer: FakeCapturer = field(default_factory=FakeCapturer)
    now_us: int = 1_900_000_000_000_000
    numbers: Any = field(default_factory=count)
    notes: list[Standing] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk, self.upkeep = self.open()

    def open(self) -> tuple[Desk, Upkeep]:
        """Another server on the same database."""
        storage = DirectoryStorage(self.directory)
        upkeep = Upkeep(self.database, storage, lease_s=LEASE_S, now_us=self.clock)
        desk = Desk(
            capturer=self.capturer,
            database=self.database,
            storage=storage,
            lanes=Lanes(queue=3, timeout_s=20),
            upkeep=upkeep,
            reset="calendar",
            clock=lambda: datetime.fromtimestamp(self.now_us / 1e6, UTC),
            now_us=self.clock,
        )
        return desk, upkeep

    def clock(self, _: Connection) -> int:
        return self.now_us

    async def ask(
        self, caller: Principal, key: str | None = None, *, desk: Desk | None = None, **body: Any
    ) -> Delivery:
        parsed = parse_body({"url": "https://example.com/", **body})
        return await (desk or self.desk).deliver(
            parsed,
            caller,
            request_id=f"request-{next(self.numbers)}",
            idempotency_key=key,
            note=self.notes.append,
        )

    async def states(self) -> dict[str, int]:
        query = select(ledger.c.state, func.count()).group_by(ledger.c.state)
        rows = await self.database.read(lambda connection: connection.execute(query).all())
        return {row[0]: row[1] for row in rows}

    def files(self) -> list[str]:
        return sorted(path.name for path in self.directory.rglob("*") if path.is_file())


@pytest.fixture
async def office(database: Database, tmp_path: Path) -> AsyncIterator[Office]:
    rows = [
        {
            **{"id": f"key{number}", "secret_hash": b"", "service": "screenshot", "plan": "x", "origin": "operator"},
            **{"allow": [], "deny": [], "created_at": MADE_AT},
        }
        for number in range(2)
    ]
    await database.write(lambda connection: connection.execute(insert(api_keys), rows))
    office = Office(database, tmp_path / "images")
    yield office
    await office.desk.stop()


def caller(number: int = 0, **plan: Any) -> Principal:
    return Principal(f"key{number}", None, Plan(name="team", **plan), TargetRules(), f"key{number}", MADE_AT)


async def test_a_picture_costs_a_credit(office: Office) -> None:
    team = caller(monthly_credits=3)
    delivery = await office.ask(team)
    assert (delivery.result.image, delivery.is_hit, delivery.is_replay) == (b"picture 1", False, False)
    assert await office.states() == {"settled": 1}
    assert office.notes[-1].credits_remaining == 2
    assert office.files() == []  # nobody asked for it to be kept


@pytest.mark.parametrize("error", [CaptureTimeout(), SelectorNotFound(), RuntimeError("a bug")])
async def test_a_failure_costs_nothing(office: Office, error: Exception) -> None:
    async def fail(_: CaptureRequest) -> None:
        raise error

    office.capturer.script = fail
    with pytest.raises(type(error)):
        await office.ask(caller(monthly_credits=1))
    assert await office.states() == {"refunded": 1}
    assert office.notes[-1].credits_remaining == 1


async def test_a_caller_who_leaves_pays_nothing(office: Office) -> None:
    begun = asyncio.Event()

    async def hang(_: CaptureRequest) -> None:
        begun.set()
        await asyncio.Event().wait()

    office.capturer.script = hang
    asking = asyncio.create_task(office.ask(caller(monthly_credits=1), "key", cache={"ttl_s": 60}))
    await begun.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await office.desk.stop()
    assert await office.states() == {"refunded": 1}
    office.capturer.script = None
    await office.ask(caller(monthly_credits=1), "key", cache={"ttl_s": 60})  # neither credit nor names are held


async def test_cancelled_at_any_moment_it_adds_up(office: Office) -> None:
    team = caller(monthly_credits=1000)
    for turns in range(0, 120, 3):
        asking = asyncio.create_task(office.ask(team, f"key {turns}", cache={"ttl_s": 60, "key": str(turns)}))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await office.desk.stop()
    states = await office.states()
    assert "reserved" not in states
    claims = select(func.count()).select_from(answers).where(~answers.c.is_done)
    assert await office.database.read(lambda connection: connection.execute(claims).scalar()) == 0
    kept = select(answers.c.object_name)
    names = await office.database.read(lambda connection: sorted(connection.execute(kept).scalars()))
    assert office.files() == names  # no picture without a row


async def test_refusals_say_why_and_count_for_nothing(office: Office) -> None:
    one = caller(monthly_credits=1)
    await office.ask(one)
    with pytest.raises(QuotaReached):
        await office.ask(one)
    slow = caller(1, requests_per_second=1)
    await office.ask(slow)
    with pytest.raises(RateLimited) as caught:
        await office.ask(slow)
    assert caught.value.retry_after_s == pytest.approx(1)
    assert office.notes[-1].requests_remaining == 0
    assert len(office.capturer.made) == 2
    assert await office.states() == {"settled": 2}


# --- idempotency ------------------------------------------------------------------------------------------------------


async def test_the_same_key_and_body_get_the_first_answer_again(office: Office) -> None:
    first = await office.ask(caller(), "a")
    again = await office.ask(caller(), "a")
    assert again.is_replay
    assert again.result == first.result
    assert await office.states() == {"settled": 1}
    office.now_us += 24 * 3600 * 1_000_000
    assert (await office.ask(caller(), "a")).result.image == b"picture 2"  # a day later it is another request


async def test_the_same_key_and_another_body_are_a_conflict(office: Office) -> None:
    await office.ask(caller(), "a")
    with pytest.raises(IdempotencyConflict):
        await office.ask(caller(), "a", format="png")
    await office.ask(caller(), "b", format="png")
    await office.ask(caller(1), "a", format="png")  # somebody else's key of the same name


async def test_at_the_same_time_one_capture_is_made(office: Office) -> None:
    answers_ = await asyncio.gather(*(office.ask(caller(), "a") for _ in range(8)))
    assert {answer.result.image for answer in answers_} == {b"picture 1"}
    assert sum(answer.is_replay for answer in answers_) == 7
    assert await office.states() == {"settled": 1}


async def test_a_conflict_shows_while_the_first_still_runs(office: Office) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def wait(_: CaptureRequest) -> None:
        begun.set()
        await end.wait()

    office.capturer.script = wait
    first = asyncio.create_task(office.ask(caller(), "a"))
    await begun.wait()
    with pytest.raises(IdempotencyConflict):
        await office.ask(caller(), "a", format="png")
    end.set()
    await first


async def test_an_error_that_would_come_again_is_given_again(office: Office) -> None:
    async def fail(_: CaptureRequest) -> None:
        raise SelectorNotFound("No #x.", details=[{"field": "selector", "message": "No #x."}])

    office.capturer.script = fail
    with pytest.raises(SelectorNotFound):
        await office.ask(caller(), "a")
    office.capturer.script = None
    with pytest.raises(SelectorNotFound, match="No #x") as caught:
        await office.ask(caller(), "a")
    assert caught.value.details == [{"field": "selector", "message": "No #x."}]
    assert office.capturer.made == []


@pytest.mark.parametrize("error", [PageCrashed, Overloaded, InternalError])
async def test_an_error_that_may_pass_is_tried_again(office: Office, error: type[Exception]) -> None:
    async def fail(_: CaptureRequest) -> None:
        raise error

    office.capturer.script = fail
    with pytest.raises(error):
        await office.ask(caller(), "a")
    office.capturer.script = None
    assert not (await office.ask(caller(), "a")).is_replay


async def test_a_refused_request_leaves_its_key_unused(office: Office) -> None:
    slow = caller(requests_per_second=1)
    await office.ask(slow, "a")
    with pytest.raises(RateLimited):
        await office.ask(slow, "b")
    office.now_us += 1_000_000
    assert not (await office.ask(slow, "b")).is_replay


# --- cache ------------------------------------------------------------------------------------------------------------


async def test_a_hit_costs_nothing_not_even_rate(office: Office) -> None:
    slow = caller(requests_per_second=1, monthly_credits=1)
    first = await office.ask(slow, cache={"ttl_s": 60})
    hit = await office.ask(slow, cache={"ttl_s": 60})
    assert (first.is_hit, hit.is_hit) == (False, True)
    assert hit.result.image == first.result.image
    assert hit.result.meta.cached
    assert hit.result.meta.request_id != first.result.meta.request_id
    assert await office.states() == {"settled": 1}


@pytest.mark.parametrize(
    ("body", "hit"),
    [
        ({"render": {"timeout_ms": 5000}}, True),
        ({"url": "https://EXAMPLE.com"}, True),
        ({"format": "jpeg", "quality": 80}, True),
        ({"format": "png"}, False),
        ({"url": "https://example.com/?x"}, False),
        ({"cookies": "a=b"}, False),
        ({"viewport": {"scale": 2}}, False),
        ({"cache": {"ttl_s": 60, "key": "v2"}}, False),
        ({"fail_on_status": [404]}, False),
    ],
)
async def test_what_affects_the_picture_makes_another(office: Office, body: dict[str, Any], hit: bool) -> None:
    await office.ask(caller(), cache={"ttl_s": 60})
    assert (await office.ask(caller(), **{"cache": {"ttl_s": 60}, **body})).is_hit is hit


async def test_a_picture_may_be_as_old_as_the_caller_says(office: Office) -> None:
    await office.ask(caller(), cache={"ttl_s": 600})
    office.now_us += 100 * 1_000_000
    assert (await office.ask(caller(), cache={"ttl_s": 200})).is_hit
    assert not (await office.ask(caller(), cache={"ttl_s": 50})).is_hit
    assert (await office.ask(caller(), cache={"ttl_s": 50})).result.image == b"picture 2"


async def test_refresh_replaces_it(office: Office) -> None:
    await office.ask(caller(), cache={"ttl_s": 60})
    assert not (await office.ask(caller(), cache={"ttl_s": 60, "refresh": True})).is_hit
    assert (await office.ask(caller(), cache={"ttl_s": 60})).result.image == b"picture 2"


@pytest.mark.parametrize("later", [{"refresh": True}, {"ttl_s": 30}, {"ttl_s": 60}])
async def test_a_picture_that_is_replaced_is_deleted(office: Office, later: dict[str, Any]) -> None:
    await office.ask(caller(), cache={"ttl_s": 60})
    office.now_us += (61 if later == {"ttl_s": 60} else 31) * 1_000_000
    assert not (await office.ask(caller(), cache={"ttl_s": 60, **later})).is_hit
    await office.desk.stop()
    assert len(office.files()) == 1


async def test_misses_at_the_same_time_make_one_capture_also_on_two_servers(office: Office) -> None:
    other, _ = office.open()
    asked = (office.ask(caller(), desk=desk, cache={"ttl_s": 60}) for desk in [office.desk, other] * 4)
    deliveries = await asyncio.gather(*asked)
    assert {delivery.result.image for delivery in deliveries} == {b"picture 1"}
    assert sum(delivery.is_hit for delivery in deliveries) == 7
    assert await office.states() == {"settled": 1}


async def test_keys_do_not_share_pictures(office: Office) -> None:
    await office.ask(caller(0), cache={"ttl_s": 60})
    assert not (await office.ask(caller(1), cache={"ttl_s": 60})).is_hit


async def test_a_partial_picture_is_not_kept(office: Office) -> None:
    office.capturer.partial = True
    await office.ask(caller(), cache={"ttl_s": 60})
    assert not (await office.ask(caller(), cache={"ttl_s": 60})).is_hit
    assert office.files() == []


async def test_a_picture_that_is_gone_is_made_again(office: Office) -> None:
    await office.ask(caller(), cache={"ttl_s": 60})
    for path in office.directory.rglob("*-cache"):
        path.unlink()
    assert (await office.ask(caller(), cache={"ttl_s": 60})).result.image == b"picture 2"


async def test_a_hit_has_the_warnings_of_its_own_request(office: Office) -> None:
    await office.ask(caller(), cache={"ttl_s": 60}, fromat="png")
    hit = await office.ask(caller(), cache={"ttl_s": 60})
    assert hit.is_hit
    assert hit.result.meta.warnings == []


# --- crashes, leases, room --------------------------------------------------------------------------------------------


async def test_what_a_dead_server_held_is_free_after_its_lease(office: Office) -> None:
    team = caller(monthly_credits=1)
    begun = asyncio.Event()

    async def hang(_: CaptureRequest) -> None:
        begun.set()
        await asyncio.Event().wait()

    office.capturer.script = hang
    dead = asyncio.create_task(office.ask(team, "a", cache={"ttl_s": 60}))
    await begun.wait()  # and from here on its server does nothing any more
    office.capturer.script = None
    other, upkeep = office.open()
    with pytest.raises(QuotaReached):
        await office.ask(team, desk=other)
    office.now_us += 31 * 1_000_000
    await upkeep.sweep()
    assert (await office.ask(team, "a", desk=other, cache={"ttl_s": 60})).result.image == b"picture 1"
    assert await office.states() == {"refunded": 1, "settled": 1}
    dead.cancel()
    await asyncio.gather(dead, return_exceptions=True)


async def test_what_a_living_server_holds_is_extended(office: Office) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def slow(_: CaptureRequest) -> None:
        begun.set()
        await end.wait()

    office.capturer.script = slow
    asking = asyncio.create_task(office.ask(caller(monthly_credits=1), "a"))
    await begun.wait()
    for _ in range(5):
        office.now_us += 20 * 1_000_000
        await office.upkeep.extend()
        await office.upkeep.sweep()
    end.set()
    await asking
    assert await office.states() == {"settled": 1}
    assert (await office.ask(caller(monthly_credits=1), "a")).is_replay


async def test_a_picture_whose_credit_is_gone_is_not_delivered(office: Office) -> None:
    team = caller(monthly_credits=1)

    async def stall(_: CaptureRequest) -> None:
        office.capturer.script = None
        office.now_us += 60 * 1_000_000
        await office.upkeep.sweep()
        await office.ask(team)

    office.capturer.script = stall
    with pytest.raises(QuotaReached):
        await office.ask(team, "a")
    assert await office.states() == {"refunded": 1, "settled": 1}
    assert office.files() == []


async def test_a_storage_that_is_full_fails_the_capture_and_costs_nothing(office: Office) -> None:
    office.directory.write_text("not a directory")
    with pytest.raises(InternalError):
        await office.ask(caller(monthly_credits=1), "a")
    assert await office.states() == {"refunded": 1}
    await office.ask(caller(monthly_credits=1))  # without a picture to keep it goes on


async def test_what_has_ended_is_deleted_with_its_picture(office: Office) -> None:
    await office.ask(caller(), "a", cache={"ttl_s": 60})
    assert len(office.files()) == 2
    office.now_us += 61 * 1_000_000
    await office.upkeep.sweep()
    assert [name.rpartition("-")[2] for name in office.files()] == ["idempotency"]
    office.now_us += 24 * 3600 * 1_000_000
    await office.upkeep.sweep()
    assert office.files() == []
    assert await office.database.read(lambda c: c.execute(select(func.count()).select_from(answers)).scalar()) == 0


async def test_a_plan_has_so_many_captures_at_once_and_others_do_not_wait_for_it(office: Office) -> None:
    end = asyncio.Event()
    begun = asyncio.Semaphore(0)

    async def wait(_: CaptureRequest) -> None:
        begun.release()
        await end.wait()

    office.capturer.script = wait
    two = caller(max_concurrency=2)
    asked = [asyncio.create_task(office.ask(two)) for _ in range(6)]
    for _ in range(2):
        await begun.acquire()
    done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    assert [type(task.exception()) for task in done] == [Overloaded]  # two run, three wait
    assert len(waiting) == 5
    other = asyncio.create_task(office.ask(caller(1)))
    await begun.acquire()
    end.set()
    await asyncio.gather(other, *waiting)
    assert office.capturer.most_running == 3
    assert await office.states() == {"settled": 6, "refunded": 1}
