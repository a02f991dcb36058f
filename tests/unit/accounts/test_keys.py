"""API keys over a real SQLite file."""

from __future__ import annotations

import asyncio
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from calotype.accounts.keys import KeyRing
from calotype.accounts.pepper import load_pepper
from calotype.database import Database
from calotype.errors import ApiKeyInvalid, ApiKeyMissing, InvalidRequest
from calotype.schema import api_keys
from calotype.settings import KeySettings, Settings, TargetRules

from .conftest import PEPPER, Clock, ring


def files_in(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.iterdir())


async def test_a_key_is_recognised_with_its_plan_and_allow_list(keys: KeyRing) -> None:
    new = await keys.create("free", name="Ada", rules=TargetRules(allow=("10.0.0.0/8",)))
    principal = await keys.authenticate(new.text)
    assert (principal.key_id, principal.name, principal.plan.name) == (new.key_id, "Ada", "free")
    assert principal.rules.allow == ("10.0.0.0/8",)
    assert new.text.startswith(f"calo_{new.key_id}_")


async def test_keys_differ(keys: KeyRing) -> None:
    assert len({(await keys.create("free")).text for _ in range(20)}) == 20


@pytest.mark.parametrize("text", [None, ""])
async def test_no_key_says_how_to_send_one(keys: KeyRing, text: str | None) -> None:
    with pytest.raises(ApiKeyMissing, match="Authorization: Bearer"):
        await keys.authenticate(text)


async def test_every_wrong_key_gets_the_same_answer(keys: KeyRing, clock: Clock, database: Database) -> None:
    expired = await keys.create("free", expires_at=clock.now + timedelta(days=1))
    revoked, elsewhere, good = await keys.create("free"), await keys.create("free"), await keys.create("free")
    await keys.revoke(revoked.key_id)
    of_it = update(api_keys).where(api_keys.c.id == elsewhere.key_id).values(service="scrape")
    await database.write(lambda connection: connection.execute(of_it))
    clock.advance(days=1)
    wrong = [expired.text, revoked.text, elsewhere.text, good.text[:-1] + "_", good.text[:-1], "x", "calo_", "ä" * 57]
    wrong.append(good.text.replace(good.key_id, "0" * 8))
    wrong.append(f"calo_{good.key_id}_{revoked.text.rsplit('_', 1)[1]}")
    messages = set()
    for text in wrong:
        with pytest.raises(ApiKeyInvalid) as refused:
            await keys.authenticate(text)
        messages.add(refused.value.message)
    assert len(messages) == 1


async def test_a_key_works_until_the_moment_it_expires(keys: KeyRing, clock: Clock) -> None:
    new = await keys.create("free", expires_at=clock.now + timedelta(seconds=10))
    clock.advance(seconds=9.9)
    await keys.authenticate(new.text)
    clock.advance(seconds=0.1)
    with pytest.raises(ApiKeyInvalid):
        await keys.authenticate(new.text)


async def test_a_revocation_takes_effect_here_at_once_and_elsewhere_within_five_seconds(
    keys: KeyRing, database: Database, clock: Clock
) -> None:
    elsewhere = ring(database, clock)
    new = await keys.create("free")
    await keys.authenticate(new.text)
    await elsewhere.authenticate(new.text)
    assert await keys.revoke(new.key_id)
    with pytest.raises(ApiKeyInvalid):
        await keys.authenticate(new.text)
    clock.advance(seconds=5)
    with pytest.raises(ApiKeyInvalid):
        await elsewhere.authenticate(new.text)


async def test_revoking_keeps_the_first_time_and_knows_unknown_keys(keys: KeyRing, clock: Clock) -> None:
    new = await keys.create("free")
    revoked_at = clock.now
    assert await keys.revoke(new.key_id)
    clock.advance(days=1)
    assert await keys.revoke(new.key_id)
    [info] = await keys.list()
    assert (info.revoked_at, info.state(clock.now)) == (revoked_at, "revoked")
    assert not await keys.revoke("nothing")


async def test_a_plan_removed_from_the_settings_closes_its_keys(database: Database, clock: Clock) -> None:
    plans = {"gone": Settings().plan("free")}
    keys = KeyRing(database, pepper=PEPPER, plans=plans.get, clock=clock)
    new = await keys.create("gone")
    plans.clear()
    with pytest.raises(ApiKeyInvalid):
        await keys.authenticate(new.text)


async def test_an_unknown_plan_is_refused(keys: KeyRing) -> None:
    with pytest.raises(InvalidRequest, match="gold"):
        await keys.create("gold")


async def test_the_first_key_is_made_once_by_however_many_servers(tmp_path: Path, clock: Clock) -> None:
    databases = [Database(f"sqlite:///{tmp_path}/shared.db") for _ in range(4)]
    for database in databases:
        await database.open()
    await asyncio.gather(*(database.migrate() for database in databases))
    rings = [ring(database, clock) for database in databases]
    made = await asyncio.gather(*(each.ensure_first("unlimited", "first start") for each in rings))
    assert sum(key is not None for key in made) == 1
    assert len(await rings[0].list()) == 1
    for database in databases:
        await database.close()


async def test_the_key_is_nowhere_in_the_files_of_the_database(keys: KeyRing, tmp_path: Path) -> None:
    new = await keys.create("free", name="findable")
    secret = new.text.rsplit("_", 1)[1].encode()
    content = files_in(tmp_path)
    assert b"findable" in content
    assert secret not in content
    assert new.text not in repr(new)


async def test_another_pepper_knows_no_key(keys: KeyRing, database: Database, clock: Clock) -> None:
    new = await keys.create("free")
    other = KeyRing(database, pepper=b"another", plans=Settings().plan, clock=clock)
    with pytest.raises(ApiKeyInvalid):
        await other.authenticate(new.text)


def test_the_pepper_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert load_pepper(settings) == load_pepper(settings)
    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes()) == 64


def test_a_pepper_in_the_settings_leaves_no_file(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, keys=KeySettings(pepper=SecretStr("given")))
    assert load_pepper(settings) == b"given"
    assert not list(tmp_path.iterdir())
