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
        whole = _digest(request.model_dump(mode="json"))
        text = f"i-{hashlib.sha256(idempotency_key.encode()).hexdigest()}"
        names.append(Name("idempotency", text, whole, IDEMPOTENCY_TTL_S))
    if request.cache.ttl_s:
        picture = picture_digest(request)
        names.append(Name("cache", f"c-{picture.hex()}", picture, request.cache.ttl_s))
    return names


def picture_digest(request: CaptureRequest) -> bytes:
    """Return the same for all requests that ask for the same picture, and `cache.key`."""
    fields = request.model_dump(mode="json", exclude=set(_WITHOUT_EFFECT))
    fields["render"] = {name: value for name, value in fields["render"].items() if name not in _RENDER_WITHOUT_EFFECT}
    return _digest({**fields, "quality": request.effective_quality, "cache_key": request.cache.key})


def _digest(fields: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).digest()
