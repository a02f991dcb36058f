"""Making keys, and putting one in the place of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, update

from calotype.accounts.key_checks import expiry_problems, name_problems, plan_problems, raise_if_any, rule_problems
from calotype.accounts.key_info import KeyInfo, NewKey, find_key, key_info
from calotype.accounts.key_secrets import KeySecrets
from calotype.accounts.key_text import random_key
from calotype.errors import Detail
from calotype.schema import OPERATOR, SERVICE, api_keys
from calotype.settings import Plan, TargetRules

Plans = Callable[[str], Plan | None]
"""The plan of a name, None if there is none."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """A key, and the one that it replaces as that is now."""

    new: NewKey
    old: KeyInfo


class KeyMaker:
    """Makes keys and their rows."""

    def __init__(self, secrets: KeySecrets, plans: Plans, clock: Callable[[], datetime]) -> None:
        self._secrets = secrets
        self._plans = plans
        self._clock = clock

    def make(
        self,
        plan_name: str,
        name: str | None,
        expires_at: datetime | None,
        rules: TargetRules,
        *,
        origin: str = OPERATOR,
    ) -> tuple[NewKey, dict[str, Any]]:
        """Return a key and the row to insert for it.

        Raises:
            InvalidRequest: as `KeyRing.create`.
        """
        raise_if_any(
            [
                *plan_problems(plan_name, self._plans(plan_name)),
                *name_problems(name),
                *expiry_problems(expires_at, self._clock()),
                *rule_problems(rules),
            ]
        )
        return self._make(plan_name, name, expires_at, rules, origin, None)

    def rotation(
        self, key_id: str, *, grace: timedelta, expires_at: datetime | None
    ) -> Callable[[Connection], Rotation | None]:
        """The transaction of `KeyRing.rotate`."""
        now = self._clock()

        def work(connection: Connection) -> Rotation | None:
            old = find_key(connection, key_id, for_change=True)
            if old is None:
                return None
            raise_if_any(
                [
                    *_rotation_problems(old, now),
                    *plan_problems(old.plan, self._plans(old.plan)),
                    *expiry_problems(expires_at, now),
                ]
            )
            new, row = self._make(old.plan, old.name, expires_at or old.expires_at, old.rules, OPERATOR, old)
            connection.execute(insert(api_keys).values(row))
            end = {"expires_at": _earlier(now + grace, old.expires_at)} if grace else {"revoked_at": now}
            of_it = update(api_keys).where(api_keys.c.id == key_id)
            connection.execute(of_it.values(replaced_by=new.key_id, **end))
            return Rotation(new, replace(old, replaced_by=new.key_id, **end))

        return work

    def _make(
        self,
        plan_name: str,
        name: str | None,
        expires_at: datetime | None,
        rules: TargetRules,
        origin: str,
        replaced: KeyInfo | None,
    ) -> tuple[NewKey, dict[str, Any]]:
        key, now = random_key(), self._clock()
        row = {
            "id": key.key_id,
            **self._secrets.columns(key),
            "service": SERVICE,
            "plan": plan_name,
            "name": name,
            **rules.model_dump(mode="json"),
            "origin": origin,
            "created_at": now,
            "expires_at": expires_at,
            "revoked_at": None,
            "account_id": replaced.account_id if replaced else None,
            "replaced_by": None,
        }
        since = replaced.account_since if replaced else now
        return NewKey(key_info({**row, "account_since": since}), key.whole), row


def _rotation_problems(old: KeyInfo, now: datetime) -> list[Detail]:
    if old.replaced_by is not None:
        message = f"The key {old.key_id} is replaced by {old.replaced_by} already."
    elif (state := old.state(now)) != "active":
        message = f"The key {old.key_id} is {state}, so that nothing can replace it. Make a new one."
    else:
        return []
    return [{"field": "id", "message": message}]


def _earlier(moment: datetime, other: datetime | None) -> datetime:
    return moment if other is None else min(moment, other)
