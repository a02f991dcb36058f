"""The table of answers that are given again: claims of captures under way, and what came of them.

Functions of a connection, as in `accounts.ledger`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from calotype.accounts.ledger import NowUs
from calotype.delivery.names import Name
from calotype.schema import answers

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """A row: somebody's claim, or an answer."""

    name: Name
    is_done: bool
    is_same: bool
    """The request is the one that it was made for."""
    object_name: str | None
    content: dict[str, Any]


class ClaimLost(Exception):
    """Another request claimed the name between looking and claiming."""


def find(connection: Connection, key_id: str, names: Sequence[Name], now_us: NowUs) -> Found | None:
    """Return the first answer under one of the names, or claim on it, that is still valid."""
    for name in names:
        is_it = (answers.c.key_id == key_id) & (answers.c.name == name.text) & (answers.c.ends_us > now_us(connection))
        if name.kind == "cache":  # of another request, an answer may have been kept for longer than this one accepts
            youngest = now_us(connection) - name.ttl_s * _SECOND_US
            is_it &= ~answers.c.is_done | (answers.c.made_us > youngest)
        row = connection.execute(select(answers).where(is_it)).one_or_none()
        if row is not None:
            is_same = bytes(row.fingerprint) == name.fingerprint
            return Found(name, row.is_done, is_same, row.object_name, row.content or {})
    return None


def claim(
    connection: Connection,
    key_id: str,
    names: Sequence[Name],
    request_id: str,
    *,
    is_refresh: bool,
    lease_s: float,
    now_us: NowUs,
) -> None:
    """Take the names for a request: of those who try at once, one.

    `is_refresh`: also from an answer that `find` would give.

    Raises:
        ClaimLost: somebody has one of them. Undo the transaction.
    """
    upsert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    for name in names:
        now = now_us(connection)
        row = {
            "key_id": key_id,
            "name": name.text,
            "fingerprint": name.fingerprint,
            "request_id": request_id,
            "is_done": False,
            "made_us": now,
            "ends_us": now + round(lease_s * _SECOND_US),
            "object_name": None,
            "content": None,
        }
        # What `find` would give is not replaced: it may have been made since we looked.
        may_replace = answers.c.ends_us <= now
        if name.kind == "cache":
            is_too_old = answers.c.made_us <= now - name.ttl_s * _SECOND_US
            may_replace = or_(may_replace, answers.c.is_done & (true() if is_refresh else is_too_old))
        changed = {column: value for column, value in row.items() if column not in ("key_id", "name")}
        statement = (
            upsert(answers)
            .values(row)
            .on_conflict_do_update(index_elements=[answers.c.key_id, answers.c.name], set_=changed, where=may_replace)
        )
        if connection.execute(statement.returning(answers.c.request_id)).scalar() is None:
            raise ClaimLost


def keep(
    connection: Connection,
    key_id: str,
    name: Name,
    request_id: str,
    content: dict[str, Any],
    object_name: str | None,
    now_us: NowUs,
) -> bool:
    """Turn the request's claim into an answer; False if it has lost it."""
    now = now_us(connection)
    statement = (
        update(answers)
        .where(_owned(key_id, name, request_id))
        .values(
            is_done=True,
            made_us=now,
            ends_us=now + name.ttl_s * _SECOND_US,
            content=content,
            object_name=object_name,
        )
    )
    return connection.execute(statement).rowcount > 0


def drop(connection: Connection, key_id: str, names: Sequence[Name], request_id: str) -> None:
    """Give the request's claims up."""
    for name in names:
        connection.execute(delete(answers).where(_owned(key_id, name, request_id)))


def forget(connection: Connection, key_id: str, name: Name, object_name: str | None) -> None:
    """Delete an answer whose picture is gone."""
    is_it = and_(answers.c.key_id == key_id, answers.c.name == name.text, answers.c.object_name == object_name)
    connection.execute(delete(answers).where(is_it))


def extend(connection: Connection, request_ids: Collection[str], *, lease_s: float, now_us: NowUs) -> None:
    """Keep claims for `lease_s` from now."""
    held = answers.c.request_id.in_(request_ids) & ~answers.c.is_done
    ends_us = now_us(connection) + round(lease_s * _SECOND_US)
    connection.execute(update(answers).where(held).values(ends_us=ends_us))


def expire(connection: Connection, *, now_us: NowUs, at_most: int) -> list[str]:
    """Delete what has ended; return the names of the pictures that nobody can ask for any more."""
    ended = select(answers.c.key_id, answers.c.name).where(answers.c.ends_us <= now_us(connection)).limit(at_most)
    object_names: list[str] = []
    for key_id, name in connection.execute(ended).all():
        is_it = (answers.c.key_id == key_id) & (answers.c.name == name) & (answers.c.ends_us <= now_us(connection))
        gone = connection.execute(delete(answers).where(is_it).returning(answers.c.object_name)).scalar()
        if gone is not None:
            object_names.append(gone)
    return object_names


def _owned(key_id: str, name: Name, request_id: str) -> Any:
    return and_(
        answers.c.key_id == key_id,
        answers.c.name == name.text,
        answers.c.request_id == request_id,
        ~answers.c.is_done,
    )
