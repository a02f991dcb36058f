"""Tells a job's webhook of its end: the message is written in the transaction that ends the job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, Row

from calotype.accounts.keys import Principal
from calotype.guard.policy import EgressPolicy
from calotype.jobs.view import job_json, job_of
from calotype.webhooks import table as deliveries
from calotype.webhooks.destination import check_destination
from calotype.webhooks.table import Message


def announce(connection: Connection, row: Row[Any]) -> None:
    """Queue the message about a job that has just become final, if its owner wants one."""
    webhook: dict[str, Any] | None = row.webhook
    if webhook is None or row.status not in (webhook.get("events") or (row.status,)):
        return
    job = job_json(job_of(row))
    body = {"type": f"job.{row.status}", "timestamp": job["finished_at"], **job}
    message = Message(job_id=row.id, key_id=row.key_id, url=webhook["url"], body=to_json(body).decode())
    deliveries.post(connection, [message])


def webhook_check(policy: EgressPolicy, caller: Principal) -> Callable[[str], None]:
    """What raises InvalidUrl or BlockedTarget for a URL to which nothing is ever posted for this caller."""

    def check(url: str) -> None:
        check_destination(url, policy, caller.rules)

    return check


def deliveries_of(connection: Connection, row: Row[Any]) -> Sequence[dict[str, Any]]:
    """The deliveries of a job as its owner sees them."""
    return [each.as_json() for each in deliveries.of_job(connection, row.id)] if row.webhook else []
