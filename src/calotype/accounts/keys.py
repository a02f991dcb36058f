"""API keys: made, listed, revoked, and recognised.

A key reads `calo_<id>_<secret>`. The id finds the row; of the secret (256 random bits) only an HMAC-SHA256, keyed with
the pepper, is stored, so neither the database nor a copy of it gives a key away. A fast hash is right for a secret of
that size. Nothing here logs or returns a key but `create`, once.

What the key's links are signed with has to be known, not only recognised: it is derived from the secret one way, and
stored XORed with a pad of its own that the pepper makes. So a copy of the database alone signs nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Connection, RowMapping, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from calotype.accounts.key_text import is_key_id, random_key, read_key
from calotype.database import Database
from calotype.errors import ApiKeyInvalid, ApiKeyMissing, InvalidRequest
from calotype.guard.rules import ParsedRules
from calotype.schema import FIRST_START, NAME_MAX_CHARS, OPERATOR, api_keys
from calotype.settings import Plan, TargetRules
from calotype.signing import Query, link_secret, read_link

_log = structlog.get_logger(__name__)

SERVICE = "screenshot"
_CACHE_TTL_S = 4.0  # a revocation by another process takes effect within 5 s
_CACHE_MAX_KEYS = 10_000
_HOW_TO_SEND = "Send it as `Authorization: Bearer KEY`, as `X-API-Key: KEY`, or as `api_key`."
_NO_RULES = TargetRules()
_INVALID = "The API key is unknown, revoked or expired, or belongs to another service."
_LINK_INVALID = "The signed link was altered or cut, or its API key is unknown, revoked or expired."
_LINK_EXPIRED = "The signed link has expired."
_LINK_IMPOSSIBLE = "The API key of this link was made before keys could sign links; make a new key for signing."


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind a key."""

    key_id: str
    name: str | None
    plan: Plan
    created_at: datetime
    rules: TargetRules
    """Where this key may go, and may not, beside the server's own rules."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `text` exists nowhere else."""

    key_id: str
    text: str

    def __repr__(self) -> str:
        return f"NewKey(key_id={self.key_id!r})"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What may be known of a key. Times are UTC."""

    key_id: str
    name: str | None
    plan: str
    rules: TargetRules
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


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
        plans: Callable[[str], Plan | None],
        clock: Callable[[], datetime],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            plans: the plan of a name, None if there is none.
            clock: the time, with its zone: when keys expire.
            monotonic_s: the age of cached lookups, whatever happens to the time.
        """
        self._database = database
        self._pepper = pepper
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
            InvalidRequest: there is no such plan, the name is too long, the time is past, or a rule can't be read.
        """
        self._check(plan_name, name, expires_at, rules)
        new, row = self._new(OPERATOR, plan_name, name, expires_at, rules)
        await self._database.write(lambda connection: connection.execute(insert(api_keys).values(row)))
        return new

    async def ensure_first(self, plan_name: str, name: str) -> NewKey | None:
        """Make a key if none was ever made; of several servers that start at once, one does."""
        self._check(plan_name, name, None, _NO_RULES)
        new, row = self._new(FIRST_START, plan_name, name, None, _NO_RULES)

        def insert_if_first(connection: Connection) -> NewKey | None:
            if connection.execute(select(func.count()).select_from(api_keys)).scalar_one():
                return None
            connection.execute(insert(api_keys).values(row))
            return new

        try:
            return await self._database.write(insert_if_first)
        except IntegrityError:  # the index on `origin`: where the count takes no lock, another server was first
            return None

    async def list(self) -> list[KeyInfo]:
        """Every key ever made, oldest first."""
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        return await self._database.read(lambda connection: list(map(_info, connection.execute(query).mappings())))

    async def revoke(self, key_id: str) -> bool:
        """End a key: in this process at once, in others within 5 s. False if there is no such key."""
        revoked_at = func.coalesce(api_keys.c.revoked_at, self._clock(), type_=api_keys.c.revoked_at.type)
        statement = update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=revoked_at)
        try:
            return await self._database.write(lambda connection: connection.execute(statement).rowcount > 0)
        finally:
            self._revocations += 1  # what a lookup under way has read is not kept
            self._cache.pop(key_id, None)

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
        given = self._hash(key.secret if key else "")
        is_right = hmac.compare_digest(given, known.secret_hash if known else bytes(len(given)))
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
        if masked is not None and not link.is_signed_with(self._masked(masked, link.key_id)):
            raise ApiKeyInvalid(_LINK_INVALID)
        principal = self._principal(known)
        if principal is None:
            raise ApiKeyInvalid(_LINK_INVALID)
        if masked is None:
            raise ApiKeyInvalid(_LINK_IMPOSSIBLE)
        if link.expires_s <= self._clock().timestamp():
            raise ApiKeyInvalid(_LINK_EXPIRED)
        return principal

    def _principal(self, known: _Known) -> Principal | None:
        """The caller behind a key that is good now, whoever has shown that it is his."""
        info = known.info
        if known.service != SERVICE or info.state(self._clock()) != "active":
            return None
        plan = self._plans(info.plan)
        if plan is None:
            # Removed from the settings. Refused, as any other plan might give what was never granted.
            _log.error("key_plan_missing", key_id=info.key_id, plan=info.plan)
            return None
        return Principal(info.key_id, info.name, plan, info.created_at, info.rules)

    def _check(self, plan_name: str, name: str | None, expires_at: datetime | None, rules: TargetRules) -> None:
        if self._plans(plan_name) is None:
            raise _invalid("plan", f"There is no plan {plan_name!r}.")
        if len(name or "") > NAME_MAX_CHARS:
            raise _invalid("name", f"A name has at most {NAME_MAX_CHARS} characters.")
        if expires_at is not None and expires_at <= self._clock():
            raise _invalid("expires_at", "The key would have expired already.")
        try:
            ParsedRules.parse(rules, spell=str)
        except ValueError as error:
            raise _invalid(str(error).partition(":")[0], str(error)) from error

    def _new(
        self, origin: str, plan_name: str, name: str | None, expires_at: datetime | None, rules: TargetRules
    ) -> tuple[NewKey, dict[str, Any]]:
        key = random_key()
        row = {
            "id": key.key_id,
            "secret_hash": self._hash(key.secret),
            "link_secret": self._masked(link_secret(key.secret), key.key_id),
            "service": SERVICE,
            "plan": plan_name,
            "name": name,
            **rules.model_dump(mode="json"),
            "origin": origin,
            "created_at": self._clock(),
            "expires_at": expires_at,
        }
        return NewKey(key.key_id, key.whole), row

    async def _look_up(self, key_id: str) -> _Known | None:
        now_s = self._monotonic_s()  # before the question: what changes after it is seen by the next
        known = self._cache.get(key_id)
        if known is not None and now_s - known.looked_up_s < _CACHE_TTL_S:
            return known
        revocations = self._revocations
        query = select(api_keys).where(api_keys.c.id == key_id)
        row = await self._database.read(
            lambda connection: connection.execute(query).mappings().one_or_none(), autocommit=True
        )
        self._cache.pop(key_id, None)
        if row is None:
            return None  # not kept: it may be made the next moment, and strangers would fill the cache
        known = _Known(_info(row), row["secret_hash"], row["link_secret"], row["service"], now_s)
        if revocations == self._revocations:
            self._cache[key_id] = known
        if len(self._cache) > _CACHE_MAX_KEYS:
            self._cache.popitem(last=False)
        return known

    def _hash(self, secret: str) -> bytes:
        return hmac.digest(self._pepper, secret.encode(), hashlib.sha256)

    def _masked(self, secret: bytes, key_id: str) -> bytes:
        """Mask a link secret, or unmask it. No other text that the pepper hashes has a colon; ids are used once."""
        pad = hmac.digest(self._pepper, f"link:{key_id}".encode(), hashlib.sha256)
        return bytes(one ^ other for one, other in zip(secret, pad, strict=True))


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, details=[{"field": field, "message": message}])


def _info(row: RowMapping) -> KeyInfo:
    return KeyInfo(
        key_id=row["id"],
        name=row["name"],
        plan=row["plan"],
        rules=TargetRules(allow=row["allow"], deny=row["deny"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
