"""The steps of one capture on one leased page, under one deadline: from the navigation to the picture."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from calotype.browser.cdp import CdpError, ConnectionLost
from calotype.browser.page import Page
from calotype.capture.actions import Actions
from calotype.capture.activity import PageActivity
from calotype.capture.area import Area, bring_into_view, captured_area, cut_warnings
from calotype.capture.deadline import Deadline, DeadlineReached
from calotype.capture.dropped import dropped
from calotype.capture.full_page import FullPage
from calotype.capture.inject import hide, inject
from calotype.capture.look_ahead import PageClock
from calotype.capture.mask import mask
from calotype.capture.metadata import Metadata
from calotype.capture.navigate import check_document, hold_still, navigate
from calotype.capture.prepare import prepare, target_url
from calotype.capture.result import ActionOutcome, PageMetadata, RequestInFlight, Timings, WaitedFor
from calotype.capture.settle import settle
from calotype.capture.shoot import Shot, print_pdf, shoot
from calotype.capture.verdict import EVERYWHERE, LONGER_S, PageEvidence, may_be_blank, read_page
from calotype.capture.wait import wait_as_told, wait_delay
from calotype.capture.world import World
from calotype.errors import CalotypeError, CaptureTimeout
from calotype.request import CaptureRequest
from calotype.settings import BrowserSettings, TargetRules

SHOT_GRACE_S = 10.0  # past the deadline: what a partial picture, or a large one begun in time, may still take
PULSE_S = 2.0  # what can't be drawn, even with its scripts stopped, is better said now than after the grace
_LATE_PULSE_S = 1.0  # a picture that is late but coming, of a large page, leaves the page's own thread free
_AHEAD_S = 2.0  # what timers began may take to settle
_FIRST = asyncio.FIRST_COMPLETED


OnStage = Callable[[str, float], None]
"""Told of each stretch of a capture as it ends: its stage, and the seconds it took. A stage may have several."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page was when its picture was taken."""

    title: str
    asked_url: str | None
    final_url: str | None
    status_code: int | None
    partial_reason: str | None
    requests_in_flight: list[RequestInFlight]
    waited_for: list[WaitedFor]
    warnings: list[dict[str, Any]]
    actions: list[ActionOutcome]
    metadata: PageMetadata | None
    headers: Mapping[str, str]
    page: PageEvidence


class Stopwatch:
    """Adds up the milliseconds between laps under the steps' names."""

    def __init__(self, on_lap: OnStage) -> None:
        self.timings = Timings()
        self._on_lap = on_lap
        self._lap_started = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        elapsed_s = now - self._lap_started
        setattr(self.timings, step, getattr(self.timings, step) + round(elapsed_s * 1000))
        self._on_lap(step.removesuffix("_ms"), elapsed_s)
        self._lap_started = now


