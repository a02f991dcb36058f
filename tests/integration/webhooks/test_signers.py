"""Which keys' webhooks are signed, and with what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from calotype.errors import ApiKeyInvalid, InvalidRequest
from calotype.schema import api_keys
from calotype.settings import TargetRules
from calotype.webhooks.signature import verify
from tests.receiver import running_receiver

from .conftest import PUBLIC, Office


async def test_a_key_signs_with_what_its_user_can_derive(office: Office) -> None:
    rules = TargetRules(allow=("10.0.0.0/8",))
    good = await office.key(rules)
    expired = await office.key(expires_at=datetime.fromtimestamp(office.now_us / 1e6 + 1, UTC))
    office.advance(2)
    for key_id in (good, expired):
        signer = await office.keys.webhook_signer(key_id)
        assert signer.secrets == (office.secrets[key_id],)
        assert str(signer.secrets[0]) not in repr(signer)
    assert (await office.keys.webhook_signer(good)).rules == rules


async def test_revoked_and_unknown_keys_sign_nothing(office: Office) -> None:
    revoked = await office.key()
    await office.keys.webhook_signer(revoked)
    await office.keys.revoke(revoked)
    for key_id in (revoked, "nobody00"):
        with pytest.raises(ApiKeyInvalid):
            await office.keys.webhook_signer(key_id)


async def rotate(office: Office, key_id: str, grace_s: float = 0) -> str:
    rotation = await office.keys.rotate(key_id, grace=timedelta(seconds=grace_s))
    assert rotation is not None
    office.learn(rotation.new)
    return rotation.new.key_id


async def test_a_replaced_keys_messages_are_signed_with_its_and_its_successors_secrets(office: Office) -> None:
    first = await office.key()
    second = await rotate(office, first, grace_s=60)
    third = await rotate(office, second)
    keys = (first, second, third)
    for at, key_id in enumerate(keys):
        signer = await office.keys.webhook_signer(key_id)
        assert signer.secrets == tuple(office.secrets[each] for each in keys[at:])
    with running_receiver() as receiver:
        [delivery_id] = await office.post(first, f"http://{PUBLIC}:{receiver.port}/")
        async with office.courier():
            assert (await office.tried.get()).status == "delivered"
    [received] = receiver.received
    for key_id in keys:
        verified = verify(received.headers, received.body, office.secrets[key_id], now_s=office.now_us / 1e6)
        assert verified == delivery_id


async def test_when_the_last_successor_is_revoked_nothing_is_signed(office: Office) -> None:
    first = await office.key()
    second = await rotate(office, first)
    await office.keys.revoke(second)
    for key_id in (first, second):
        with pytest.raises(ApiKeyInvalid):
            await office.keys.webhook_signer(key_id)


async def test_keys_from_before_signing_say_so(office: Office) -> None:
    old = await office.key()
    forget = update(api_keys).where(api_keys.c.id == old).values(link_secret=None)
    await office.database.write(lambda connection: connection.execute(forget))
    with pytest.raises(InvalidRequest, match="make a new key") as refused:
        await office.keys.webhook_signer(old)
    assert [detail["field"] for detail in refused.value.details] == ["webhook"]
