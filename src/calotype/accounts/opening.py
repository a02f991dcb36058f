"""Opens the accounts: for the server, and for the commands that work on the database without one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from calotype.accounts.administration import Administration
from calotype.accounts.keys import KeyRing
from calotype.accounts.pepper import load_pepper
from calotype.database import Database
from calotype.settings import Settings


@asynccontextmanager
async def open_accounts(settings: Settings) -> AsyncGenerator[tuple[Database, KeyRing]]:
    """Open the database, brought up to date, and the keys in it.

    Raises:
        DatabaseUnusable, PepperUnusable, OSError, SQLAlchemyError: it can't be opened; nothing is left open.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(settings.database_url)
    await database.open()
    try:
        await database.migrate()
        yield database, KeyRing(database, pepper=load_pepper(settings), plans=settings.plan, clock=_now)
    finally:
        await database.close()


@asynccontextmanager
async def open_administration(settings: Settings) -> AsyncGenerator[Administration]:
    """Open what an operator does with keys. Raises as `open_accounts`."""
    async with open_accounts(settings) as (database, keys):
        yield administration(database, keys, settings)


def administration(database: Database, keys: KeyRing, settings: Settings) -> Administration:
    return Administration(database, keys, settings, clock=_now)


def _now() -> datetime:
    return datetime.now(UTC)
