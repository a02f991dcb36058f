"""A courier on a real database, a clock that tests turn, and an internet whose addresses are on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import count
from typing import Any

import httpcore
import pytest
from sqlalchemy import Connection, select

from calotype.accounts.key_info import NewKey
from calotype.accounts.key_text import read_key
from calotype.accounts.keys import KeyRing
from calotype.database import Database
from calotype.guard.address import IPAddress
from calotype.guard.policy import EgressPolicy
from calotype.schema import webhook_deliveries
from calotype.settings import GuardSettings, Settings, TargetRules
from calotype.signing import link_secret, webhook_secret
from calotype.webhooks import table
from calotype.webhooks.courier import LANES, Courier
from calotype.webhooks.schedule import Outcome
from calotype.webhooks.sender import Sender, connect_address
from calotype.webhooks.table import Claimed, DeliveryInfo, Message
from tests.unit.guard.fakes import FakeResolver

BODY = '{"type":"job.done","data":{"title":"caff\\u00e8"}}'
PUBLIC = "93.184.216.34"


@dataclass
class FakeInternet:
    """Every public address is a server on loopback, at the same port. `dialled` is what was asked for."""

    dialled: list[tuple[str, int]] = field(default_factory=list)
    ports: dict[int, int] = field(default_factory=dict)
    """Where another port of loopback stands for one."""

    async def connect(self, address: IPAddress, port: int) -> httpcore.AsyncNetworkStream:
        self.dialled.append((str(address), port))
        return await connect_address(ip_address("127.0.0.1"), self.ports.get(port, port))


@dataclass
class Tried:
    claimed: Claimed
    outcome: Outcome
    status: str | None


@dataclass
class Office:
    """The deliveries of a database. Names resolve as `resolver` says; all public addresses are loopback."""

    database: Database
    now_us: int = 1_900_000_000_000_000
    resolver: FakeResolver = field(default_factory=FakeResolver)
    internet: FakeInternet = field(default_factory=FakeInternet)
    guard: GuardSettings = field(default_factory=GuardSettings)
    tls: ssl.SSLContext | None = None
    tried: asyncio.Queue[Tried] = field(default_factory=asyncio.Queue)
    secrets: dict[str, bytes] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        clock = lambda: datetime.fromtimestamp(self.now_us / 1_000_000, UTC)  # noqa: E731
        self.keys = KeyRing(self.database, pepper=b"pepper", plans=Settings().plan, clock=clock)

    def clock(self, _: Connection) -> int:
        return self.now_us

    def advance(self, seconds: float) -> None:
        self.now_us += round(seconds * 1_000_000)

    async def key(self, rules: TargetRules | None = None, expires_at: datetime | None = None) -> str:
        """Make a key; return its id."""
        new = await self.keys.create("free", rules=rules or TargetRules(), expires_at=expires_at)
        self.learn(new)
        return new.key_id

    def learn(self, new: NewKey) -> None:
        """Derive the new key's secret as its user does."""
        text = read_key(new.text)
        assert text is not None
        self.secrets[new.key_id] = webhook_secret(link_secret(text.secret))

    async def post(self, key_id: str, *urls: str, body: str = BODY) -> list[str]:
        messages = [Message(f"job-{next(self._numbers)}", key_id, url, body) for url in urls]
        return await self.database.write(lambda connection: table.post(connection, messages, now_us=self.clock))

    async def info(self, delivery_id: str) -> DeliveryInfo:
        rows = webhook_deliveries.c
        query = select(rows.job_id).where(rows.id == delivery_id)
        job_id = await self.database.read(lambda connection: connection.execute(query).scalar_one())
        infos = await self.database.read(lambda connection: table.of_job(connection, job_id))
        return next(info for info in infos if info.id == delivery_id)

    def make(
        self, database: Database | CountingDatabase | None = None, *, timeout_s: float = 15.0, **options: Any
    ) -> Courier:
        policy = EgressPolicy(self.guard, resolver=self.resolver)
        return Courier(
            database or self.database,
            Sender(policy, connect=self.internet.connect, tls=self.tls, timeout_s=timeout_s),
            self.keys.webhook_signer,
            **{
                "now_us": self.clock,
                "spread": lambda: 0.0,
                "on_tried": lambda *tried: self.tried.put_nowait(Tried(*tried)),
                "lanes": LANES,
                **options,
            },
        )

    @asynccontextmanager
    async def courier(self, **options: Any) -> AsyncIterator[Courier]:
        """Running, and stopped at the end, with no patience for what is under way."""
        courier = self.make(**options)
        courier.start()
        try:
            yield courier
        finally:
            await courier.stop(grace_s=0)


class CountingDatabase:
    """The database, and how often it was written to; `written` is set at the number that tests wait for."""

    def __init__(self, database: Database, *, expected: int) -> None:
        self.writes = 0
        self.written = asyncio.Event()
        self._database = database
        self._expected = expected

    async def write(self, work: Callable[[Connection], Any]) -> Any:
        try:
            return await self._database.write(work)
        finally:
            self.writes += 1
            if self.writes == self._expected:
                self.written.set()


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


@pytest.fixture
def make_office(database: Database) -> Callable[..., Office]:
    return lambda **options: Office(database, **options)
