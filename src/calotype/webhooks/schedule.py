"""When a message is tried again: with growing pauses over a day."""

from __future__ import annotations

from dataclasses import dataclass

_MINUTE_S, _HOUR_S = 60, 3600
PAUSES_S = (
    *(5, 30, 2 * _MINUTE_S, 10 * _MINUTE_S, 30 * _MINUTE_S),
    *(_HOUR_S, 2 * _HOUR_S, 4 * _HOUR_S, 8 * _HOUR_S, 8 * _HOUR_S),
)
"""After the first try, the second, and so on: 11 tries in 23.7 hours."""

WINDOW_S = 24 * _HOUR_S
"""Once so much time has passed since the message was made, a failed try is the last. Many messages to a receiver that
never answers wait for each other, and could go on for weeks."""

SPREAD = 0.1
"""Pauses are up to this part longer or shorter, so that what failed together does not come back together."""

RETRY_AFTER_MAX_S = _HOUR_S
_GONE = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try ended: an answer's status, or the word for why there is none."""

    status_code: int | None = None
    error: str | None = None
    """`timeout`, `unreachable`, `tls_failed`, `bad_answer`, `blocked_target`, `unresolvable_host`, `invalid_url`,
    `key_unusable`, `internal_error`. Tells no address and nothing of this server's network."""
    elapsed_ms: int = 0
    retry_after_s: float = 0.0
    is_final: bool = False
    """There is no sense in another try."""

    @property
    def is_success(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300


def pause_s(attempts: int, age_s: float, outcome: Outcome, spread: float) -> float | None:
    """Return how long to wait after a failed try, or None if it was the last.

    Args:
        attempts: tries so far, with this one.
        age_s: of the message.
        spread: between -1 and 1, random.
    """
    is_over = outcome.is_final or outcome.status_code == _GONE
    if is_over or attempts > len(PAUSES_S) or age_s >= WINDOW_S:
        return None
    planned_s = PAUSES_S[attempts - 1] * (1 + SPREAD * spread)
    return max(planned_s, min(outcome.retry_after_s, RETRY_AFTER_MAX_S))
