"""A plan's limits as the ledger counts them, and where a key stands. Pure arithmetic, in whole microseconds.

The rate is a generic cell rate algorithm (ITU-T I.371): one number per key, the time at which the next request would
arrive if requests came as fast as they may. A request is admitted while that time is at most `tolerance_us` ahead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from calotype.settings import Plan

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a plan. None is no limit."""

    interval_us: int | None
    """Between requests at the plan's rate."""
    burst: int
    credits: int | None

    @property
    def tolerance_us(self) -> int:
        return (self.burst - 1) * (self.interval_us or 0)

    @classmethod
    def of(cls, plan: Plan) -> Limits:
        rate = plan.requests_per_second
        if rate is None:
            return cls(None, 1, plan.monthly_credits)
        return cls(round(_SECOND_US / rate), plan.burst or max(1, math.floor(rate)), plan.monthly_credits)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a key stands at a moment."""

    limits: Limits
    now_us: int
    arrival_us: int
    reserved: int
    settled: int
    resets_at: datetime

    @property
    def credits_remaining(self) -> int | None:
        """None: unlimited."""
        credits = self.limits.credits
        return None if credits is None else max(0, credits - self.reserved - self.settled)

    @property
    def requests_remaining(self) -> int | None:
        """How many would be admitted at once now. None: unlimited."""
        if self.limits.interval_us is None:
            return None
        room_us = self.limits.tolerance_us - max(0, self.arrival_us - self.now_us)
        return room_us // self.limits.interval_us + 1 if room_us >= 0 else 0

    @property
    def retry_after_s(self) -> float:
        """Until the next request is admitted, by the rate alone."""
        return max(0, self.arrival_us - self.now_us - self.limits.tolerance_us) / _SECOND_US

    @property
    def full_after_s(self) -> float:
        """Until the whole burst is there again."""
        return max(0, self.arrival_us - self.now_us) / _SECOND_US
