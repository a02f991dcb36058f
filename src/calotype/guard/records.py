"""What a channel remembers of its capture for the server's own eyes: the last failure per target, what was refused.

Bounded: a page can ask for any number of things. None of it ever reaches the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from calotype.guard.policy import Decision
from calotype.guard.target import record_key

VerdictKind = Literal["blocked", "unresolvable", "unreachable", "limit"]

_MAX_VERDICTS = 512
_MAX_BLOCKED = 100
_KEY_MAX_CHARS = 256  # of a longer key its digest is kept
_KINDS: dict[str, VerdictKind] = {"unresolvable": "unresolvable", "too_many_names": "limit", "max_time": "limit"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a request came to nothing."""

    kind: VerdictKind
    reason: str
    """A `Decision.reason`; or `connect_failed`, `connection_lost`, `bad_response`, `max_bytes`, `max_connections`."""


@dataclass(frozen=True, slots=True)
class BlockedRequest:
    """A place that the page was kept from, as the page named it; no address beyond that."""

    host: str
    port: int
    reason: str


class Records:
    """One capture's records."""

    def __init__(self) -> None:
        self._verdicts: dict[str, Verdict] = {}
        self._blocked: dict[BlockedRequest, None] = {}

    def fail(self, key: str, verdict: Verdict) -> None:
        """Note the latest about a target."""
        key = _short(key)
        self._verdicts.pop(key, None)
        self._verdicts[key] = verdict
        if len(self._verdicts) > _MAX_VERDICTS:
            del self._verdicts[next(iter(self._verdicts))]

    def clear(self, key: str) -> None:
        """Note that it went well this time."""
        self._verdicts.pop(_short(key), None)

    def verdict_for(self, url: str) -> Verdict | None:
        try:
            return self._verdicts.get(_short(record_key(url)))
        except ValueError:
            return None

    def block(self, host: str, port: int, decision: Decision) -> None:
        """Note a refusal."""
        if len(self._blocked) < _MAX_BLOCKED:
            self._blocked[BlockedRequest(host, port, decision.reason)] = None

    @property
    def blocked(self) -> list[BlockedRequest]:
        return list(self._blocked)


def _short(key: str) -> str:
    return key if len(key) <= _KEY_MAX_CHARS else sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def verdict_of(decision: Decision) -> Verdict:
    """Return the verdict that a refusing decision amounts to."""
    return Verdict(_KINDS.get(decision.reason, "blocked"), decision.reason)
