"""What may be known of a key, and reading it from the database. Functions of a connection, as in `accounts.ledger`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, Select, and_, func, or_, select

from calotype.schema import api_keys
from calotype.settings import TargetRules

KeyState = Literal["active", "expired", "revoked"]

_first = api_keys.alias("first_key")


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """All of a key but its secret. Times are UTC."""

    key_id: str
    name: str | None
    plan: str
    rules: TargetRules
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    account_id: str
    """Whose usage it counts on: its own id, or of the first of the keys that it replaced by rotation."""
    account_since: datetime
    """When that key was made."""
    replaced_by: str | None

    def state(self, now: datetime) -> KeyState:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `text` exists nowhere else."""

    info: KeyInfo
    text: str

    @property
    def key_id(self) -> str:
        return self.info.key_id

    def __repr__(self) -> str:
        return f"NewKey(key_id={self.key_id!r})"


def select_keys() -> Select[Any]:
    """Rows that `key_info` reads."""
    is_first = _first.c.id == func.coalesce(api_keys.c.account_id, api_keys.c.id)
    return select(api_keys, _first.c.created_at.label("account_since")).join(_first, is_first)


def key_info(row: RowMapping | Mapping[str, Any]) -> KeyInfo:
    return KeyInfo(
        key_id=row["id"],
        name=row["name"],
        plan=row["plan"],
        rules=TargetRules(allow=row["allow"], deny=row["deny"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        account_id=row["account_id"] or row["id"],
        account_since=row["account_since"],
        replaced_by=row["replaced_by"],
    )


def find_key(connection: Connection, key_id: str, *, for_change: bool = False) -> KeyInfo | None:
    """`for_change`: nobody else changes it before the transaction has ended. Captures are not held up."""
    query = select_keys().where(api_keys.c.id == key_id)
    if for_change:  # on SQLite every transaction that writes is alone
        query = query.with_for_update(of=api_keys, key_share=True)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else key_info(row)


def list_keys(connection: Connection, *, limit: int | None = None, after: KeyInfo | None = None) -> list[KeyInfo]:
    """Keys in the order in which they were made, oldest first."""
    query = select_keys().order_by(api_keys.c.created_at, api_keys.c.id).limit(limit)
    if after is not None:
        is_later = api_keys.c.created_at > after.created_at
        is_as_old = and_(api_keys.c.created_at == after.created_at, api_keys.c.id > after.key_id)
        query = query.where(or_(is_later, is_as_old))
    return [key_info(row) for row in connection.execute(query).mappings()]
