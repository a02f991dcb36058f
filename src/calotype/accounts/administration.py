"""What an operator does with keys: the command line and `/admin/v1` do it by these functions, and show the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from calotype.accounts import ledger
from calotype.accounts.described import KeyDescription, KeyDetails, KeyUsage, PlanDescription, all_plans, usage_of_key
from calotype.accounts.key_checks import expiry_problems, plan_problems
from calotype.accounts.key_info import KeyInfo
from calotype.accounts.key_text import is_key_id, key_id_in
from calotype.accounts.keys import KeyRing
from calotype.accounts.ledger import Account
from calotype.accounts.limits import Limits
from calotype.accounts.periods import period_at
from calotype.database import Database
from calotype.database.clock import NowUs, database_now_us
from calotype.errors import Detail, InvalidRequest, NotFound
from calotype.settings import Settings, TargetRules

_NO_RULES = TargetRules()
_UNKNOWN = "There is no such key."  # not repeated: it may be most of a key
_NOTHING = Limits(None, 1, 0)


class MadeKey(NamedTuple):
    """A key just made: its text, which exists nowhere else, and what may be known of it."""

    text: str
    key: KeyDescription


class ReplacedKey(NamedTuple):
    """A key just made, and the one in whose place it was made."""

    text: str
    key: KeyDescription
    old: KeyDescription


class KeyPage(NamedTuple):
    keys: list[KeyDescription]
    next_cursor: str | None
    """None: these are the last."""


class Administration:
    """Keys are named by their id; where a whole key stands instead, its id is meant.

    Every function raises NotFound if there is no such key.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        settings: Settings,
        *,
        clock: Callable[[], datetime],
        now_us: NowUs = database_now_us,
    ) -> None:
        self._database = database
        self._keys = keys
        self._settings = settings
        self._clock = clock
        self._now_us = now_us

    def plans(self) -> list[PlanDescription]:
        return all_plans(self._settings)

    def plan_problems(self, name: str) -> list[Detail]:
        """What `create` would say of a plan."""
        return plan_problems(name, self._settings.plan(name))

    def expiry_problems(self, expires_at: datetime | None) -> list[Detail]:
        """What `create` and `rotate` would say of a key's end."""
        return expiry_problems(expires_at, self._clock())

    async def create(
        self,
        plan: str,
        *,
        name: str | None = None,
        expires_at: datetime | None = None,
        rules: TargetRules = _NO_RULES,
    ) -> MadeKey:
        """
        Raises:
            InvalidRequest: says all that is wrong.
        """
        new = await self._keys.create(plan, name=name, expires_at=expires_at, rules=rules)
        return MadeKey(new.text, self._describe(new.info))

    async def rotate(
        self, key_id: str, *, grace: timedelta = timedelta(0), expires_at: datetime | None = None
    ) -> ReplacedKey:
        """Put a new key in the place of another: see `KeyRing.rotate`.

        Raises:
            InvalidRequest
        """
        rotation = await self._keys.rotate(_id(key_id), grace=grace, expires_at=expires_at)
        if rotation is None:
            raise NotFound(_UNKNOWN)
        return ReplacedKey(rotation.new.text, self._describe(rotation.new.info), self._describe(rotation.old))

    async def revoke(self, key_id: str) -> KeyDescription:
        """End a key; of one that has ended, nothing changes."""
        await self._keys.revoke(_id(key_id))
        return self._describe(await self._find(key_id))

    async def list(self) -> list[KeyDescription]:
        """Every key ever made, oldest first."""
        return [self._describe(info) for info in await self._keys.list()]

    async def page(self, *, limit: int, cursor: str | None = None) -> KeyPage:
        """The keys after those that another page ended with.

        Raises:
            InvalidRequest: the cursor is none of ours.
        """
        after = await self._keys.find(cursor) if cursor is not None and is_key_id(cursor) else None
        if cursor is not None and after is None:
            message = "The cursor is not one that a list ended with."
            raise InvalidRequest(message, details=[{"field": "cursor", "message": message}])
        infos = await self._keys.list(limit=limit + 1, after=after)
        next_cursor = infos[limit - 1].key_id if len(infos) > limit else None
        return KeyPage([self._describe(info) for info in infos[:limit]], next_cursor)

    async def show(self, key_id: str) -> KeyDetails:
        """All that may be known of a key."""
        info = await self._find(key_id)
        return KeyDetails(**dict(self._describe(info)), usage=await self._usage(info))

    async def usage(self, key_id: str) -> KeyUsage:
        """What is used of a key's plan."""
        return await self._usage(await self._find(key_id))

    async def _find(self, key_id: str) -> KeyInfo:
        info = await self._keys.find(_id(key_id))
        if info is None:
            raise NotFound(_UNKNOWN)
        return info

    async def _usage(self, info: KeyInfo) -> KeyUsage:
        plan = self._settings.plan(info.plan)
        period = period_at(self._clock(), created_at=info.account_since, reset=self._settings.credits.reset)
        account = Account(info.account_id, Limits.of(plan) if plan else _NOTHING, period)
        standing = await self._database.read(lambda c: ledger.standing_of(c, account, self._now_us))
        return usage_of_key(info, plan, standing)

    def _describe(self, info: KeyInfo) -> KeyDescription:
        return KeyDescription.of(info, self._clock())


def _id(key_id: str) -> str:
    """
    Raises:
        NotFound: it can't be one. PostgreSQL would not take any text.
    """
    key_id = key_id_in(key_id)
    if not is_key_id(key_id):
        raise NotFound(_UNKNOWN)
    return key_id
