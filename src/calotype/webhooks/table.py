"""The messages in the database: posted with what they are about in one transaction, claimed by one process at a time,
and sent at least once.

A claim is a lease: a process that dies loses it, and another goes on. The lease is also the token of its try, so that
a try which took too long can't overwrite what a later one has found. Functions of a connection, on SQLite and on
PostgreSQL.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from calotype.database import notify
from calotype.database.clock import NOW, NowUs, database_now_us
from calotype.errors import InvalidUrl
from calotype.schema import DELIVERED, FAILED, PENDING, webhook_deliveries
from calotype.webhooks.destination import read_destination
from calotype.webhooks.schedule import Outcome, pause_s

NOTICE = "webhook"
"""Told to all processes (`database.notify`) when there is something for the courier."""

LOG_MAX_TRIES = 20
_ID_BYTES = 18
_CLOCK = select(NOW)
_rows = webhook_deliveries.c


@dataclass(frozen=True, slots=True)
class Message:
    """A message to be sent. `url` is one that `check_destination` has passed."""

    job_id: str
    key_id: str
    url: str
    body: str
    """JSON, sent as it stands."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process is to try, now."""

    id: str
    job_id: str
    key_id: str
    url: str
    host: str
    body: str
    attempts: int
    """With this one."""
    since_us: int
    lease_us: int
    claimed_us: int


@dataclass(frozen=True, slots=True)
class Lanes:
    """How many tries one process makes at once: to one host, and for one key. What is over them is left unclaimed."""

    per_host: int
    per_key: int


@dataclass(frozen=True, slots=True)
class Claims:
    """`deliveries` to try, and in how many seconds the next one falls due that there would be room for."""

    deliveries: Sequence[Claimed]
    next_in_s: float | None


@dataclass(frozen=True, slots=True)
class DeliveryInfo:
    """What the owner of a job may know of its delivery."""

    id: str
    status: str
    attempts: int
    created_us: int
    next_us: int | None
    """When it will be tried; None if it has ended."""
    tries: Sequence[dict[str, Any]]
    """`{"at_us", "status_code" or "error", "elapsed_ms"}`, oldest first, the last 20."""

    def as_json(self) -> dict[str, Any]:
        """As an answer shows it. Not the URL: it may hold a secret of the receiver's."""
        return {
            "id": self.id,
            "status": self.status,
            "attempts": self.attempts,
            "created_at": _iso(self.created_us),
            "next_try_at": None if self.next_us is None else _iso(self.next_us),
            "tries": [
                {"at": _iso(each["at_us"]), **{name: value for name, value in each.items() if name != "at_us"}}
                for each in self.tries
            ],
        }


def post(connection: Connection, messages: Iterable[Message], *, now_us: NowUs = database_now_us) -> list[str]:
    """Queue messages, in the transaction of what they tell; return their ids."""
    moment = _moment(connection, now_us)
    rows: list[dict[str, Any]] = [
        {
            "id": f"msg_{secrets.token_hex(_ID_BYTES)}",
            "job_id": message.job_id,
            "key_id": message.key_id,
            "url": message.url,
            "host": _host(message.url),
            "body": message.body,
            "status": PENDING,
            "attempts": 0,
            "created_us": moment,
            "since_us": moment,
            "next_us": moment,
            "lease_us": 0,
            "log": [],
        }
        for message in messages
    ]
    if rows:
        connection.execute(insert(webhook_deliveries), rows)
        notify(connection, NOTICE)
    return [str(row["id"]) for row in rows]


def claim_due(
    connection: Connection,
    at_most: int,
    *,
    lease_s: float,
    under_way: Iterable[Claimed],
    lanes: Lanes,
    now_us: NowUs = database_now_us,
) -> Claims:
    """Claim what is due, longest due first, where there is room beside what this process has under way.

    Several processes share the work: none waits for another, none gets what another has.
    """
    moment = _moment(connection, now_us)
    hosts, keys = Counter[str](), Counter[str]()
    for each in under_way:
        hosts[each.host] += 1
        keys[each.key_id] += 1
    chosen: list[str] = []
    # Each turn takes one row at least: those without room are not asked for again.
    while len(chosen) < at_most:
        is_due = (_rows.next_us <= moment) & _rows.id.not_in(chosen) & _has_room(hosts, keys, lanes)
        query = select(_rows.id, _rows.host, _rows.key_id).where(_rows.status == PENDING, is_due)
        query = query.order_by(_rows.next_us, _rows.id).limit(at_most).with_for_update(skip_locked=True)
        found = connection.execute(query).all()
        for delivery_id, host, key_id in found:
            if len(chosen) < at_most and hosts[host] < lanes.per_host and keys[key_id] < lanes.per_key:
                chosen.append(delivery_id)
                hosts[host] += 1
                keys[key_id] += 1
        if len(found) < at_most:
            break
    claimed = _claim(connection, chosen, moment, lease_s)
    query = select(_rows.next_us).where(_rows.status == PENDING, _has_room(hosts, keys, lanes))
    next_us = connection.execute(query.order_by(_rows.next_us).limit(1)).scalar()
    return Claims(claimed, None if next_us is None else max(0.0, (next_us - moment) / 1_000_000))