class Steps:
    """The steps on one page."""

    def __init__(self, page: Page, request: CaptureRequest, watch: Stopwatch, settings: BrowserSettings) -> None:
        self._page = page
        self._request = request
        self._watch = watch
        self._settings = settings
        self._deadline = Deadline(request.render.timeout_ms / 1000)
        self._activity = PageActivity(page)
        self._metadata = Metadata(page, request)
        self._world = World(page, self._activity)
        self._clock = PageClock(page, self._world, self._activity)
        self._actions = Actions(page, self._world, self._activity, request, self._deadline)
        self._warnings: list[dict[str, Any]] = []
        self._cut_warnings: list[dict[str, Any]] = []
        self._area: Area | None = None
        self._in_flight: list[RequestInFlight] = []

    async def run(self, rules: TargetRules) -> tuple[Shot, Facts]:
        partial_reason = None
        self._page.channel.apply(rules)
        try:
            async with self._deadline.waiting_for("the browser"):
                await prepare(self._page, self._request)
            await self._load()
        except DeadlineReached as reached:
            partial_reason = await self._partial(reached)
        finally:
            self._watch.lap("settle_ms")
        check_document(self._page, self._request, self._activity)
        grace = Deadline(self._deadline.remaining_s + SHOT_GRACE_S)
        try:
            async with grace.waiting_for("the picture"):
                taken = await self._draw(partial_reason)
                return await self._look_ahead(taken) if self._looks_ahead(taken) else taken
        except DeadlineReached as reached:
            raise CaptureTimeout("The page is too busy to be drawn; it never gave the picture.") from reached

    async def run_longer(self, rest_s: float) -> tuple[Shot, Facts]:
        """After `run`: another picture after a rest and settling again, `LONGER_S` at most, before the deadline.

        Raises as `run`, and:
            DeadlineReached: before it was there.
        """
        longer = Deadline(min(LONGER_S, self._deadline.remaining_s / 2))
        async with self._clock.flowing(), self._deadline.waiting_for("a second picture", "retry"):
            with suppress(DeadlineReached):
                async with longer.waiting_for("a rest"):
                    await asyncio.sleep(rest_s)
                await self._settle_until(longer, self._area)
            return await self._draw_again()

    def _looks_ahead(self, taken: tuple[Shot, Facts]) -> bool:
        render = self._request.render
        return render.wait_until == "settled" and render.javascript and taken[1].partial_reason is None

    async def _look_ahead(self, taken: tuple[Shot, Facts]) -> tuple[Shot, Facts]:
        """Another picture if timers that are due soon change the page; the first one if that can't be had."""
        self._watch.lap("capture_ms")
        settling = Deadline(min(_AHEAD_S, self._deadline.remaining_s))
        # A page that now does nothing but go elsewhere may never be drawn again.
        drawing_s = _AHEAD_S + 2 * self._watch.timings.capture_ms / 1000
        whole = Deadline(min(_AHEAD_S + drawing_s, self._deadline.remaining_s))
        try:
            if not await self._clock.look_ahead(is_driven=bool(self._request.js or self._request.actions)):
                return taken
            async with self._clock.flowing(), whole.waiting_for("the picture after what timers began"):
                async with self._deadline.waiting_for("what timers began", "timers"):
                    with suppress(DeadlineReached):
                        await self._settle_until(settling, self._area)
                return await self._draw_again()
        except (DeadlineReached, CdpError, ConnectionLost, CalotypeError):
            return taken
        finally:
            self._watch.lap("settle_ms")

    async def _draw_again(self) -> tuple[Shot, Facts]:
        self._watch.lap("settle_ms")
        check_document(self._page, self._request, self._activity)
        return await self._draw(None)

    async def _load(self) -> None:
        request, render = self._request, self._request.render
        self._watch.lap("queue_ms")
        try:
            await navigate(self._page, target_url(request), request, self._activity, self._deadline)
        finally:
            self._watch.lap("navigate_ms")
        async with self._deadline.waiting_for("css and js", "injection"):
            self._warnings += await inject(self._page, self._world, request)
        await wait_as_told(self._world, render, self._deadline)
        await self._settle(None)
        if request.actions:
            await self._act()
        if request.full_page:
            await self._bring_in()
        if request.selector is not None:
            await self._settle(await bring_into_view(self._world, request.selector, self._deadline))
        await wait_delay(self._activity, render.delay_ms, self._deadline)

    async def _act(self) -> None:
        self._watch.lap("settle_ms")
        try:
            await self._actions.run()
        finally:
            self._watch.lap("actions_ms")
        await self._settle(None)

    async def _bring_in(self) -> None:
        whole = FullPage(self._page, self._world, self._request, self._deadline, settle=self._settle)
        try:
            await whole.bring_in()
        finally:
            self._warnings += whole.warnings

    async def _settle(self, area: Area | None) -> None:
        if self._request.render.wait_until == "settled":
            await self._settle_until(self._deadline, area)

    async def _settle_until(self, deadline: Deadline, area: Area | None) -> None:
        finish = self._request.render.animations == "settle"
        await settle(self._world, self._activity, deadline, area=area, finish_animations=finish)

    async def _partial(self, reached: DeadlineReached) -> str:
        """The reason for a partial picture, unless the caller wants none or there is nothing to show."""
        seconds = self._request.render.timeout_ms / 1000
        self._in_flight = self._in_flight or self._activity.requests.told()
        reason = f"The {seconds:g} s of render.timeout_ms ended while waiting for {reached.waiting_for}."
        if self._request.render.on_timeout == "fail" or self._activity.document is None:
            raise CaptureTimeout(reason) from reached
        try:
            async with Deadline(PULSE_S).waiting_for("a sign of life"):
                await hold_still(self._page, self._world, self._activity)
                is_drawable = await self._world.run("drawable", True)
        except DeadlineReached:
            raise CaptureTimeout(f"{reason} It leaves no time to draw it.") from reached
        if not is_drawable:
            raise CaptureTimeout(f"{reason} There was nothing to show yet.") from reached
        return reason

    async def _draw(self, partial_reason: str | None) -> tuple[Shot, Facts]:
        """Take the picture, again when the page went elsewhere meanwhile; Chromium then never answers the first try."""
        while True:
            drawing = asyncio.ensure_future(self._picture(partial_reason))
            leaving = asyncio.ensure_future(self._leave(self._activity.committed_id))
            try:
                await asyncio.wait({drawing, leaving}, timeout=self._overdue_s(partial_reason), return_when=_FIRST)
                if not drawing.done() and not leaving.done() and await self._is_coming():
                    await asyncio.wait({drawing, leaving}, return_when=_FIRST)
                if drawing.done():
                    return drawing.result()
                if leaving.done():
                    leaving.result()
                    partial_reason = await self._arrive(partial_reason)
                else:
                    partial_reason = await self._partial(DeadlineReached("the picture"))
            finally:
                for task in (drawing, leaving):
                    task.cancel()
                await asyncio.gather(drawing, leaving, return_exceptions=True)

    async def _leave(self, shown_id: str) -> None:
        await self._activity.until(lambda: self._activity.committed_id != shown_id)

    def _overdue_s(self, partial_reason: str | None) -> float | None:
        return self._deadline.remaining_s if partial_reason is None else None

    async def _arrive(self, partial_reason: str | None) -> str | None:
        """Wait until the page that replaced the first one is loaded, too."""
        try:
            async with self._deadline.waiting_for("the page that it went on to", "load"):
                await self._activity.until(lambda: self._activity.has_fired("load"))
            await self._settle(None)
        except DeadlineReached as reached:
            partial_reason = await self._partial(reached)
        check_document(self._page, self._request, self._activity)
        return partial_reason

    async def _is_coming(self) -> bool:
        """Whether the picture that is late is only slow: of a large page, and not of one that can't be drawn."""
        try:
            async with Deadline(_LATE_PULSE_S).waiting_for("a sign of life"):
                return bool(await self._world.run("drawable", False))
        except DeadlineReached:
            return False

    async def _picture(self, partial_reason: str | None) -> tuple[Shot, Facts]:
        shot = await self._shoot()
        return shot, await self._facts(partial_reason, shot)

    async def _shoot(self) -> Shot:
        request = self._request
        if request.format == "pdf":
            self._area = EVERYWHERE
            return await print_pdf(self._page)
        await hide(self._page, self._world, request)
        self._area = area = await captured_area(self._page, self._world, request)
        self._cut_warnings = await cut_warnings(self._page, request) + await mask(self._page, self._world, request)
        shot = await shoot(self._page, request, area, max_pixels=self._settings.max_pixels)
        self._watch.lap("capture_ms")
        return shot

    async def _facts(self, partial_reason: str | None, shot: Shot) -> Facts:
        page_facts, evidence = await read_page(self._world, self._area, may_be_blank=looks_blank(shot))
        document = self._activity.document
        is_html = self._request.html is not None
        return Facts(
            title=page_facts["title"],
            final_url=None if is_html and self._request.base_url is None else page_facts["url"],
            status_code=document.status if document and not is_html else None,
            partial_reason=partial_reason,
            requests_in_flight=self._in_flight,
            waited_for=self._deadline.waited_for(),
            warnings=[*self._warnings, *self._cut_warnings, *dropped(self._page.channel)],
            actions=self._actions.outcomes,
            metadata=await self._metadata.collect(self._world, self._activity.committed_id, self._area),
            asked_url=self._request.url,
            headers=document.headers if document and not is_html else {},
            page=evidence,
        )


def looks_blank(shot: Shot) -> bool:
    """Whether its colours are worth a look; from its size."""
    return may_be_blank(shot.format, sum(map(len, shot.bands)), shot.width_px, shot.height_px)
