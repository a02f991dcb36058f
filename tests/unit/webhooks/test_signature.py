"""Signatures are those of the specification, and of its official library."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from calotype.webhooks.signature import SignatureInvalid, read_secret, secret_text, sign, signed_headers, verify

SECRET = bytes(range(32))
BODY = '{"type":"job.done","data":{"title":"caffè"}}'.encode()
NOW_S = 1_900_000_000


def test_the_vector_that_the_specifications_libraries_test() -> None:
    """From `libraries/` of the specification's repository, where each language's tests have it."""
    secret = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, secret) == signature


def test_the_official_library_takes_ours_and_we_take_its() -> None:
    now_s = int(datetime.now(UTC).timestamp())
    theirs = Webhook(secret_text(SECRET))
    headers = signed_headers("msg_1", now_s, BODY, SECRET)
    assert theirs.verify(BODY, headers)["data"] == {"title": "caffè"}
    with pytest.raises(WebhookVerificationError):
        theirs.verify(BODY + b" ", headers)
    by_them = theirs.sign("msg_1", datetime.fromtimestamp(now_s, UTC), BODY.decode())
    assert verify({**headers, "webhook-signature": by_them}, BODY, SECRET) == "msg_1"


def test_secrets_are_written_and_read() -> None:
    assert secret_text(SECRET).startswith("whsec_")
    assert read_secret(f" {secret_text(SECRET)}\n") == SECRET
    for wrong in ("whsec_", "whsec_!!!!", "whsec_A"):
        with pytest.raises(ValueError, match="secret"):
            read_secret(wrong)


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_every_header_is_needed(header: str) -> None:
    headers = signed_headers("msg_1", NOW_S, BODY, SECRET)
    del headers[header]
    with pytest.raises(SignatureInvalid):
        verify(headers, BODY, SECRET, now_s=NOW_S)


@pytest.mark.parametrize("late_s", [-300, 0, 300])
def test_within_five_minutes_it_holds(late_s: int) -> None:
    headers = signed_headers("msg_1", NOW_S, BODY, SECRET)
    assert verify(headers, BODY, SECRET, now_s=NOW_S + late_s) == "msg_1"


@pytest.mark.parametrize("late_s", [-301, 301])
def test_later_or_earlier_it_is_refused(late_s: int) -> None:
    with pytest.raises(SignatureInvalid, match="old"):
        verify(signed_headers("msg_1", NOW_S, BODY, SECRET), BODY, SECRET, now_s=NOW_S + late_s)


def test_messages_may_be_signed_with_several_secrets() -> None:
    headers = signed_headers("msg_1", NOW_S, BODY, SECRET, b"another secret")
    for secret in (SECRET, b"another secret"):
        assert verify(headers, BODY, secret, now_s=NOW_S) == "msg_1"
    with pytest.raises(SignatureInvalid):
        verify(headers, BODY, b"a third one", now_s=NOW_S)


def test_one_of_several_signatures_is_enough_and_names_have_any_case() -> None:
    right = sign("msg_1", NOW_S, BODY, SECRET)
    other = sign("msg_1", NOW_S, BODY, b"another secret")
    headers = {
        "Webhook-Id": "msg_1",
        "WEBHOOK-TIMESTAMP": str(NOW_S),
        "webhook-signature": f"v1a,AAAA {other} {right}",
    }
    assert verify(headers, BODY, SECRET, now_s=NOW_S) == "msg_1"
    with pytest.raises(SignatureInvalid):
        verify({**headers, "webhook-signature": f"v1a,AAAA {other}"}, BODY, SECRET, now_s=NOW_S)


@pytest.mark.parametrize("signature", ["", "v1", "v1,", ",", " ", "v1,é", "v2,{}", "V1,{}"])
def test_what_is_no_signature_is_refused(signature: str) -> None:
    headers = signed_headers("msg_1", NOW_S, BODY, SECRET)
    broken = signature.replace("{}", headers["webhook-signature"].partition(",")[2])
    with pytest.raises(SignatureInvalid):
        verify({**headers, "webhook-signature": broken}, BODY, SECRET, now_s=NOW_S)
