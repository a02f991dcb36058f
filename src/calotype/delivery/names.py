"""The names under which answers are given again, and the fingerprint that tells two requests apart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from calotype.request import CaptureRequest

IDEMPOTENCY_TTL_S = 86_400
"""Contract, section 4."""

# What changes neither the picture nor what is said of it.
_WITHOUT_EFFECT = ("cache",)
_RENDER_WITHOUT_EFFECT = ("timeout_ms", "on_timeout")


@dataclass(frozen=True, slots=True)
class Name:
    """A place for an answer, in one key's own space."""

    kind: Literal["idempotency", "cache"]
    text: str
    fingerprint: bytes
    ttl_s: int


def names_of(request: CaptureRequest, idempotency_key: str | None) -> list[Name]:
    """Return the places for the answer to a request, the one asked first first."""
    names: list[Name] = []
    if idempotency_key is not None:
        names.append(idempotency_name(idempotency_key, request.model_dump(mode="json")))
    if (cached := cache_name(request)) is not None:
        names.append(cached)
    return names


def cache_name(request: CaptureRequest) -> Name | None:
    """Return the place in the result cache, of a request that wants it."""
    if not request.cache.ttl_s:
        return None
    picture = picture_digest(request)
    return Name("cache", f"c-{picture.hex()}", picture, request.cache.ttl_s)


def idempotency_name(idempotency_key: str, request: Any) -> Name:
    """Return the place for the answer to a request (JSON) that came with this Idempotency-Key."""
    text = f"i-{hashlib.sha256(idempotency_key.encode()).hexdigest()}"
    return Name("idempotency", text, _digest(request), IDEMPOTENCY_TTL_S)


def picture_digest(request: CaptureRequest) -> bytes:
    """Return the same for all requests that ask for the same picture, and `cache.key`."""
    fields = request.model_dump(mode="json", exclude=set(_WITHOUT_EFFECT))
    fields["render"] = {name: value for name, value in fields["render"].items() if name not in _RENDER_WITHOUT_EFFECT}
    return _digest({**fields, "quality": request.effective_quality, "cache_key": request.cache.key})


def _digest(fields: Any) -> bytes:
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).digest()
