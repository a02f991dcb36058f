"""How the parts of the jobs are put together: for a server, with or without a runner, and for a worker."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from calotype.accounts.keys import KeyRing, Principal
from calotype.accounts.ledger import Account
from calotype.database import Database
from calotype.database.clock import database_now_us
from calotype.delivery.cached import ResultCache
from calotype.delivery.desk import PictureMaker
from calotype.delivery.lanes import Lanes
from calotype.guard.policy import EgressPolicy
from calotype.jobs.backlog import BacklogWatch
from calotype.jobs.bell import Bell
from calotype.jobs.closing import Closing
from calotype.jobs.desk import JobDesk
from calotype.jobs.endings import Endings
from calotype.jobs.expiry import Expiry
from calotype.jobs.making import JobMaker
from calotype.jobs.observed import JobCounts
from calotype.jobs.runner import Runner
from calotype.settings import Settings
from calotype.storage import Storage
from calotype.telemetry import Telemetry
from calotype.webhooks.courier import Courier
from calotype.webhooks.sender import Sender


class JobParts:
    """What desk and runner of one process share."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        storage: Storage,
        keys: KeyRing,
        policy: EgressPolicy,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._keys = keys
        self._policy = policy
        self._bell = Bell()
        self._telemetry = telemetry or Telemetry()
        self._counts = JobCounts(self._telemetry.metrics)
        self._endings = Endings(on_final=self._counts.on_final, now_us=database_now_us)

    def desk(self) -> JobDesk:
        return JobDesk(
            database=self._database,
            storage=self._storage,
            policy=self._policy,
            signers=self._keys.webhook_signer,
            account_of=self._account_of,
            endings=self._endings,
            bell=self._bell,
            aging_s=self._settings.jobs.aging_s,
            presigned_s=self._settings.jobs.presigned_s,
            now_us=database_now_us,
        )

    def runner(self, capturer: PictureMaker, lanes: Lanes) -> Runner:
        cache = ResultCache(self._database, self._storage, database_now_us)
        closing = Closing(
            database=self._database,
            storage=self._storage,
            cache=cache,
            account_of=self._account_of,
            endings=self._endings,
            settings=self._settings.jobs,
        )
        return Runner(
            database=self._database,
            maker=JobMaker(capturer=capturer, lanes=lanes, cache=cache),
            owners=self._keys,
            endings=self._endings,
            closing=closing,
            bell=self._bell,
            settings=self._settings.jobs,
            concurrency=self._settings.jobs.concurrency or self._settings.browser.pages,
            now_us=database_now_us,
            telemetry=self._telemetry,
        )

    def backlog(self) -> BacklogWatch:
        return BacklogWatch(self._database, database_now_us)

    @asynccontextmanager
    async def running(self, runner: Runner | None) -> AsyncGenerator[None]:
        """Listen for notices, post to webhooks, forget what is old, and run the runner."""
        signers, on_tried = self._keys.webhook_signer, self._counts.on_tried
        courier = Courier(self._database, Sender(self._policy), signers, on_tried=on_tried)
        self._bell.on_webhook = courier.ring
        await self._database.listen(self._bell.hear)
        expiry = Expiry(
            database=self._database,
            storage=self._storage,
            retention_s=self._settings.jobs.retention_s,
            now_us=database_now_us,
        )
        courier.start()
        expiry.start()
        if runner is not None:
            await runner.start()
        try:
            yield
        finally:
            if runner is not None:
                await runner.stop()
            await courier.stop()
            await expiry.stop()

    def _account_of(self, caller: Principal) -> Account:
        now, reset = datetime.now(UTC), self._settings.credits.reset
        since, plan = caller.account_since, caller.plan
        return Account.at(now, reset, account_id=caller.account_id, since=since, plan=plan)
