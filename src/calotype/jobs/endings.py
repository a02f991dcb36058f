"""The ways a job ends, or begins again: each one transaction with its credit and with those who are told.

Functions of a connection, as `jobs.table`; each gives False, and changes nothing, when the job is not in the state that
the caller believes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row

from calotype.accounts import ledger
from calotype.accounts.ledger import Account
from calotype.database.clock import NowUs
from calotype.errors import CalotypeError, PageCrashed
from calotype.jobs import table
from calotype.jobs.bell import tell_final, tell_queued
from calotype.schema import CANCELLED, DONE, FAILED

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
    ) -> bool:
        """The picture is stored: charge for it. True also of a second call, after a commit that nobody has heard of."""
        if not self._end(connection, claim.token, DONE, result=result, object_name=object_name):
            row = table.get(connection, claim.job_id)
            return row is not None and row.object_name == object_name
        ledger.settle(connection, account, claim.job_id)
        return True

    def failed(self, connection: Connection, job_id: str, which: ColumnElement[bool], error: CalotypeError) -> bool:
        if not self._end(connection, which, FAILED, error=described(error)):
            return False
        ledger.refund(connection, job_id, error.code)
        return True

    def cancelled(self, connection: Connection, job_id: str, which: ColumnElement[bool]) -> bool:
        if not self._end(connection, which, CANCELLED):
            return False
        ledger.refund(connection, job_id, CANCELLED)
        return True

    def again(
        self,
        connection: Connection,
        which: ColumnElement[bool],
        *,
        after_s: float,
        error: CalotypeError | None = None,
        is_counted: bool = True,
    ) -> bool:
        """Queue a running job again."""
        shown = described(error) if error else None
        if not table.give_back(
            connection, which, after_s=after_s, now_us=self._now_us, error=shown, is_counted=is_counted
        ):
            return False
        tell_queued(connection)
        return True

    def reap(self, connection: Connection, *, max_attempts: int) -> list[table.Overdue]:
        """Take the jobs of dead workers up, and return them."""
        dead = table.overdue(connection, at_most=_REAP_AT_ONCE, now_us=self._now_us)
        for job in dead:
            which = table.is_running(job.job_id)
            if job.is_cancel_requested:
                self.cancelled(connection, job.job_id, which)
            elif job.attempts >= max_attempts:
                self.failed(connection, job.job_id, which, PageCrashed(_LOST))
            else:
                self.again(connection, which, after_s=0)
        return dead

    def _end(self, connection: Connection, which: ColumnElement[bool], status: str, **values: Any) -> bool:
        row = table.finish(connection, which, status, now_us=self._now_us, **values)
        if row is None:
            return False
        self._on_final(connection, row)
        tell_final(connection, row.id)
        return True


def described(error: CalotypeError) -> dict[str, Any]:
    """An error as it is kept: what `errors.error_from` takes."""
    return {"code": error.code, "message": error.message, "details": list(error.details)}
