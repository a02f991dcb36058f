"""Delivers what is due: claims it, tries it, writes down what came of it.

Sleeps until the next delivery falls due, or until it is rung for. Tries are bounded in all, for one host, and for one
key: receivers that never answer delay nobody else.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from calotype.database import Database
from calotype.database.clock import NowUs, database_now_us
from calotype.errors import AuthError, InvalidUrl, RequestError
from calotype.settings import TargetRules
from calotype.webhooks import table
from calotype.webhooks.destination import read_destination
from calotype.webhooks.schedule import Outcome
from calotype.webhooks.sender import TRY_TIMEOUT_S, Sender
from calotype.webhooks.signature import signed_headers
from calotype.webhooks.table import Claimed, Claims, Lanes

AT_ONCE = 16
LANES = Lanes(per_host=2, per_key=8)
_LEASE_S = 4 * TRY_TIMEOUT_S
_LOOK_S = 60.0  # another process may have posted, and died before it rang
_LEAST_WAIT_S = 0.1  # what is due may be locked by another process at this moment
_AFTER_FAILURE_S = 5.0
_log = structlog.get_logger(__name__)


class Signer(Protocol):
    """What a key's messages are signed with, and where they may go."""

    @property
    def secrets(self) -> Sequence[bytes]: ...

    @property
    def rules(self) -> TargetRules: ...


Signers = Callable[[str], Awaitable[Signer]]
"""The signer of a key's id. Raises AuthError or RequestError if there is none: `KeyRing.webhook_signer`."""

OnTried = Callable[[Claimed, Outcome, str | None], None]
"""Told of each try once it is recorded, with the delivery's status now (None: the claim was lost)."""


class Courier:
    """`start()`, `ring()` whenever something was posted, `stop()`."""

    def __init__(
        self,
        database: Database,
        sender: Sender,
        signers: Signers,
        *,
        at_once: int = AT_ONCE,
        lanes: Lanes = LANES,
        lease_s: float = _LEASE_S,
        now_us: NowUs = database_now_us,
        spread: Callable[[], float] = lambda: random.uniform(-1, 1),  # noqa: S311 - nobody gains by guessing it
        on_tried: OnTried = lambda claimed, outcome, status: None,
    ) -> None:
        """
        Args:
            lease_s: how long a claim holds; more than a try can take.
        """
        self._database = database
        self._sender = sender
        self._signers = signers
        self._at_once = at_once
        self._lanes = lanes
        self._lease_s = lease_s
        self._now_us = now_us
        self._spread = spread
        self._on_tried = on_tried
        self._bell = asyncio.Event()
        self._tries: dict[asyncio.Task[None], Claimed] = {}
        self._loop: asyncio.Task[None] | None = None
        self._claiming: asyncio.Task[Claims] | None = None

    def start(self) -> None:
        self._loop = asyncio.create_task(self._run(), name="webhook-courier")

    async def stop(self, *, grace_s: float = 5.0) -> None:
        """Claim no more; give tries under way `grace_s` to end, then give the others back to be made again."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        if self._claiming is not None:
            await asyncio.gather(self._claiming, return_exceptions=True)
        if self._tries:
            await asyncio.wait(self._tries, timeout=grace_s)
        tries = list(self._tries)
        for each in tries:
            each.cancel()
        await asyncio.gather(*tries, return_exceptions=True)

    def ring(self) -> None:
        """Something is due, or may be."""
        self._bell.set()

    async def _run(self) -> None:
        while True:
            self._bell.clear()
            try:
                wait_s = await self._claim()
            except Exception as error:
                _log.error("webhook_claim_failed", exc_info=error)
                wait_s = _AFTER_FAILURE_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._bell.wait()
            except TimeoutError:
                pass

    async def _claim(self) -> float:
        """Begin all tries that there is room for; return how long there is nothing more to do, unless rung for."""
        room, under_way = self._at_once - len(self._tries), list(self._tries.values())
        if room <= 0:
            return _LOOK_S  # the end of a try rings
        # Not given up in its middle: what it has claimed would be nobody's until the lease ends.
        self._claiming = asyncio.create_task(self._claim_and_begin(room, under_way), name="webhook-claim")
        claims = await asyncio.shield(self._claiming)
        if len(claims.deliveries) >= room or claims.next_in_s is None:
            return _LOOK_S
        return min(_LOOK_S, max(_LEAST_WAIT_S, claims.next_in_s))

    async def _claim_and_begin(self, room: int, under_way: list[Claimed]) -> Claims:
        claims = await self._database.write(
            lambda connection: table.claim_due(
                connection,
                room,
                lease_s=self._lease_s,
                under_way=under_way,
                lanes=self._lanes,
                now_us=self._now_us,
            )
        )
        for claimed in claims.deliveries:
            task = asyncio.create_task(self._deliver(claimed), name="webhook-try")
            self._tries[task] = claimed
            task.add_done_callback(self._ended)
        return claims

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tries[task]
        self.ring()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("webhook_not_recorded", exc_info=error)  # its lease ends, and it is sent again

    async def _deliver(self, claimed: Claimed) -> None:
        try:
            outcome = await self._try(claimed)
        except asyncio.CancelledError:
            await self._database.write(lambda connection: table.release(connection, claimed, now_us=self._now_us))
            raise
        spread = self._spread()
        status = await self._database.write(
            lambda connection: table.record(connection, claimed, outcome, spread=spread, now_us=self._now_us)
        )
        _log.info(
            "webhook_tried",
            delivery_id=claimed.id,
            job_id=claimed.job_id,
            host=claimed.host,
            attempt=claimed.attempts,
            status_code=outcome.status_code,
            error=outcome.error,
            elapsed_ms=outcome.elapsed_ms,
            delivery=status,
        )
        self._on_tried(claimed, outcome, status)

    async def _try(self, claimed: Claimed) -> Outcome:
        try:
            signer = await self._signers(claimed.key_id)
            destination = read_destination(claimed.url)
            body = claimed.body.encode()
            headers = signed_headers(claimed.id, claimed.claimed_us // 1_000_000, body, *signer.secrets)
            return await self._sender.send(destination, headers, body, signer.rules)
        except InvalidUrl:
            return Outcome(error="invalid_url", is_final=True)
        except (AuthError, RequestError):
            return Outcome(error="key_unusable", is_final=True)
        except Exception as error:
            _log.error("webhook_try_failed", delivery_id=claimed.id, exc_info=error)
            return Outcome(error="internal_error")
