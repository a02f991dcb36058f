"""A real database in a file, and a clock that tests turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from calotype.accounts.keys import KeyRing
from calotype.database import Database
from calotype.settings import Settings

PEPPER = b"pepper for tests"


@dataclass
class Clock:
    now: datetime = datetime(2030, 1, 1, tzinfo=UTC)
    monotonic_s: float = 1000.0

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)
        self.monotonic_s += timedelta(**span).total_seconds()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/calotype.db")
    await database.open()
    await database.migrate()
    yield database
    await database.close()


def ring(database: Database, clock: Clock) -> KeyRing:
    return KeyRing(database, pepper=PEPPER, plans=Settings().plan, clock=clock, monotonic_s=lambda: clock.monotonic_s)


@pytest.fixture
def keys(database: Database, clock: Clock) -> KeyRing:
    return ring(database, clock)
