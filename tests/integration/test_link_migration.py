"""Signed links come to a database that has keys already: they go on working, and can't sign."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from calotype.accounts.key_text import read_key
from calotype.accounts.keys import KeyRing, NewKey
from calotype.database import Database
from calotype.errors import ApiKeyInvalid
from calotype.settings import Settings
from calotype.signing import link_secret, sign

_NOW = datetime(2030, 1, 1, tzinfo=UTC)


def to_the_revision_before(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "calotype:migrations")
    config.attributes["connection"] = connection
    command.downgrade(config, "0003")


def ring(database: Database) -> KeyRing:
    return KeyRing(database, pepper=b"pepper", plans=Settings().plan, clock=lambda: _NOW)


def link(new: NewKey) -> list[tuple[str, str]]:
    key = read_key(new.text)
    assert key is not None
    expires_s = int(_NOW.timestamp()) + 60
    return parse_qsl(sign([("url", "x.com")], key_id=key.key_id, secret=link_secret(key.secret), expires_s=expires_s))


async def test_keys_from_before_work_and_new_ones_sign(database: Database) -> None:
    old = await ring(database).create("free")
    await database.write(to_the_revision_before)
    await database.upgrade()
    keys = ring(database)
    assert (await keys.authenticate(old.text)).key_id == old.key_id
    with pytest.raises(ApiKeyInvalid, match="make a new key"):
        await keys.authenticate_link(link(old))
    new = await keys.create("free")
    assert (await keys.authenticate_link(link(new))).key_id == new.key_id
