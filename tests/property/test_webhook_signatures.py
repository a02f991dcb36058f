"""A signed message verifies, and with any byte of it altered it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.webhooks.signature import SignatureInvalid, signed_headers, verify

_ids = st.from_regex(r"msg_[0-9a-f]{1,36}", fullmatch=True)
_times = st.integers(10**9, 10**11)
_secrets = st.binary(min_size=24, max_size=64)
_changes = st.integers(1, 255)
_places = st.integers(0, 10**6)


@given(message_id=_ids, at_s=_times, body=st.binary(max_size=300), secret=_secrets)
def test_what_was_signed_verifies(message_id: str, at_s: int, body: bytes, secret: bytes) -> None:
    assert verify(signed_headers(message_id, at_s, body, secret), body, secret, now_s=at_s) == message_id


@given(at_s=_times, body=st.binary(min_size=1, max_size=300), secret=_secrets, place=_places, change=_changes)
def test_an_altered_body_does_not(at_s: int, body: bytes, secret: bytes, place: int, change: int) -> None:
    at = place % len(body)
    altered = body[:at] + bytes([body[at] ^ change]) + body[at + 1 :]
    with pytest.raises(SignatureInvalid):
        verify(signed_headers("msg_1", at_s, body, secret), altered, secret, now_s=at_s)


@given(at_s=_times, body=st.binary(max_size=50), secret=_secrets, place=_places, change=st.integers(1, 127))
def test_an_altered_header_does_not(at_s: int, body: bytes, secret: bytes, place: int, change: int) -> None:
    headers = signed_headers("msg_1", at_s, body, secret)
    name = list(headers)[place % len(headers)]
    at = (place // len(headers)) % len(headers[name])
    text = headers[name]
    altered = text[:at] + chr(ord(text[at]) ^ change) + text[at + 1 :]
    with pytest.raises(SignatureInvalid):
        verify({**headers, name: altered}, body, secret, now_s=at_s)


@given(at_s=_times, body=st.binary(max_size=50), secret=_secrets, place=_places, change=_changes)
def test_another_secret_does_not(at_s: int, body: bytes, secret: bytes, place: int, change: int) -> None:
    at = place % len(secret)
    other = secret[:at] + bytes([secret[at] ^ change]) + secret[at + 1 :]
    with pytest.raises(SignatureInvalid):
        verify(signed_headers("msg_1", at_s, body, secret), body, other, now_s=at_s)


@given(at_s=_times, body=st.binary(min_size=1, max_size=50), secret=_secrets, cut=_places)
def test_what_is_cut_or_longer_does_not(at_s: int, body: bytes, secret: bytes, cut: int) -> None:
    headers = signed_headers("msg_1", at_s, body, secret)
    for other in (body[: cut % len(body)], body + b"\0"):
        with pytest.raises(SignatureInvalid):
            verify(headers, other, secret, now_s=at_s)
