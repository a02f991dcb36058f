"""Which keys' webhooks are signed, and with what."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from calotype.errors import ApiKeyInvalid, InvalidRequest
from calotype.schema import api_keys
from calotype.settings import TargetRules

from .conftest import Office


async def test_a_key_signs_with_what_its_user_can_derive(office: Office) -> None:
    rules = TargetRules(allow=("10.0.0.0/8",))
    good = await office.key(rules)
    expired = await office.key(expires_at=datetime.fromtimestamp(office.now_us / 1e6 + 1, UTC))
    office.advance(2)
    for key_id in (good, expired):
        signer = await office.keys.webhook_signer(key_id)
        assert signer.secret == office.secrets[key_id]
        assert str(signer.secret) not in repr(signer)
    assert (await office.keys.webhook_signer(good)).rules == rules


async def test_revoked_and_unknown_keys_sign_nothing(office: Office) -> None:
    revoked = await office.key()
    await office.keys.webhook_signer(revoked)
    await office.keys.revoke(revoked)
    for key_id in (revoked, "nobody00"):
        with pytest.raises(ApiKeyInvalid):
            await office.keys.webhook_signer(key_id)


async def test_keys_from_before_signing_say_so(office: Office) -> None:
    old = await office.key()
    forget = update(api_keys).where(api_keys.c.id == old).values(link_secret=None)
    await office.database.write(lambda connection: connection.execute(forget))
    with pytest.raises(InvalidRequest, match="make a new key") as refused:
        await office.keys.webhook_signer(old)
    assert [detail["field"] for detail in refused.value.details] == ["webhook"]
