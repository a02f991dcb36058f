"""A capture as callers get it: admitted and paid for, made once, and given again where that was asked for.

The order makes a crash at any point harmless. Before the capture, one transaction counts the request, reserves its
credit and claims the names under which its answer will be given again. After it, the picture is stored, and one
transaction settles the credit and turns the claims into answers; only then is anything delivered. What a dead server
has left is swept back when its lease ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

import structlog
from sqlalchemy import Connection

from calotype.accounts import ledger
from calotype.accounts.keys import Principal
from calotype.accounts.ledger import Account, Admission
from calotype.accounts.limits import Standing
from calotype.accounts.periods import MonthlyReset
from calotype.capture.result import CaptureResult
from calotype.database import Database
from calotype.database.clock import NowUs, database_now_us
from calotype.delivery import answers
from calotype.delivery.answers import ClaimLost, Found
from calotype.delivery.cached import as_hit, content_of, kept_result
from calotype.delivery.lanes import Lanes
from calotype.delivery.names import Name, names_of
from calotype.delivery.upkeep import Upkeep
from calotype.errors import CalotypeError, IdempotencyConflict, InternalError, QuotaReached, error_from
from calotype.request import CaptureRequest, ParsedRequest
from calotype.settings import TargetRules
from calotype.storage import Storage

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

_POLL_S = 0.25  # for an answer that another server is making
_CANCELLED = "cancelled"


class PictureMaker(Protocol):
    """Makes the picture; `capture.run.Capturer` is the real one. Raises the errors of the table, nothing else."""

    async def capture(self, request: CaptureRequest, *, request_id: str, rules: TargetRules = ...) -> CaptureResult: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """A finished capture."""

    result: CaptureResult
    is_hit: bool = False
    """From the result cache."""
    is_replay: bool = False
    """The answer that an earlier request with this Idempotency-Key got."""


class Desk:
    """`deliver`, and `stop()` when no more is wanted."""

    def __init__(
        self,
        *,
        capturer: PictureMaker,
        database: Database,
        storage: Storage,
        lanes: Lanes,
        upkeep: Upkeep,
        reset: MonthlyReset,
        clock: Callable[[], datetime],
        now_us: NowUs = database_now_us,
    ) -> None:
        """
        Args:
            clock: which month it is.
            now_us: when requests arrive and leases end.
        """
        self._capturer = capturer
        self._database = database
        self._storage = storage
        self._lanes = lanes
        self._upkeep = upkeep
        self._reset: MonthlyReset = reset
        self._clock = clock
        self._now_us = now_us
        self._under_way: dict[tuple[str, str], asyncio.Event] = {}
        """Set when the capture that has claimed the name has ended, here."""
        self._ending: set[asyncio.Task[Any]] = set()

    async def stop(self) -> None:
        """Finish giving back what cancelled captures had reserved, and deleting what was replaced."""
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)

    def account(self, caller: Principal) -> Account:
        """The caller as the ledger sees him."""
        since, plan = caller.account_since, caller.plan
        return Account.at(self._clock(), self._reset, account_id=caller.account_id, since=since, plan=plan)

    async def standing(self, caller: Principal) -> Standing:
        """Where the caller stands now."""
        account = self.account(caller)
        return await self._database.read(
            lambda connection: ledger.standing_of(connection, account, self._now_us), autocommit=True
        )

    async def deliver(
        self,
        parsed: ParsedRequest,
        caller: Principal,
        *,
        request_id: str,
        idempotency_key: str | None = None,
        note: Callable[[Standing], None] = lambda standing: None,
    ) -> Delivery:
        """Give the picture that was asked for: an earlier one where that will do, else a new one, paid for.

        Args:
            note: told where the caller stands, also when this fails.

        Raises:
            QuotaReached, RateLimited: the caller's plan does not allow it now.
            IdempotencyConflict: the key was used for another request.
            CalotypeError: as the capture does; nothing is charged then.
        """
        order = _Order(parsed.request, caller, self.account(caller), request_id)
        names = names_of(parsed.request, idempotency_key)
        while True:
            asked = [name for name in names if name.kind != "cache" or not parsed.request.cache.refresh]
            seen = await self._find(order, asked)
            if seen is None:
                admission = await self._admit(order, names, asked)
                if isinstance(admission, Admission):
                    note(admission.standing)
                    if admission.refusal is not None:
                        raise admission.refusal
                    return Delivery((await self._make(order, names, note)).with_warnings(parsed.warnings))
                seen = admission
            if seen is not None:
                note(seen.standing)
                if (earlier := await self._give_again(order, seen.answer, parsed)) is not None:
                    return earlier

    async def _find(self, order: _Order, asked: Sequence[Name]) -> _Seen | None:
        if not asked:
            return None
        return await self._database.read(lambda connection: self._see(connection, order, asked), autocommit=True)

    def _see(self, connection: Connection, order: _Order, asked: Sequence[Name]) -> _Seen | None:
        answer = answers.find(connection, order.account.id, asked, self._now_us)
        return answer and _Seen(answer, ledger.standing_of(connection, order.account, self._now_us))

    async def _admit(self, order: _Order, names: Sequence[Name], asked: Sequence[Name]) -> Admission | _Seen | None:
        """Reserve and claim, unless an answer or a claim has come in the meantime. None: look again."""
        account_id, lease_s = order.account.id, self._upkeep.lease_s
        replaced: list[str] = []

        def work(connection: Connection) -> Admission | _Seen:
            if (seen := self._see(connection, order, asked)) is not None:
                return seen
            admission = ledger.admit(connection, order.account, order.request_id, lease_s=lease_s, now_us=self._now_us)
            if admission.refusal is None:
                replaced[:] = answers.claim(
                    connection,
                    account_id,
                    names,
                    order.request_id,
                    is_refresh=order.request.cache.refresh,
                    lease_s=lease_s,
                    now_us=self._now_us,
                )
            return admission

        try:
            # Without a name to claim it is one statement.
            admission = await self._database.write(work, autocommit=not names)
        except ClaimLost:
            await asyncio.sleep(_POLL_S)  # somebody has just claimed it
            return None
        except asyncio.CancelledError:
            self._spawn(self._give_up(order, names, _CANCELLED))  # the transaction may have happened all the same
            raise
        if isinstance(admission, Admission) and admission.refusal is None:
            self._upkeep.hold(order.request_id)
            if replaced:
                self._spawn(self._upkeep.delete(replaced))
        return admission

    async def _make(self, order: _Order, names: Sequence[Name], note: Callable[[Standing], None]) -> CaptureResult:
        """Capture, store, settle."""
        try:
            async with self._announced(order, names):
                try:
                    async with self._lanes.lane(order.account.id, order.caller.plan.max_concurrency):
                        result = await self._capturer.capture(
                            order.request, request_id=order.request_id, rules=order.caller.rules
                        )
                    note(await self._settle(order, names, result))
                except Exception as error:
                    known = error if isinstance(error, CalotypeError) else InternalError()
                    note(await self._give_up(order, names, known))
                    raise
                return result
        except asyncio.CancelledError:
            self._spawn(self._give_up(order, names, _CANCELLED))
            raise

    async def _settle(self, order: _Order, names: Sequence[Name], result: CaptureResult) -> Standing:
        kept = [name for name in names if name.kind == "idempotency" or not result.meta.partial]
        content = content_of(result)
        objects = {name: _object_name(order, name) for name in kept}
        account_id = order.account.id

        def work(connection: Connection) -> tuple[bool, Standing]:
            is_paid = ledger.settle(connection, order.account, order.request_id)
            for name in names:
                if not (is_paid and name in objects):
                    answers.drop(connection, account_id, [name], order.request_id)
                else:
                    answers.keep(connection, account_id, name, order.request_id, content, objects[name], self._now_us)
            return is_paid, ledger.standing_of(connection, order.account, self._now_us)

        try:
            for object_name in objects.values():
                await self._storage.put(object_name, result.image, content_type=result.content_type)
            is_paid, standing = await self._database.write_surely(work)
        except Exception as error:
            _log.error("capture_not_settled", exc_info=error, request_id=order.request_id)
            raise InternalError from error
        self._upkeep.release(order.request_id)
        if not is_paid:
            raise QuotaReached
        return standing

    async def _give_up(self, order: _Order, names: Sequence[Name], why: CalotypeError | str) -> Standing:
        """Give the credit back, and keep the error where the same request would get it again."""
        error = why if isinstance(why, CalotypeError) else None
        reason = error.code if error else str(why)
        account_id = order.account.id

        def work(connection: Connection) -> tuple[bool, Standing]:
            is_settled = not ledger.refund(connection, order.request_id, reason) and ledger.is_settled(
                connection, order.request_id
            )
            for name in names:
                if name.kind == "idempotency" and error is not None and not error.spec.retryable:
                    content = {"code": error.code, "message": error.message, "details": error.details}
                    answers.keep(connection, account_id, name, order.request_id, content, None, self._now_us)
                else:
                    answers.drop(connection, account_id, [name], order.request_id)
            return is_settled, ledger.standing_of(connection, order.account, self._now_us)

        try:
            is_settled, standing = await self._database.write_surely(work)
        finally:
            self._upkeep.release(order.request_id)
        if not is_settled:  # else it was cancelled just after
            await self._upkeep.delete(_object_name(order, name) for name in names)
        return standing

    async def _give_again(self, order: _Order, found: Found, parsed: ParsedRequest) -> Delivery | None:
        """The answer that was found, or None when there is reason to look again."""
        account_id = order.account.id
        if not found.is_same:
            raise IdempotencyConflict
        if not found.is_done:
            await self._wait(account_id, found.name)
            return None
        if found.object_name is None:
            raise error_from(found.content)
        image = await self._storage.get(found.object_name)
        if image is None:
            _log.warning("answer_without_picture", key_id=order.caller.key_id, object_name=found.object_name)
            await self._database.write(
                lambda connection: answers.forget(connection, account_id, found.name, found.object_name)
            )
            return None
        result = kept_result(found, image)
        if found.name.kind == "idempotency":
            return Delivery(result.with_warnings(parsed.warnings), is_replay=True)
        return Delivery(as_hit(result, order.request_id).with_warnings(parsed.warnings), is_hit=True)

    async def _wait(self, account_id: str, name: Name) -> None:
        """Until the capture that has claimed the name may have ended."""
        event = self._under_way.get((account_id, name.text))
        if event is None:
            await asyncio.sleep(_POLL_S)
        else:
            await event.wait()

    @asynccontextmanager
    async def _announced(self, order: _Order, names: Sequence[Name]) -> AsyncGenerator[None]:
        ended = asyncio.Event()
        places = [(order.account.id, name.text) for name in names]
        self._under_way.update(dict.fromkeys(places, ended))
        try:
            yield
        finally:
            for place in places:
                if self._under_way.get(place) is ended:
                    del self._under_way[place]
            ended.set()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work, name="desk-tidying")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


@dataclass(frozen=True, slots=True)
class _Order:
    request: CaptureRequest
    caller: Principal
    account: Account
    request_id: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is there already, and where the caller stood then."""

    answer: Found
    standing: Standing


def _object_name(order: _Order, name: Name) -> str:
    return f"{order.request_id}-{name.kind}"
