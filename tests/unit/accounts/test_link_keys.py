"""Whose link it is: which keys sign, until when, and what a copy of the database is worth."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import select, update

from calotype.accounts.key_text import read_key
from calotype.accounts.keys import KeyRing
from calotype.database import Database
from calotype.errors import ApiKeyInvalid
from calotype.schema import api_keys
from calotype.settings import Settings, TargetRules
from calotype.signing import link_secret, sign

from .conftest import Clock, ring

QUERY = [("url", "https://example.com/?q=1"), ("format", "png")]


def signed(key_text: str, clock: Clock, *, lasts_s: int = 60) -> list[tuple[str, str]]:
    key = read_key(key_text)
    assert key is not None
    expires_s = int(clock.now.timestamp()) + lasts_s
    return parse_qsl(sign(QUERY, key_id=key.key_id, secret=link_secret(key.secret), expires_s=expires_s))


def files_in(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.iterdir())


async def refusal(keys: KeyRing, query: list[tuple[str, str]]) -> str:
    with pytest.raises(ApiKeyInvalid) as refused:
        await keys.authenticate_link(query)
    return refused.value.message


async def test_a_link_is_its_keys(keys: KeyRing, clock: Clock) -> None:
    new = await keys.create("free", name="Ada", rules=TargetRules(allow=("10.0.0.0/8",)))
    assert await keys.authenticate_link(signed(new.text, clock)) == await keys.authenticate(new.text)


async def test_a_link_holds_until_the_moment_it_expires(keys: KeyRing, clock: Clock) -> None:
    new = await keys.create("free")
    link = signed(new.text, clock, lasts_s=60)
    clock.advance(seconds=59.9)
    await keys.authenticate_link(link)
    clock.advance(seconds=0.1)
    assert "expired" in await refusal(keys, link)


async def test_every_link_that_is_not_good_gets_the_same_answer(
    keys: KeyRing, clock: Clock, database: Database
) -> None:
    good, other = await keys.create("free"), await keys.create("free")
    revoked, elsewhere = await keys.create("free"), await keys.create("free")
    expired = await keys.create("free", expires_at=clock.now + timedelta(seconds=1))
    await keys.revoke(revoked.key_id)
    of_it = update(api_keys).where(api_keys.c.id == elsewhere.key_id).values(service="scrape")
    await database.write(lambda connection: connection.execute(of_it))
    clock.advance(seconds=1)
    link = signed(good.text, clock)
    wrong = [signed(each.text, clock) for each in (revoked, elsewhere, expired)]
    wrong += [link[:at] + link[at + 1 :] for at in range(len(link))]
    wrong += [[*link, pair] for pair in (*link, ("width", "100"), ("signature", ""), ("expires", "9"))]
    wrong += [
        [(name, f"{value}0") if at == index else (name, value) for index, (name, value) in enumerate(link)]
        for at in range(len(link))
    ]
    wrong += [
        [(name, value if name != "key_id" else key_id) for name, value in link]
        for key_id in (other.key_id, "0" * 8, "", "\0" * 8, "ä" * 8, good.text)
    ]
    wrong += [
        [(name, value if name != "expires" else expires) for name, value in link]
        for expires in ("", "soon", "-1", "1e9", "٣", "9" * 13, "99999999999")
    ]
    wrong += [
        [(name, value if name != "signature" else signature) for name, value in link]
        for signature in ("", "A" * 43, "ä", good.text, f"{dict(link)['signature']}=")
    ]
    await keys.authenticate_link(link)
    messages = {await refusal(keys, each) for each in wrong}
    assert len(messages) == 1
    assert "has expired" not in messages.pop()


async def test_an_altered_link_does_not_say_that_it_has_expired(keys: KeyRing, clock: Clock) -> None:
    link = signed((await keys.create("free")).text, clock, lasts_s=-1)
    assert "has expired" in await refusal(keys, link)
    assert "has expired" not in await refusal(keys, [*link, ("width", "100")])


async def test_a_revocation_ends_links_at_once_here_and_within_five_seconds_elsewhere(
    keys: KeyRing, database: Database, clock: Clock
) -> None:
    elsewhere = ring(database, clock)
    new = await keys.create("free")
    link = signed(new.text, clock)
    await keys.authenticate_link(link)
    await elsewhere.authenticate_link(link)
    await keys.revoke(new.key_id)
    await refusal(keys, link)
    clock.advance(seconds=5)
    await refusal(elsewhere, link)


async def test_a_key_from_before_signed_links_works_and_says_why_it_can_not_sign(
    keys: KeyRing, database: Database, clock: Clock
) -> None:
    new = await keys.create("free")
    await database.write(lambda connection: connection.execute(update(api_keys).values(link_secret=None)))
    await keys.authenticate(new.text)
    assert "make a new key" in await refusal(keys, signed(new.text, clock))
    await keys.revoke(new.key_id)
    assert "make a new key" not in await refusal(keys, signed(new.text, clock))


async def test_a_copy_of_the_database_signs_nothing(
    keys: KeyRing, database: Database, clock: Clock, tmp_path: Path
) -> None:
    new = await keys.create("free")
    key = read_key(new.text)
    assert key is not None
    row = await database.read(lambda connection: connection.execute(select(api_keys)).mappings().one())
    content = files_in(tmp_path)
    assert row["link_secret"] in content
    assert link_secret(key.secret) not in content
    expires_s = int(clock.now.timestamp()) + 60
    for stolen in (row["link_secret"], row["secret_hash"]):
        forged = parse_qsl(sign(QUERY, key_id=new.key_id, secret=stolen, expires_s=expires_s))
        await refusal(keys, forged)
    other = KeyRing(database, pepper=b"another", plans=Settings().plan, clock=clock)
    await refusal(other, signed(new.text, clock))


async def test_no_two_keys_share_a_pad(keys: KeyRing, database: Database) -> None:
    made = [read_key((await keys.create("free")).text) for _ in range(5)]
    rows = await database.read(lambda connection: connection.execute(select(api_keys)).mappings().all())
    masked = {row["id"]: row["link_secret"] for row in rows}
    pads = {
        bytes(a ^ b for a, b in zip(masked[key.key_id], link_secret(key.secret), strict=True)) for key in made if key
    }
    assert len(pads) == 5
