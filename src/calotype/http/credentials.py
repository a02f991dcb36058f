"""Which API key a request carries. It may stand in four places; two different ones are an error, not a choice."""

from __future__ import annotations

import hashlib
import hmac

from starlette.datastructures import Headers

from calotype.errors import Detail, InvalidRequest


def key_in_request(headers: Headers, elsewhere: object) -> str | None:
    """Return the key from `Authorization: Bearer`, `X-API-Key`, or `elsewhere` (body or query).

    Raises:
        InvalidRequest: there are two different ones, or `elsewhere` is no text.
    """
    if elsewhere is not None and not isinstance(elsewhere, str):
        raise _error("`api_key` must be a string.", "wrong_type")
    given = {key for key in (bearer_token(headers), headers.get("x-api-key", "").strip(), elsewhere) if key}
    if len(given) > 1:
        raise _error("The request carries two different API keys; send one.", "contradiction")
    return given.pop() if given else None


def bearer_token(headers: Headers) -> str | None:
    """What stands behind `Authorization: Bearer` (RFC 6750)."""
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def is_same_secret(given: str, right: str) -> bool:
    """Compare in a time that tells nothing, not even the length: hence digests."""
    return hmac.compare_digest(_digest(given), _digest(right))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _error(message: str, kind: str) -> InvalidRequest:
    detail: Detail = {"field": "api_key", "message": message, "type": kind}
    return InvalidRequest(message, details=[detail])
