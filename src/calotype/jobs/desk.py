"""Jobs as callers see them: accepted, looked at, waited for, cancelled."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from calotype.accounts import ledger
from calotype.accounts.keys import Principal
from calotype.accounts.ledger import Account, Admission
from calotype.accounts.limits import Standing
from calotype.database import Database
from calotype.database.clock import NowUs
from calotype.delivery import answers
from calotype.delivery.answers import ClaimLost
from calotype.delivery.names import Name
from calotype.errors import IdempotencyConflict, InternalError, JobFinished, NotFound
from calotype.guard.policy import EgressPolicy
from calotype.jobs import reading, table
from calotype.jobs.announcing import deliveries_of, webhook_check
from calotype.jobs.bell import Bell, tell_cancel, tell_queued
from calotype.jobs.endings import Endings
from calotype.jobs.pictures import SharedPictures
from calotype.jobs.table import NewJob
from calotype.schema import FINAL, RUNNING
from calotype.storage import Storage
from calotype.webhooks.courier import Signers

_CANCEL_WAIT_S = 5.0  # a running capture ends within 1 s, if its worker lives
_RACE_PAUSE_S = 0.05
_LOOK_AGAIN_S = 3.0
_NO_SUCH_JOB = "There is no such job, or not any more."


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job that somebody asks for. `body` is the request as sent, without its key and what unknown fields hold."""

    body: Mapping[str, Any]
    priority: int
    webhook: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """Ids of the jobs, in their order."""

    job_ids: Sequence[str]
    is_replay: bool = False
    """The jobs that an earlier request with this Idempotency-Key made."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A job's row, and where in the queue it stands."""

    row: Row[Any]
    queue_position: int | None = None