def record(
    connection: Connection, tried: Claimed, outcome: Outcome, *, spread: float, now_us: NowUs = database_now_us
) -> str | None:
    """Write down how a try has ended; return the delivery's status now, None if the claim was not ours any more.

    Args:
        spread: between -1 and 1, random: moves the next try.
    """
    moment = _moment(connection, now_us)
    query = select(_rows.log).where(_is_held(tried)).with_for_update()
    log = connection.execute(query).scalar()
    if log is None:
        return None
    values: dict[str, Any] = {
        "log": [*log, _entry(tried, outcome)][-LOG_MAX_TRIES:],
        "lease_us": 0,
        "status": PENDING,
    }
    pause = pause_s(tried.attempts, (moment - tried.since_us) / 1_000_000, outcome, spread)
    if outcome.is_success:
        values |= {"status": DELIVERED, "ended_us": moment}
    elif pause is None:
        values |= {"status": FAILED, "ended_us": moment}
    else:
        values |= {"next_us": moment + round(pause * 1_000_000)}
    connection.execute(update(webhook_deliveries).where(_rows.id == tried.id).values(values))
    return str(values["status"])


def release(connection: Connection, claimed: Claimed, *, now_us: NowUs = database_now_us) -> None:
    """Give a claim back, as if the try had not begun."""
    values = {"attempts": _rows.attempts - 1, "next_us": _moment(connection, now_us), "lease_us": 0}
    connection.execute(update(webhook_deliveries).where(_is_held(claimed)).values(values))


def of_job(connection: Connection, job_id: str) -> list[DeliveryInfo]:
    """The deliveries of a job, oldest first."""
    columns = (_rows.id, _rows.status, _rows.attempts, _rows.created_us, _rows.next_us, _rows.log)
    query = select(*columns).where(_rows.job_id == job_id).order_by(_rows.created_us, _rows.id)
    return [
        DeliveryInfo(id_, status, attempts, created_us, next_us if status == PENDING else None, log)
        for id_, status, attempts, created_us, next_us, log in connection.execute(query)
    ]


def redeliver(
    connection: Connection,
    *,
    delivery_id: str | None = None,
    job_id: str | None = None,
    failed_since_us: int | None = None,
    now_us: NowUs = database_now_us,
) -> list[str]:
    """Begin the schedule anew, now, for the deliveries that all arguments given apply to; return their ids.

    One that is delivered is sent again, with the same id; one that a process is trying at this moment is left alone.
    Raises:
        ValueError: no argument is given.
    """
    moment = _moment(connection, now_us)
    conditions: list[ColumnElement[bool]] = []
    if delivery_id is not None:
        conditions.append(_rows.id == delivery_id)
    if job_id is not None:
        conditions.append(_rows.job_id == job_id)
    if failed_since_us is not None:
        conditions += [_rows.status == FAILED, _rows.ended_us >= failed_since_us]
    if not conditions:
        raise ValueError("which deliveries?")
    fresh = {"status": PENDING, "attempts": 0, "since_us": moment, "next_us": moment, "lease_us": 0, "ended_us": None}
    is_untried = _rows.lease_us <= moment
    statement = update(webhook_deliveries).where(is_untried, *conditions).values(fresh).returning(_rows.id)
    again = list(connection.execute(statement).scalars())
    if again:
        notify(connection, NOTICE)
    return again


def expire(connection: Connection, *, older_than_s: float, at_most: int, now_us: NowUs = database_now_us) -> int:
    """Delete deliveries that have ended so long ago; return how many. Call again while it is `at_most`."""
    before_us = _moment(connection, now_us) - round(older_than_s * 1_000_000)
    old = select(_rows.id).where(_rows.ended_us < before_us).order_by(_rows.ended_us).limit(at_most)
    return connection.execute(delete(webhook_deliveries).where(_rows.id.in_(old))).rowcount


def _claim(connection: Connection, ids: Sequence[str], moment: int, lease_s: float) -> list[Claimed]:
    if not ids:
        return []
    lease_us = moment + round(lease_s * 1_000_000)
    statement = (
        update(webhook_deliveries)
        .where(_rows.id.in_(ids))
        .values(attempts=_rows.attempts + 1, next_us=lease_us, lease_us=lease_us)
        .returning(
            *(_rows.id, _rows.job_id, _rows.key_id, _rows.url, _rows.host, _rows.body),
            *(_rows.attempts, _rows.since_us, _rows.lease_us),
        )
    )
    claimed = [Claimed(*row, claimed_us=moment) for row in connection.execute(statement)]
    return sorted(claimed, key=lambda each: ids.index(each.id))  # RETURNING has an order of its own


def _has_room(hosts: Counter[str], keys: Counter[str], lanes: Lanes) -> ColumnElement[bool]:
    full_hosts = [host for host, number in hosts.items() if number >= lanes.per_host]
    full_keys = [key_id for key_id, number in keys.items() if number >= lanes.per_key]
    return _rows.host.not_in(full_hosts) & _rows.key_id.not_in(full_keys)


def _is_held(claimed: Claimed) -> ColumnElement[bool]:
    return (_rows.id == claimed.id) & (_rows.lease_us == claimed.lease_us)


def _entry(tried: Claimed, outcome: Outcome) -> dict[str, Any]:
    ended = {"error": outcome.error} if outcome.error else {"status_code": outcome.status_code}
    return {"at_us": tried.claimed_us, **ended, "elapsed_ms": outcome.elapsed_ms}


def _host(url: str) -> str:
    try:
        return read_destination(url).host_and_port
    except InvalidUrl:
        return ""  # what the message tells must not fail for it; the courier will say so


def _moment(connection: Connection, now_us: NowUs) -> int:
    return connection.execute(_CLOCK, {"now_us": now_us(connection)}).scalar_one()


def _iso(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC).isoformat(timespec="milliseconds")
