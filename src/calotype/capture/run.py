"""One capture from request to picture.

The page is leased for as long as it is needed and no longer: resizing and encoding come after it was given back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Protocol

from calotype.browser.cdp import CdpError, ConnectionLost
from calotype.browser.pool import BrowserPool
from calotype.capture.elements import in_fit
from calotype.capture.encode import CONTENT_TYPES, fit_of, needs_encoding
from calotype.capture.encoders import Encoders
from calotype.capture.result import CaptureMeta, CaptureResult, Flaw, PageMetadata
from calotype.capture.shoot import Shot
from calotype.capture.steps import PULSE_S, SHOT_GRACE_S, Facts, OnStage, Steps, Stopwatch, looks_blank
from calotype.capture.verdict import Evidence, again, flaws_of, verdict_of
from calotype.errors import CaptureTimeout, InternalError, PageCrashed
from calotype.guard.policy import NO_RULES
from calotype.request import CaptureRequest
from calotype.settings import BrowserSettings, TargetRules


class Precheck(Protocol):
    """The guard's early look at a URL; `guard.policy.EgressPolicy` is the real one."""

    def precheck(self, url: str, rules: TargetRules = ...) -> None: ...


class Capturer:
    """Makes pictures with the pool's pages; `close()` it before them."""

    def __init__(self, *, pool: BrowserPool, policy: Precheck, settings: BrowserSettings) -> None:
        self._pool = pool
        self._policy = policy
        self._settings = settings
        self._encoders = Encoders(max_pixels=settings.max_pixels)

    def close(self) -> None:
        """End its threads."""
        self._encoders.close()

    async def capture(
        self,
        request: CaptureRequest,
        *,
        request_id: str,
        rules: TargetRules = NO_RULES,
        warnings: Iterable[dict[str, Any]] = (),
        on_stage: OnStage = lambda stage, elapsed_s: None,
    ) -> CaptureResult:
        """Make the picture. Cancelling it gives the page back.

        Args:
            rules: where this caller may go, and may not, beside the server's own.
            warnings: entries for `meta.warnings` that are known already.

        Raises:
            CalotypeError: one of the table, always.
        """
        started = time.perf_counter()
        retry = None
        if request.url is not None:
            self._policy.precheck(request.url, rules)
        async with self._pool.lease() as lease:
            lease.page.channel.request_id = request_id
            watch = Stopwatch(on_stage)
            watch.timings.queue_ms = lease.queue_ms
            on_stage("queue", lease.queue_ms / 1000)
            try:
                # Every wait is bounded by itself; this is for one that was forgotten: it must not cost a page for ever.
                async with asyncio.timeout(request.render.timeout_ms / 1000 + SHOT_GRACE_S + 2 * PULSE_S):
                    steps = Steps(lease.page, request, watch, self._settings)
                    taken = await steps.run(rules)
                    if request.retry_on_verdict:
                        taken, retry = await again(taken, steps.run_longer, self._flaws)
            except TimeoutError as error:
                raise CaptureTimeout("The page is too busy to be drawn; it never gave the picture.") from error
            except ConnectionLost as error:
                raise PageCrashed(
                    "The page took its renderer, or the browser, down. A later try may succeed."
                ) from error
            except CdpError as error:
                raise InternalError from error
        watch.lap("capture_ms")
        flaws = await self._flaws(taken)
        shot, facts = taken
        picture = await self._encoders.encode(shot, request) if needs_encoding(shot, request) else shot
        watch.lap("encode_ms")
        meta = CaptureMeta(
            request_id=request_id,
            elapsed_ms=round((time.perf_counter() - started) * 1000),
            url=request.url,
            final_url=facts.final_url,
            status_code=facts.status_code,
            title=facts.title,
            width=picture.width_px,
            height=picture.height_px,
            bytes=len(picture.data),
            partial=facts.partial_reason is not None,
            partial_reason=facts.partial_reason,
            requests_in_flight=facts.requests_in_flight,
            verdict=verdict_of(flaws),
            retry=retry,
            warnings=[*warnings, *facts.warnings],
            actions=facts.actions,
            metadata=_of_picture(facts.metadata, shot, request),
            timings=watch.timings,
            waited_for=facts.waited_for,
        )
        return CaptureResult(picture.data, CONTENT_TYPES[request.format], meta)

    async def _flaws(self, taken: tuple[Shot, Facts]) -> list[Flaw]:
        shot, facts = taken
        colours = await self._encoders.colours(shot) if looks_blank(shot) else None
        where = (facts.asked_url, facts.final_url, facts.status_code, facts.headers)
        return flaws_of(Evidence(facts.page, *where, colours))


def _of_picture(metadata: PageMetadata | None, shot: Shot, request: CaptureRequest) -> PageMetadata | None:
    """With the places of elements as they are in the picture that is given back."""
    if metadata is None or not metadata.elements or request.resize is None:
        return metadata
    size = (shot.width_px, shot.height_px)
    return metadata.model_copy(update={"elements": in_fit(metadata.elements, fit_of(size, request.resize), size)})
