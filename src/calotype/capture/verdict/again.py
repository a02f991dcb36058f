"""`retry_on_verdict`: one more picture after a longer wait where that may mend it, and the better of the two."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from calotype.browser.cdp import CdpError, ConnectionLost
from calotype.capture.deadline import DeadlineReached
from calotype.capture.result import Flaw, FlawKind, Retry
from calotype.errors import CalotypeError

T = TypeVar("T")

LONGER_S = 10.0
"""The longest wait for the second picture."""
_REST_S = 3.0  # nothing tells when a blank page will have something to show
_RESTING: tuple[FlawKind, ...] = ("blank", "challenge")
_MENDABLE: tuple[FlawKind, ...] = (*_RESTING, "pending_images")
# From what leaves nothing to be seen to what is a blemish.
_WEIGHT: dict[FlawKind, int] = {
    "blank": 64,
    "challenge": 32,
    "http_error": 24,
    "login_wall": 16,
    "pending_images": 4,
    "consent_banner": 2,
    "missing_glyphs": 1,
}


async def again(
    first: T, take: Callable[[float], Awaitable[T]], judged: Callable[[T], Awaitable[list[Flaw]]]
) -> tuple[T, Retry | None]:
    """Return the better of the first picture and, if that is worth a try, a second one, which has had more time.

    Args:
        take: the second picture after a rest of so many seconds, and settling again. If it raises, the first is kept.
        judged: what is wrong with one.
    """
    flaws = await judged(first)
    because: list[FlawKind] = [flaw.kind for flaw in flaws if flaw.kind in _MENDABLE]
    if not because:
        return first, None
    try:
        second = await take(_REST_S if any(kind in _RESTING for kind in because) else 0.0)
        if _badness(await judged(second)) <= _badness(flaws):
            return second, Retry(because=because, kept="second")
    except (DeadlineReached, CalotypeError, CdpError, ConnectionLost):
        pass  # a picture is better than none
    return first, Retry(because=because, kept="first")


def _badness(flaws: list[Flaw]) -> int:
    return sum(_WEIGHT[flaw.kind] for flaw in flaws)
