"""Makes a job's picture: as a capture that somebody waits for, but for the credit, which the job has reserved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from calotype.accounts.keys import Principal
from calotype.capture.result import CaptureResult
from calotype.delivery.cached import ResultCache
from calotype.delivery.desk import PictureMaker
from calotype.delivery.lanes import Lanes
from calotype.delivery.names import Name, cache_name
from calotype.jobs.table import Claim
from calotype.request import parse_body


@dataclass(frozen=True, slots=True)
class Made:
    """A job's picture."""

    result: CaptureResult
    warnings: Sequence[dict[str, Any]] = ()
    """Of the job's own request."""
    kept_as: Name | None = None
    """Where later requests are to find it."""
    is_hit: bool = False
    """It is from there."""


class Maker(Protocol):
    """Makes pictures for jobs; raises the errors of the table."""

    async def make(self, claim: Claim, owner: Principal) -> Made: ...


class JobMaker:
    """The real one."""

    def __init__(self, *, capturer: PictureMaker, lanes: Lanes, cache: ResultCache) -> None:
        self._capturer = capturer
        self._lanes = lanes
        self._cache = cache

    async def make(self, claim: Claim, owner: Principal) -> Made:
        """Make the picture, or find it in the result cache. Cancelling this gives the page back.

        Raises:
            CalotypeError: one of the table.
            OSError: the storage does not answer.
        """
        parsed = parse_body(claim.body)
        request, name = parsed.request, cache_name(parsed.request)
        if name is not None and not request.cache.refresh:
            hit = await self._cache.find(owner.account_id, name, claim.job_id)
            if hit is not None:
                return Made(hit, parsed.warnings, is_hit=True)
        async with self._lanes.lane(owner.account_id, owner.plan.max_concurrency):
            result = await self._capturer.capture(request, request_id=claim.job_id, rules=owner.rules)
        return Made(result, parsed.warnings, None if result.meta.partial else name)
