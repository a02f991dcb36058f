"""Where a caller stands, as headers of every answer to a key.

`RateLimit` and `RateLimit-Policy` are of draft-ietf-httpapi-ratelimit-headers (version 8 and later): a policy by name
with quota `q` and window `w` in seconds; what remains of it, `r`, and in how many seconds it is whole again, `t`. A
plan without a limit has the largest number that a structured field can hold (RFC 9651, section 3.3.1), and no window.
"""

from __future__ import annotations

import math

from calotype.accounts.limits import Standing

_NO_LIMIT = 999_999_999_999_999


def standing_headers(standing: Standing) -> dict[str, str]:
    """Return the three headers of the contract, section 5."""
    remaining = standing.credits_remaining
    return {
        **_rate_headers(standing),
        "X-Credits-Remaining": "unlimited" if remaining is None else str(remaining),
    }


def _rate_headers(standing: Standing) -> dict[str, str]:
    limits, requests = standing.limits, standing.requests_remaining
    if limits.interval_us is None or requests is None:
        return {"RateLimit-Policy": f'"requests";q={_NO_LIMIT}', "RateLimit": f'"requests";r={_NO_LIMIT}'}
    window_s = max(1, math.ceil(limits.burst * limits.interval_us / 1_000_000))
    return {
        "RateLimit-Policy": f'"requests";q={limits.burst};w={window_s}',
        "RateLimit": f'"requests";r={requests};t={math.ceil(standing.full_after_s)}',
    }
