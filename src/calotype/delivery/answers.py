"""The table of answers that are given again: claims of captures under way, and what came of them.

Functions of a connection, as in `accounts.ledger`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    LargeBinary,
    String,
    and_,
    bindparam,
    delete,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from calotype.database.clock import NOW, NowUs
from calotype.delivery.names import Name
from calotype.schema import answers

_SECOND_US = 1_000_000

# Statements are built once, as in `accounts.statements`.
_the_name = and_(answers.c.key_id == bindparam("the_key"), answers.c.name == bindparam("the_name"))
_own_claim = and_(_the_name, answers.c.request_id == bindparam("the_request"), ~answers.c.is_done)
_for_us = bindparam("for_us", type_=BigInteger)
_youngest = NOW - bindparam("max_age", type_=BigInteger)

_FIND = select(answers).where(_the_name, answers.c.ends_us > NOW)
# Of another request, an answer may have been kept for longer than this one accepts.
_FIND_CACHED = _FIND.where(~answers.c.is_done | (answers.c.made_us > _youngest))
_PICTURE = select(answers.c.object_name).where(_the_name)
_KEEP = (
    update(answers)
    .where(_own_claim)
    .values(
        is_done=True,
        made_us=NOW,
        ends_us=NOW + _for_us,
        content=bindparam("what", type_=JSON),
        object_name=bindparam("picture", type_=String),
    )
)
_DROP = delete(answers).where(_own_claim)


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
        is_cached = name.kind == "cache"
        values = _values(key_id, name, now_us=now_us(connection))
        row = connection.execute(_FIND_CACHED if is_cached else _FIND, values).one_or_none()
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
) -> list[str]:
    """Take the names for a request: of those who try at once, one.

    `is_refresh`: also from an answer that `find` would give.

    Returns:
        The names of the pictures that nobody can ask for any more once this is committed.

    Raises:
        ClaimLost: somebody has one of them. Undo the transaction, or claim nothing else in it.
    """
    replaced: list[str] = []
    for name in names:
        before = _PICTURE.with_for_update() if connection.dialect.name == "postgresql" else _PICTURE
        object_name = connection.execute(before, _values(key_id, name)).scalar()
        statement = _claim(connection.dialect.name, is_cached=name.kind == "cache", is_refresh=is_refresh)
        values = _values(
            key_id,
            name,
            the_fingerprint=name.fingerprint,
            the_request=request_id,
            for_us=round(lease_s * _SECOND_US),
            now_us=now_us(connection),
        )
        if connection.execute(statement, values).scalar() is None:
            raise ClaimLost
        if object_name is not None:
            replaced.append(object_name)
    return replaced


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
    values = _values(
        key_id,
        name,
        the_request=request_id,
        for_us=name.ttl_s * _SECOND_US,
        what=content,
        picture=object_name,
        now_us=now_us(connection),
    )
    return connection.execute(_KEEP, values).rowcount > 0


def drop(connection: Connection, key_id: str, names: Sequence[Name], request_id: str) -> None:
    """Give the request's claims up."""
    for name in names:
        connection.execute(_DROP, _values(key_id, name, the_request=request_id))


def forget(connection: Connection, key_id: str, name: Name, object_name: str | None) -> None:
    """Delete an answer whose picture is gone."""
    is_it = and_(answers.c.key_id == key_id, answers.c.name == name.text, answers.c.object_name == object_name)
    connection.execute(delete(answers).where(is_it))


def extend(connection: Connection, request_ids: Collection[str], *, lease_s: float, now_us: NowUs) -> None:
    """Keep claims for `lease_s` from now."""
    held = answers.c.request_id.in_(request_ids) & ~answers.c.is_done
    values = {"for_us": round(lease_s * _SECOND_US), "now_us": now_us(connection)}
    connection.execute(update(answers).where(held).values(ends_us=NOW + _for_us), values)


def expire(connection: Connection, *, now_us: NowUs, at_most: int) -> list[str]:
    """Delete what has ended; return the names of the pictures that nobody can ask for any more."""
    values = {"now_us": now_us(connection)}
    has_ended = answers.c.ends_us <= NOW
    object_names: list[str] = []
    for key_id, name in connection.execute(
        select(answers.c.key_id, answers.c.name).where(has_ended).limit(at_most), values
    ).all():
        is_it = and_(answers.c.key_id == key_id, answers.c.name == name, has_ended)
        gone = connection.execute(delete(answers).where(is_it).returning(answers.c.object_name), values).scalar()
        if gone is not None:
            object_names.append(gone)
    return object_names


@cache
def _claim(dialect_name: str, *, is_cached: bool, is_refresh: bool) -> Any:
    upsert = postgresql_insert if dialect_name == "postgresql" else sqlite_insert
    row: dict[str, Any] = {
        "key_id": bindparam("the_key", type_=String),
        "name": bindparam("the_name", type_=String),
        "fingerprint": bindparam("the_fingerprint", type_=LargeBinary),
        "request_id": bindparam("the_request", type_=String),
        "is_done": False,
        "made_us": NOW,
        "ends_us": NOW + _for_us,
        "object_name": None,
        "content": None,
    }
    # What `find` would give is not replaced: it may have been made since we looked.
    may_replace: ColumnElement[bool] = answers.c.ends_us <= NOW
    if is_cached:
        may_replace = or_(may_replace, answers.c.is_done & (true() if is_refresh else answers.c.made_us <= _youngest))
    changed = {column: value for column, value in row.items() if column not in ("key_id", "name")}
    return (
        upsert(answers)
        .values(row)
        .on_conflict_do_update(index_elements=[answers.c.key_id, answers.c.name], set_=changed, where=may_replace)
        .returning(answers.c.request_id)
    )


def _values(key_id: str, name: Name, **others: Any) -> dict[str, Any]:
    return {"the_key": key_id, "the_name": name.text, "max_age": name.ttl_s * _SECOND_US, **others}
