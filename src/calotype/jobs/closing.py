"""Writes down how a try came out: its picture stored and the job done, or the job failed, or queued again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog
from sqlalchemy import Connection

from calotype.accounts.keys import Principal
from calotype.accounts.ledger import Account
from calotype.database import Database
from calotype.delivery.cached import ResultCache, content_of
from calotype.errors import CalotypeError, InternalError, Overloaded, ShuttingDown
from calotype.jobs.endings import Endings
from calotype.jobs.expiry import copy_name, picture_name
from calotype.jobs.making import Made
from calotype.jobs.table import Claim
from calotype.settings import JobSettings
from calotype.storage import Storage

_log = structlog.get_logger(__name__)

BUSY_PAUSE_S = 1.0
"""Until what nobody can be blamed for is tried again."""
_RETRY_PAUSE_MAX_S = 3_600.0


class Closing:
    """Each returns the outcome for the log, and raises what a database does that stays away."""

    def __init__(
        self,
        *,
        database: Database,
        storage: Storage,
        cache: ResultCache,
        account_of: Callable[[Principal], Account],
        endings: Endings,
        settings: JobSettings,
    ) -> None:
        self._database = database
        self._storage = storage
        self._cache = cache
        self._account_of = account_of
        self._endings = endings
        self._settings = settings

    async def made(self, claim: Claim, owner: Principal, made: Made) -> str:
        object_name, account, result = picture_name(claim.job_id, claim.attempts), self._account_of(owner), made.result
        content = content_of(result.with_warnings(made.warnings))
        try:
            await self._storage.put(object_name, result.image, content_type=result.content_type)
        except OSError as error:
            _log.error("job_not_stored", exc_info=error, job_id=claim.job_id)
            return await self.failed(claim, InternalError())
        copy, name = copy_name(object_name), made.kept_as
        is_copied = name is not None and await self._cache.store(copy, result)

        def work(connection: Connection) -> tuple[bool, list[str]]:
            if not self._endings.done(connection, claim, account, content, object_name, is_hit=made.is_hit):
                return False, [object_name, copy] if is_copied else [object_name]
            if not is_copied or name is None:
                return True, []
            return True, self._cache.keep(connection, account.id, name, claim.job_id, result, copy)

        is_ours, left_over = await self._database.write_surely(work)
        if is_ours:  # of a worker that died after it had stored them
            earlier = [picture_name(claim.job_id, attempt) for attempt in range(1, claim.attempts)]
            left_over += earlier + [copy_name(each) for each in earlier]
        await self._delete(left_over)
        return "done" if is_ours else "lost"  # we were believed dead

    async def failed(self, claim: Claim, error: CalotypeError) -> str:
        if isinstance(error, ShuttingDown | Overloaded):  # not the job's fault
            await self._again(claim, after_s=BUSY_PAUSE_S, is_counted=False)
            return "again"
        if error.spec.retryable and claim.attempts < self._settings.max_attempts:
            pause_s = min(_RETRY_PAUSE_MAX_S, self._settings.retry_pause_s * 2 ** (claim.attempts - 1))
            await self._again(claim, after_s=pause_s, error=error)
            return f"{error.code}, again"
        await self._database.write_surely(lambda connection: self._endings.failed(connection, claim.token, error))
        return error.code

    async def stopped(self, claim: Claim) -> str:
        """Nobody wants it any more, another runs it, or this process stops."""
        await self._again(claim, after_s=0, is_counted=False)
        return "cancelled or again"

    async def _delete(self, object_names: Iterable[str]) -> None:
        for object_name in object_names:
            try:
                await self._storage.delete(object_name)
            except OSError as error:
                _log.warning("picture_not_deleted", object_name=object_name, error=repr(error))

    async def _again(
        self, claim: Claim, *, after_s: float, error: CalotypeError | None = None, is_counted: bool = True
    ) -> bool:
        return await self._database.write_surely(
            lambda connection: self._endings.again(
                connection, claim.token, after_s=after_s, error=error, is_counted=is_counted
            )
        )
