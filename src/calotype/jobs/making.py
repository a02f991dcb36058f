"""Makes a job's picture: as a capture that somebody waits for, but for the credit, which the job has reserved."""

from __future__ import annotations

from typing import Protocol

from calotype.accounts.keys import Principal
from calotype.capture.result import CaptureResult
from calotype.delivery.desk import PictureMaker
from calotype.delivery.lanes import Lanes
from calotype.jobs.table import Claim
from calotype.request import parse_body


class Maker(Protocol):
    """Makes pictures for jobs; raises the errors of the table."""

    async def make(self, claim: Claim, owner: Principal) -> CaptureResult: ...


class JobMaker:
    """The real one."""

    def __init__(self, *, capturer: PictureMaker, lanes: Lanes) -> None:
        self._capturer = capturer
        self._lanes = lanes

    async def make(self, claim: Claim, owner: Principal) -> CaptureResult:
        """Make the picture. Cancelling it gives the page back.

        Raises:
            CalotypeError: one of the table.
        """
        parsed = parse_body(claim.body)
        async with self._lanes.lane(owner.key_id, owner.plan.max_concurrency):
            result = await self._capturer.capture(parsed.request, request_id=claim.job_id, rules=owner.rules)
        return result.with_warnings(parsed.warnings)
