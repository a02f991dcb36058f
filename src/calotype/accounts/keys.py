"""API keys: made, listed, revoked, replaced, and recognised.

A key reads `calo_<id>_<secret>`. The id finds the row; of the secret the database has only what `key_secrets` makes of
it. Nothing here logs or returns a key but `create` and `rotate`, once.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from calotype.accounts.key_info import KeyInfo, NewKey, find_key, key_info, list_keys, select_keys
from calotype.accounts.key_making import KeyMaker, Plans, Rotation
from calotype.accounts.key_secrets import KeySecrets
from calotype.accounts.key_text import is_key_id, read_key
from calotype.database import Database
from calotype.errors import ApiKeyInvalid, ApiKeyMissing, InvalidRequest
from calotype.schema import FIRST_START, SERVICE, api_keys
from calotype.settings import Plan, TargetRules
from calotype.signing import Query, read_link, webhook_secret

_log = structlog.get_logger(__name__)

_CACHE_TTL_S = 4.0  # a revocation by another process takes effect within 5 s
_CACHE_MAX_KEYS = 10_000
_HOW_TO_SEND = "Send it as `Authorization: Bearer KEY`, as `X-API-Key: KEY`, or as `api_key`."
_NO_RULES = TargetRules()
_INVALID = "The API key is unknown, revoked or expired, or belongs to another service."
_LINK_INVALID = "The signed link was altered or cut, or its API key is unknown, revoked or expired."
_LINK_EXPIRED = "The signed link has expired."
_LINK_IMPOSSIBLE = "The API key of this link was made before keys could sign links; make a new key for signing."
_REPLACEMENTS_MAX = 8  # of a key, looked at for its webhooks
_WEBHOOK_INVALID = "The API key that the webhook is signed with is unknown or revoked."
_WEBHOOK_IMPOSSIBLE = "This API key was made before keys could sign webhooks; make a new key for jobs with a webhook."


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind a key."""

    key_id: str
    name: str | None
    plan: Plan
    rules: TargetRules
    """Where this key may go, and may not, beside the server's own rules."""
    account_id: str
    """Whose usage this key counts on, and whose pictures it gets again: `KeyInfo.account_id`."""
    account_since: datetime


@dataclass(frozen=True, slots=True)
class WebhookSigner:
    """What the webhooks of a key are signed with, and where they may go beside the server's own rules."""

    secrets: tuple[bytes, ...] = field(repr=False)
    """The key's, then those of the keys that have taken its place: a receiver may know any of them."""
    rules: TargetRules


@dataclass(frozen=True, slots=True)
class _Known:
    info: KeyInfo
    secret_hash: bytes
    masked_link_secret: bytes | None
    service: str
    looked_up_s: float


