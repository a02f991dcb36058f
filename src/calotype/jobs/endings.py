"""The ways a job ends, or begins again: each one transaction with its credit and with those who are told.

Functions of a connection, as `jobs.table`; each gives False, and changes nothing, when the job is not in the state that
the caller believes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_

from calotype.accounts import ledger
from calotype.accounts.ledger import Account
from calotype.database.clock import NowUs
from calotype.errors import CalotypeError, PageCrashed
from calotype.jobs import reading, table
from calotype.jobs.bell import tell_final, tell_queued
from calotype.schema import CACHE_HIT, CANCELLED, DONE, FAILED, jobs

OnFinal = Callable[[Connection, Row[Any]], None]
"""Called with the row of a job that has just become final, in its transaction."""

_REAP_AT_ONCE = 100
_LOST = "The job's worker died each time it was tried; the page may be what kills it."


class Endings:
    """One for all who end jobs in a process."""

    def __init__(self, *, on_final: OnFinal, now_us: NowUs) -> None:
        self._on_final = on_final
        self._now_us = now_us

    def done(
        self,
        connection: Connection,
        claim: table.Claim,
        account: Account,
        result: Mapping[str, Any],
        object_name: str,
        *,
        is_hit: bool = False,
    ) -> bool:
        """The picture is stored: charge for it, unless it is a hit of the result cache.

        True also of a second call, after a commit that nobody has heard of.
        """
        row = self._end(connection, claim.token, DONE, result=result, object_name=object_name)
        if row is not None:
            if is_hit:
                ledger.refund(connection, row.id, CACHE_HIT)
            else:
                ledger.settle(connection, account, row.id)
            return True
        row = reading.get(connection, claim.job_id)
        return row is not None and row.object_name == object_name

    def failed(self, connection: Connection, which: ColumnElement[bool], error: CalotypeError) -> bool:
        row = self._end(connection, which, FAILED, error=described(error))
        if row is not None:
            ledger.refund(connection, row.id, error.code)
        return row is not None

    def cancelled(self, connection: Connection, which: ColumnElement[bool]) -> bool:
        row = self._end(connection, which, CANCELLED)
        if row is not None:
            ledger.refund(connection, row.id, CANCELLED)
        return row is not None

    def again(
        self,
        connection: Connection,
        which: ColumnElement[bool],
        *,
        after_s: float,
        error: CalotypeError | None = None,
        is_counted: bool = True,
    ) -> bool:
        """Queue a running job again; end it, if it is unwanted."""
        shown = described(error) if error else None
        # In this order: on PostgreSQL `give_back` waits for who is asking for the end at this moment, and then sees it.
        if not table.give_back(
            connection, which, after_s=after_s, now_us=self._now_us, error=shown, is_counted=is_counted
        ):
            return self.cancelled(connection, and_(which, jobs.c.is_cancel_requested))
        tell_queued(connection)
        return True

    def reap(self, connection: Connection, *, max_attempts: int) -> list[str]:
        """Take the jobs of dead workers up; return their ids."""
        dead = table.overdue(connection, at_most=_REAP_AT_ONCE, now_us=self._now_us)
        # By account, as in `ledger.sweep`: of two who lock several accounts' rows, one would wait for the other.
        for job in sorted(dead, key=lambda job: job.account_id):
            which = table.is_running(job.job_id)
            if job.attempts < max_attempts or job.is_cancel_requested:
                self.again(connection, which, after_s=0)
            else:
                self.failed(connection, which, PageCrashed(_LOST))
        return [job.job_id for job in dead]

    def _end(self, connection: Connection, which: ColumnElement[bool], status: str, **values: Any) -> Row[Any] | None:
        row = table.finish(connection, which, status, now_us=self._now_us, **values)
        if row is not None:
            self._on_final(connection, row)
            tell_final(connection, row.id)
        return row


def described(error: CalotypeError) -> dict[str, Any]:
    """An error as it is kept: what `errors.error_from` takes."""
    return {"code": error.code, "message": error.message, "details": list(error.details)}
