"""API keys: made, listed, revoked, and recognised.

A key reads `calo_<id>_<secret>`. The id finds the row; of the secret (256 random bits) only an HMAC-SHA256, keyed with
the pepper, is stored, so neither the database nor a copy of it gives a key away. A fast hash is right for a secret of
that size. Nothing here logs or returns a key but `create`, once.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from calotype.database import Database
from calotype.errors import ApiKeyInvalid, ApiKeyMissing
from calotype.schema import api_keys
from calotype.settings import Plan, Settings

_log = structlog.get_logger(__name__)

SERVICE = "screenshot"
_CACHE_TTL = timedelta(seconds=5)  # within which a revocation by another process takes effect
_CACHE_MAX_KEYS = 10_000
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID_CHARS = 8
_SECRET_CHARS = 43  # of 62 characters each: 256 bits
_KEY = re.compile(rf"calo_([0-9A-Za-z]{{{_ID_CHARS}}})_([0-9A-Za-z]{{{_SECRET_CHARS}}})")
_PEPPER_BYTES = 32
_HOW_TO_SEND = "Send it as `Authorization: Bearer KEY`, as `X-API-Key: KEY`, or as `api_key`."
_INVALID = "The API key is unknown, revoked or expired, or belongs to another service."


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind a key."""

    key_id: str
    name: str | None
    plan: Plan
    allow: tuple[str, ...]
    """Targets that this key may visit beside `guard.allow`."""


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
    allow: tuple[str, ...]
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
    service: str
    looked_up_at: datetime


class KeyRing:
    """The keys in the database."""

    def __init__(
        self,
        database: Database,
        *,
        pepper: bytes,
        plans: Callable[[str], Plan | None],
        clock: Callable[[], datetime],
    ) -> None:
        """
        Args:
            plans: the plan of a name, None if there is none.
            clock: the time, in UTC.
        """
        self._database = database
        self._pepper = pepper
        self._plans = plans
        self._clock = clock
        self._cache: OrderedDict[str, _Known] = OrderedDict()

    async def create(
        self,
        plan_name: str,
        *,
        name: str | None = None,
        expires_at: datetime | None = None,
        allow: tuple[str, ...] = (),
    ) -> NewKey:
        """Make a key and store its hash.

        Raises:
            ValueError: there is no such plan.
        """
        if self._plans(plan_name) is None:
            raise ValueError(f"there is no plan {plan_name!r}")
        async with self._database.transaction() as connection:
            return await self._insert(connection, plan_name, name, expires_at, allow)

    async def ensure_first(self, plan_name: str, name: str) -> NewKey | None:
        """Make a key if none was ever made; of several servers that start at once, one does."""
        async with self._database.transaction() as connection:
            if (await connection.execute(select(func.count()).select_from(api_keys))).scalar_one():
                return None
            return await self._insert(connection, plan_name, name, None, ())

    async def list(self) -> list[KeyInfo]:
        """Every key ever made, oldest first."""
        async with self._database.transaction() as connection:
            rows = (
                await connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
            ).mappings()
            return [_info(dict(row)) for row in rows]

    async def revoke(self, key_id: str) -> bool:
        """End a key: in this process at once, in others within 5 s. False if there is no such key."""
        self._cache.pop(key_id, None)
        statement = update(api_keys).where(api_keys.c.id == key_id)
        revoked_at = func.coalesce(api_keys.c.revoked_at, self._clock())
        async with self._database.transaction() as connection:
            return (await connection.execute(statement.values(revoked_at=revoked_at))).rowcount > 0

    async def authenticate(self, text: str | None) -> Principal:
        """Recognise a key.

        Raises:
            ApiKeyMissing: there is none.
            ApiKeyInvalid: it is not one of ours, or not any more. The message is always the same.
        """
        if not text:
            raise ApiKeyMissing(f"The request carries no API key. {_HOW_TO_SEND}")
        match = _KEY.fullmatch(text)
        known = await self._look_up(match[1]) if match else None
        given = self._hash(match[2] if match else "")
        is_right = hmac.compare_digest(given, known.secret_hash if known else bytes(len(given)))
        if known is None or not is_right or known.service != SERVICE or known.info.state(self._clock()) != "active":
            raise ApiKeyInvalid(_INVALID)
        plan = self._plans(known.info.plan)
        if plan is None:
            # Removed from the settings. Refused, as any other plan might give what was never granted.
            _log.error("key_plan_missing", key_id=known.info.key_id, plan=known.info.plan)
            raise ApiKeyInvalid(_INVALID)
        return Principal(known.info.key_id, known.info.name, plan, known.info.allow)

    async def _insert(
        self,
        connection: AsyncConnection,
        plan_name: str,
        name: str | None,
        expires_at: datetime | None,
        allow: tuple[str, ...],
    ) -> NewKey:
        key_id, secret = _random(_ID_CHARS), _random(_SECRET_CHARS)
        row = {
            "id": key_id,
            "secret_hash": self._hash(secret),
            "service": SERVICE,
            "plan": plan_name,
            "name": name,
            "allow": list(allow),
            "created_at": self._clock(),
            "expires_at": expires_at,
        }
        await connection.execute(insert(api_keys).values(row))
        return NewKey(key_id, f"calo_{key_id}_{secret}")

    async def _look_up(self, key_id: str) -> _Known | None:
        now = self._clock()
        known = self._cache.get(key_id)
        if known is not None and now - known.looked_up_at < _CACHE_TTL:
            return known
        async with self._database.transaction() as connection:
            row = (await connection.execute(select(api_keys).where(api_keys.c.id == key_id))).mappings().one_or_none()
        if row is None:
            self._cache.pop(key_id, None)
            return None
        known = _Known(_info(dict(row)), row["secret_hash"], row["service"], now)
        self._cache[key_id] = known
        if len(self._cache) > _CACHE_MAX_KEYS:
            self._cache.popitem(last=False)
        return known

    def _hash(self, secret: str) -> bytes:
        return hmac.digest(self._pepper, secret.encode(), hashlib.sha256)


def load_pepper(settings: Settings) -> bytes:
    """The secret that keys are hashed with: the setting, or the one in `<data_dir>/pepper`, made at first use.

    Raises:
        OSError: the file can't be made or read.
    """
    if settings.keys.pepper is not None:
        return settings.keys.pepper.get_secret_value().encode()
    path = settings.data_dir / "pepper"
    if not path.exists():
        _write_once(path, secrets.token_hex(_PEPPER_BYTES).encode())
    return path.read_bytes()


def _write_once(path: Path, content: bytes) -> None:
    """Create a file that is whole from the moment it exists; of several writers at once, the first wins."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.close(descriptor)
        draft.unlink()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _info(row: dict[str, Any]) -> KeyInfo:
    return KeyInfo(
        key_id=row["id"],
        name=row["name"],
        plan=row["plan"],
        allow=tuple(row["allow"]),
        created_at=_utc(row["created_at"]),
        expires_at=_utc(row["expires_at"]) if row["expires_at"] else None,
        revoked_at=_utc(row["revoked_at"]) if row["revoked_at"] else None,
    )


def _utc(moment: datetime) -> datetime:
    """SQLite forgets the zone of a time; all of ours are UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