class KeyRing:
    """The keys in the database."""

    def __init__(
        self,
        database: Database,
        *,
        pepper: bytes,
        plans: Plans,
        clock: Callable[[], datetime],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            clock: the time, with its zone: when keys expire.
            monotonic_s: the age of cached lookups, whatever happens to the time.
        """
        self._database = database
        self._secrets = KeySecrets(pepper)
        self._maker = KeyMaker(self._secrets, plans, clock)
        self._plans = plans
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._cache: OrderedDict[str, _Known] = OrderedDict()
        self._revocations = 0

    async def create(
        self,
        plan_name: str,
        *,
        name: str | None = None,
        expires_at: datetime | None = None,
        rules: TargetRules = _NO_RULES,
    ) -> NewKey:
        """Make a key and store its hash.

        Raises:
            InvalidRequest: there is no such plan, the name can't be one, the time is past, rules can't be read.
        """
        new, row = self._maker.make(plan_name, name, expires_at, rules)
        await self._database.write(lambda connection: connection.execute(insert(api_keys).values(row)))
        return new

    async def ensure_first(self, plan_name: str, name: str) -> NewKey | None:
        """Make a key if none was ever made; of several servers that start at once, one does."""
        new, row = self._maker.make(plan_name, name, None, _NO_RULES, origin=FIRST_START)

        def insert_if_first(connection: Connection) -> NewKey | None:
            if connection.execute(select(func.count()).select_from(api_keys)).scalar_one():
                return None
            connection.execute(insert(api_keys).values(row))
            return new

        try:
            return await self._database.write(insert_if_first)
        except IntegrityError:  # the index on `origin`: where the count takes no lock, another server was first
            return None

    async def list(self, *, limit: int | None = None, after: KeyInfo | None = None) -> list[KeyInfo]:
        """Keys ever made, oldest first: those after `after`, at most `limit`."""
        return await self._database.read(lambda connection: list_keys(connection, limit=limit, after=after))

    async def find(self, key_id: str) -> KeyInfo | None:
        return await self._database.read(lambda connection: find_key(connection, key_id))

    async def revoke(self, key_id: str) -> bool:
        """End a key: in this process at once, in others within 5 s. False if there is no such key."""
        revoked_at = func.coalesce(api_keys.c.revoked_at, self._clock(), type_=api_keys.c.revoked_at.type)
        statement = update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=revoked_at)
        try:
            return await self._database.write(lambda connection: connection.execute(statement).rowcount > 0)
        finally:
            self._forget(key_id)

    async def rotate(
        self, key_id: str, *, grace: timedelta = timedelta(0), expires_at: datetime | None = None
    ) -> Rotation | None:
        """Make a key that replaces another: with the same plan, name and rules, and on the same account.

        Both count on one row of usage, so that no credit is gained or lost, captures under way included.

        Args:
            grace: how long the old one holds yet; 0 revokes it now, as `revoke` does.
            expires_at: of the new one; None: when the old one would have expired.

        Returns:
            None if there is no such key.

        Raises:
            InvalidRequest: the old one is revoked, expired or replaced already, or its plan is gone; or as `create`.
        """
        work = self._maker.rotation(key_id, grace=grace, expires_at=expires_at)
        try:
            return await self._database.write(work)
        finally:
            self._forget(key_id)

    async def authenticate(self, text: str | None) -> Principal:
        """Recognise a key.

        Raises:
            ApiKeyMissing: there is none.
            ApiKeyInvalid: it is not one of ours, or not any more. The message is always the same.
        """
        text = (text or "").strip()
        if not text:
            raise ApiKeyMissing(f"The request carries no API key. {_HOW_TO_SEND}")
        key = read_key(text)
        known = await self._look_up(key.key_id) if key else None
        is_right = self._secrets.is_right(key.secret if key else "", known.secret_hash if known else None)
        principal = self._principal(known) if known is not None and is_right else None
        if principal is None:
            raise ApiKeyInvalid(_INVALID)
        return principal

    async def authenticate_link(self, query: Query) -> Principal:
        """Recognise the key that a link is signed with; `query` has all its parameters.

        Raises:
            ApiKeyInvalid: of a link that is not rightly signed by a key that is good now, the message is always the
                same. It is another one if the key can't sign at all, and if the link was good and has expired.
        """
        link = read_link(query)
        known = await self._look_up(link.key_id) if link is not None and is_key_id(link.key_id) else None
        if link is None or known is None:
            raise ApiKeyInvalid(_LINK_INVALID)
        masked = known.masked_link_secret
        if masked is not None and not link.is_signed_with(self._secrets.link_secret(masked, link.key_id)):
            raise ApiKeyInvalid(_LINK_INVALID)
        principal = self._principal(known)
        if principal is None:
            raise ApiKeyInvalid(_LINK_INVALID)
        if masked is None:
            raise ApiKeyInvalid(_LINK_IMPOSSIBLE)
        if link.expires_s <= self._clock().timestamp():
            raise ApiKeyInvalid(_LINK_EXPIRED)
        return principal

    async def owner(self, key_id: str) -> Principal | None:
        """The caller for whom accepted work goes on: also after his key has expired, or another has taken its place.

        None: it was revoked, or its plan is gone.
        """
        known = await self._look_up(key_id)
        if known is None or _is_over(known.info):
            return None
        return self._caller(known.info)

    async def webhook_signer(self, key_id: str) -> WebhookSigner:
        """Return what the key's webhooks are signed with: also after it has expired, or another has taken its place.

        Raises:
            InvalidRequest: the key is too old to sign.
            ApiKeyInvalid: it is unknown, or revoked and not replaced: what it signs proves nothing any more.
        """
        secrets: list[bytes] = []
        known: _Known | None = None
        next_id: str | None = key_id
        for _ in range(_REPLACEMENTS_MAX):
            if next_id is None or (known := await self._look_up(next_id)) is None:
                break
            if known.masked_link_secret is not None:
                secrets.append(webhook_secret(self._secrets.link_secret(known.masked_link_secret, next_id)))
            next_id = known.info.replaced_by
        if known is None or known.service != SERVICE or known.info.revoked_at is not None:
            raise ApiKeyInvalid(_WEBHOOK_INVALID)
        if not secrets:
            raise InvalidRequest(_WEBHOOK_IMPOSSIBLE, details=[{"field": "webhook", "message": _WEBHOOK_IMPOSSIBLE}])
        return WebhookSigner(tuple(secrets), known.info.rules)

    def _principal(self, known: _Known) -> Principal | None:
        """The caller behind a key that is good now, whoever has shown that it is his."""
        info = known.info
        if known.service != SERVICE or info.state(self._clock()) != "active":
            return None
        return self._caller(info)

    def _caller(self, info: KeyInfo) -> Principal | None:
        plan = self._plans(info.plan)
        if plan is None:
            # Removed from the settings. Refused, as any other plan might give what was never granted.
            _log.error("key_plan_missing", key_id=info.key_id, plan=info.plan)
            return None
        return Principal(info.key_id, info.name, plan, info.rules, info.account_id, info.account_since)

    async def _look_up(self, key_id: str) -> _Known | None:
        now_s = self._monotonic_s()  # before the question: what changes after it is seen by the next
        known = self._cache.get(key_id)
        if known is not None and now_s - known.looked_up_s < _CACHE_TTL_S:
            return known
        revocations = self._revocations
        query = select_keys().where(api_keys.c.id == key_id)
        row = await self._database.read(
            lambda connection: connection.execute(query).mappings().one_or_none(), autocommit=True
        )
        self._cache.pop(key_id, None)
        if row is None:
            return None  # not kept: it may be made the next moment, and strangers would fill the cache
        known = _Known(key_info(row), row["secret_hash"], row["link_secret"], row["service"], now_s)
        if revocations == self._revocations:
            self._cache[key_id] = known
        if len(self._cache) > _CACHE_MAX_KEYS:
            self._cache.popitem(last=False)
        return known

    def _forget(self, key_id: str) -> None:
        self._revocations += 1  # what a lookup under way has read is not kept
        self._cache.pop(key_id, None)


def _is_over(info: KeyInfo) -> bool:
    """Whether the key was ended, not only replaced: what was accepted with it ends, too."""
    return info.revoked_at is not None and info.replaced_by is None