class _Refused(Exception):
    """Undoes the transaction in which jobs were queued that the plan does not allow."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.refusal = admission.refusal or InternalError()


class JobDesk:
    """What the routes call."""

    def __init__(
        self,
        *,
        database: Database,
        storage: Storage,
        policy: EgressPolicy,
        signers: Signers,
        account_of: Callable[[Principal], Account],
        endings: Endings,
        bell: Bell,
        aging_s: float,
        presigned_s: float,
        now_us: NowUs,
    ) -> None:
        self._database = database
        self._storage = storage
        self._pictures = SharedPictures(storage)
        self._policy = policy
        self._signers = signers
        self._account_of = account_of
        self._endings = endings
        self._bell = bell
        self._aging_s = aging_s
        self._presigned_s = presigned_s
        self._now_us = now_us

    async def accept(
        self,
        wanted: Sequence[Wanted],
        caller: Principal,
        *,
        name: Name | None,
        note: Callable[[Standing], None],
        traceparent: str | None = None,
    ) -> Accepted:
        """Queue all of the jobs, each with its credit, or none.

        Args:
            name: under which the same request gets the same jobs again.
            note: told where the caller stands, also when this fails.
            traceparent: of the span to which the jobs' are linked.

        Raises:
            QuotaReached, RateLimited: the caller's plan does not allow it now.
            IdempotencyConflict: the key was used for another request.
            InvalidRequest: there is a webhook, and the key is too old to sign.
        """
        if any(each.webhook for each in wanted):
            await self._signers(caller.key_id)
        account = self._account_of(caller)
        new = [NewJob(str(uuid.uuid4()), each.priority, each.body, each.webhook, traceparent) for each in wanted]

        def work(connection: Connection) -> tuple[Accepted, Standing]:
            if name and (earlier := self._accepted_before(connection, account, name)) is not None:
                return earlier, ledger.standing_of(connection, account, self._now_us)
            job_ids = [job.job_id for job in new]
            if name:
                self._keep(connection, account, name, job_ids)
            table.enqueue(connection, caller.key_id, account.id, new, aging_s=self._aging_s, now_us=self._now_us)
            tell_queued(connection)
            # The last, as it locks the account's row: whoever asks with the same key waits until the commit only.
            admission = ledger.admit_jobs(connection, account, job_ids, now_us=self._now_us)
            if admission.refusal is not None:
                raise _Refused(admission)
            return Accepted(job_ids), admission.standing

        while True:
            try:
                accepted, standing = await self._database.write(work)
            except ClaimLost:
                await asyncio.sleep(_RACE_PAUSE_S)  # the same request came at the same moment: look again
            except _Refused as refused:
                note(refused.admission.standing)
                raise refused.refusal from None
            else:
                note(standing)
                return accepted

    async def see(self, job_id: str, *, account_id: str | None = None) -> Seen:
        """
        Args:
            account_id: whose job it has to be; None: it may be anybody's.

        Raises:
            NotFound
        """

        def work(connection: Connection) -> Seen | None:
            row = reading.get(connection, job_id)
            if row is None or (account_id is not None and row.account_id != account_id):
                return None
            is_queued = row.status not in (*FINAL, RUNNING)
            return Seen(row, reading.queue_position(connection, row) if is_queued else None)

        seen = await self._database.read(work)
        if seen is None:
            raise NotFound(_NO_SUCH_JOB)
        return seen

    async def wait(self, job_id: str, timeout_s: float, *, account_id: str | None = None) -> Seen:
        """As `see`, once the job is final or the time is over.

        PostgreSQL is asked nothing meanwhile. On SQLite another server may run the job, and tells nobody here.
        """
        clock = asyncio.get_running_loop().time
        end, pause_s = clock() + timeout_s, _LOOK_AGAIN_S if self._database.is_sqlite else timeout_s
        with self._bell.awaiting(job_id) as may_be_final:
            while True:
                may_be_final.clear()
                seen = await self.see(job_id, account_id=account_id)
                if seen.row.status in FINAL or clock() >= end:
                    return seen
                try:
                    async with asyncio.timeout_at(min(end, clock() + pause_s)):
                        await may_be_final.wait()
                except TimeoutError:
                    pass

    async def cancel(self, job_id: str, *, account_id: str | None = None) -> Seen:
        """End a job: at once if it waits; if it runs, within a second, when its worker has heard of it.

        Raises:
            NotFound
            JobFinished: it is final.
        """
        seen = await self.see(job_id, account_id=account_id)
        if seen.row.status in FINAL:
            raise JobFinished(f"The job is {seen.row.status} and can't be cancelled.")

        def work(connection: Connection) -> bool:
            """False: it began, or came back to the queue, between the two statements, or is final."""
            if self._endings.cancelled(connection, table.is_queued(job_id)):
                return True
            if table.request_cancel(connection, job_id):
                tell_cancel(connection, job_id)
                return True
            return False

        with self._bell.awaiting(job_id) as may_be_final:
            while not await self._database.write(work):
                if (await self.see(job_id)).row.status in FINAL:
                    break
            seen = await self.see(job_id)
            if seen.row.status not in FINAL:
                try:
                    async with asyncio.timeout(_CANCEL_WAIT_S):
                        await may_be_final.wait()
                except TimeoutError:
                    pass
                seen = await self.see(job_id)
        if seen.row.status in FINAL and seen.row.status != "cancelled":
            raise JobFinished(f"The job was {seen.row.status} before it could be cancelled.")
        return seen

    async def listed(
        self, caller: Principal, *, status: str | None, cursor: str | None, at_most: int
    ) -> Sequence[Row[Any]] | None:
        """The caller's jobs, newest first, those after the job whose id is `cursor`; None if there is no such job."""
        account_id = self._account_of(caller).id

        def work(connection: Connection) -> Sequence[Row[Any]] | None:
            before = None
            if cursor is not None:
                last = reading.get(connection, cursor)
                if last is None or last.account_id != account_id:
                    return None
                before = last.number
            return reading.listed(connection, account_id, status=status, before=before, at_most=at_most)

        return await self._database.read(work)

    async def picture(self, seen: Seen) -> memoryview | None:
        """The picture of a job that is done, shared with others who have asked for it; None if it is gone."""
        return None if seen.row.object_name is None else await self._pictures.get(seen.row.object_name)

    async def image_url(self, seen: Seen) -> str | None:
        """A URL of the storage itself at which anybody gets the picture for a time; None: none is wanted, or there."""
        name = seen.row.object_name
        if name is None or not self._presigned_s:
            return None
        return await self._storage.presigned_url(name, expires_s=self._presigned_s)

    async def deliveries(self, seen: Seen) -> Sequence[Mapping[str, Any]]:
        """What was posted to the job's webhook, and how that went."""
        return await self._database.read(lambda connection: deliveries_of(connection, seen.row))

    def webhook_check(self, caller: Principal) -> Callable[[str], None]:
        """What raises an error of the table for a URL to which nothing is posted for this caller."""
        return webhook_check(self._policy, caller)

    def _accepted_before(self, connection: Connection, account: Account, name: Name) -> Accepted | None:
        found = answers.find(connection, account.id, [name], self._now_us)
        if found is None:
            return None
        if not found.is_same:
            raise IdempotencyConflict
        return Accepted(found.content["job_ids"], is_replay=True)

    def _keep(self, connection: Connection, account: Account, name: Name, job_ids: Sequence[str]) -> None:
        """
        Raises:
            ClaimLost: the same request came at the same moment.
        """
        owner = job_ids[0]
        answers.claim(connection, account.id, [name], owner, is_refresh=False, lease_s=1, now_us=self._now_us)
        answers.keep(connection, account.id, name, owner, {"job_ids": list(job_ids)}, None, self._now_us)
