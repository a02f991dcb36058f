"""What always holds between the rows of the accounts, asked of a database.

Where it does not, calotype has a fault, or somebody's hand was in the database.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, func, or_, select

from calotype.schema import RESERVED, SETTLED, api_keys, key_usage, ledger


def miscounted_accounts(connection: Connection) -> list[str]:
    """The accounts whose counters differ from what the ledger has of their month."""
    usage = key_usage.c
    is_counted = (ledger.c.key_id == usage.key_id) & (ledger.c.period_start == usage.period_start)
    query = (
        select(usage.key_id)
        .select_from(key_usage.outerjoin(ledger, is_counted))
        .group_by(usage.key_id, usage.reserved, usage.settled)
        .having(or_(usage.reserved != _number(RESERVED), usage.settled != _number(SETTLED)))
        .order_by(usage.key_id)
    )
    return list(connection.execute(query).scalars())


def keys_without_origin(connection: Connection) -> list[str]:
    """The keys whose account, or the key that replaced them, does not exist."""
    ids = select(api_keys.c.id)
    is_lost = or_(api_keys.c.account_id.not_in(ids), api_keys.c.replaced_by.not_in(ids))
    return list(connection.execute(select(api_keys.c.id).where(is_lost).order_by(api_keys.c.id)).scalars())


def _number(state: str) -> ColumnElement[int]:
    return func.count(ledger.c.request_id).filter(ledger.c.state == state)
