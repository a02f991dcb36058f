"""Signatures of webhooks, as Standard Webhooks 1.0.0 has them (https://www.standardwebhooks.com/): symmetric, `v1`.

Pure; also what a receiver needs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Mapping

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE_S = 300
_PREFIX = "whsec_"
_VERSION = "v1"
_SECONDS = re.compile(r"[0-9]{1,12}")


class SignatureInvalid(ValueError):
    """The message is not from the holder of the secret, was altered, or is too old."""


def secret_text(secret: bytes) -> str:
    """Write a secret as its users see it: `whsec_` and base64."""
    return f"{_PREFIX}{base64.b64encode(secret).decode()}"


def read_secret(text: str) -> bytes:
    """Read what `secret_text` has written.

    Raises:
        ValueError: it is no such text.
    """
    try:
        secret = base64.b64decode(text.strip().removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a webhook secret is whsec_ and base64") from None
    if not secret:
        raise ValueError("the webhook secret is empty")
    return secret


def sign(message_id: str, timestamp_s: int, body: bytes, secret: bytes) -> str:
    """Return the signature of a message as it stands in the header."""
    content = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    digest = hmac.digest(secret, content, hashlib.sha256)
    return f"{_VERSION},{base64.b64encode(digest).decode()}"


def signed_headers(message_id: str, timestamp_s: int, body: bytes, *secrets: bytes) -> dict[str, str]:
    """Return the headers of a message, signed with each of the secrets: while one takes another's place."""
    signatures = " ".join(sign(message_id, timestamp_s, body, secret) for secret in secrets)
    return {ID: message_id, TIMESTAMP: str(timestamp_s), SIGNATURE: signatures}


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secret: bytes,
    *,
    now_s: float | None = None,
    tolerance_s: float = TOLERANCE_S,
) -> str:
    """Return the id of a message that is what the holder of the secret has sent, lately.

    Args:
        headers: names in any case.
        body: the bytes as they came, not JSON written again.
        now_s: seconds since 1970; None: now.

    Raises:
        SignatureInvalid
    """
    given = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp, signatures = (given.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    if not message_id or not _SECONDS.fullmatch(timestamp):
        raise SignatureInvalid("a header of the signature is missing or malformed")
    expected = sign(message_id, int(timestamp), body, secret).encode()
    # Several at once while a secret is changed; those of other versions are not ours to judge.
    if not any(hmac.compare_digest(expected, each.encode()) for each in signatures.split(" ")):
        raise SignatureInvalid("no signature of the message is right")
    if abs((time.time() if now_s is None else now_s) - int(timestamp)) > tolerance_s:
        raise SignatureInvalid("the message is too old, or from the future")
    return message_id
