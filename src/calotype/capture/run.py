"""One capture from request to picture: the list of steps under one deadline.

The page is leased for as long as it is needed and no longer: resizing and encoding come after it was given back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from calotype.browser.cdp import CdpError, ConnectionLost
from calotype.browser.page import Page
from calotype.browser.pool import BrowserPool
from calotype.capture.activity import PageActivity
from calotype.capture.deadline import Deadline, DeadlineReached
from calotype.capture.encode import CONTENT_TYPES, encode
from calotype.capture.navigate import check_document, navigate
from calotype.capture.prepare import prepare, target_url
from calotype.capture.result import CaptureMeta, CaptureResult, Timings
from calotype.capture.settle import Area, settle
from calotype.capture.shoot import Shot, clip_outside, document_size, enclosing, print_pdf, shoot
from calotype.capture.world import ScriptError, World
from calotype.errors import CaptureTimeout, InternalError, InvalidRequest, PageCrashed, SelectorNotFound
from calotype.request import CaptureRequest
from calotype.settings import BrowserSettings

_log = structlog.get_logger(__name__)

_SHOT_GRACE_S = 10.0  # past the deadline: what a partial picture, or a large one begun in time, may still take
_PULSE_S = 2.0  # a page in an endless loop can't be drawn; better said now than after the grace
_SELECTOR_WAIT_S = 5.0  # after the page settled


class Precheck(Protocol):
    """The guard's early look at a URL; `guard.policy.EgressPolicy` is the real one."""

    def precheck(self, url: str, allow_extra: tuple[str, ...] = ()) -> None: ...


@dataclass(frozen=True, slots=True)
class _Facts:
    title: str
    final_url: str | None
    status_code: int | None
    partial_reason: str | None
    warnings: list[dict[str, Any]]


class _Stopwatch:
    """Adds up the milliseconds between laps under the steps' names."""

    def __init__(self) -> None:
        self.timings = Timings()
        self._lap_started = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        elapsed_ms = round((now - self._lap_started) * 1000)
        setattr(self.timings, step, getattr(self.timings, step) + elapsed_ms)
        self._lap_started = now


class Capturer:
    """Makes pictures with the pool's pages."""

    def __init__(self, *, pool: BrowserPool, policy: Precheck, settings: BrowserSettings) -> None:
        self._pool = pool
        self._policy = policy
        self._settings = settings

    async def capture(
        self,
        request: CaptureRequest,
        *,
        request_id: str,
        allow: tuple[str, ...] = (),
        warnings: Iterable[dict[str, Any]] = (),
    ) -> CaptureResult:
        """Make the picture. Cancelling it gives the page back.

        Args:
            allow: targets that this caller may visit beside `guard.allow`.
            warnings: entries for `meta.warnings` that are known already.

        Raises:
            CalotypeError: one of the table, always.
        """
        started = time.perf_counter()
        if (url := request.url or request.base_url) and request.html is None:
            self._policy.precheck(url, allow)
        async with self._pool.lease() as lease:
            watch = _Stopwatch()
            watch.timings.queue_ms = lease.queue_ms
            try:
                shot, facts = await _Capture(lease.page, request, watch, self._settings).run(allow)
            except ConnectionLost as error:
                raise PageCrashed(
                    "The page took its renderer, or the browser, down. A later try may succeed."
                ) from error
            except CdpError as error:
                raise InternalError from error
        watch.lap("capture_ms")
        picture = await asyncio.to_thread(encode, shot, request) if _needs_encoding(shot, request) else shot
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
            warnings=[*warnings, *facts.warnings],
            timings=watch.timings,
        )
        return CaptureResult(picture.data, CONTENT_TYPES[request.format], meta)


class _Capture:
    """The steps on one page."""

    def __init__(self, page: Page, request: CaptureRequest, watch: _Stopwatch, settings: BrowserSettings) -> None:
        self._page = page
        self._request = request
        self._watch = watch
        self._settings = settings
        self._deadline = Deadline(request.render.timeout_ms / 1000)
        self._activity = PageActivity(page)
        self._world = World(page, self._activity)
        self._warnings: list[dict[str, Any]] = []

    async def run(self, allow: tuple[str, ...]) -> tuple[Shot, _Facts]:
        partial_reason = None
        self._allow(allow)
        try:
            async with self._deadline.waiting_for("the browser"):
                await prepare(self._page, self._request)
            await self._load()
        except DeadlineReached as reached:
            partial_reason = await self._partial(reached)
        finally:
            self._watch.lap("settle_ms")
        check_document(self._page, self._request, self._activity)
        grace = Deadline(self._deadline.remaining_s + _SHOT_GRACE_S)
        try:
            async with grace.waiting_for("the picture"):
                shot = await self._shoot()
                facts = await self._facts(partial_reason)
        except DeadlineReached as reached:
            raise CaptureTimeout("The page is too busy to be drawn; it never gave the picture.") from reached
        return shot, facts

    def _allow(self, allow: tuple[str, ...]) -> None:
        if allow:
            channel: Any = self._page.channel
            channel.allow(allow)

    async def _load(self) -> None:
        request, render = self._request, self._request.render
        self._watch.lap("queue_ms")
        try:
            await navigate(self._page, target_url(request), request, self._activity, self._deadline)
        finally:
            self._watch.lap("navigate_ms")
        await self._inject()
        if render.wait_for is not None:
            await self._wait_for(render.wait_for.selector, render.wait_for.state)
        if render.wait_for_function is not None:
            await self._wait_for_function(render.wait_for_function)
        if render.wait_until == "settled":
            await self._settle(None)
        if request.full_page and render.scroll is not False:
            async with self._deadline.waiting_for("scrolling"):
                await self._world.run("scroll_through", request.max_height)
            if render.wait_until == "settled":
                await self._settle(await self._whole_document())
        if request.selector is not None:
            await self._bring_element(request.selector)
        if render.delay_ms:
            async with self._deadline.waiting_for("delay_ms"):
                await asyncio.sleep(render.delay_ms / 1000)

    async def _inject(self) -> None:
        request = self._request
        sheets = [*request.css]
        # A rule each: one selector that Chromium does not know would void a common rule.
        sheets += [f"{selector} {{ visibility: hidden !important }}" for selector in request.hide]
        sheets += [f"{selector} {{ display: none !important }}" for selector in request.remove]
        async with self._deadline.waiting_for("css and js"):
            if sheets:
                await self._world.run("inject_css", sheets)
            for number, script in enumerate(request.js):
                await self._run_js(number, script)

    async def _run_js(self, number: int, script: str) -> None:
        try:
            await self._world.evaluate_as_page(script)
        except ScriptError as error:
            message = f"The script failed: {str(error)[:500]}"
            self._warnings.append({"code": "script_failed", "field": f"js[{number}]", "message": message})

    async def _wait_for(self, selector: str, state: str) -> None:
        async with self._deadline.waiting_for(f"wait_for: {selector} to be {state}"):
            try:
                await self._world.run("wait_for", selector, state)
            except ScriptError as error:
                raise _not_a_selector("render.wait_for", selector) from error

    async def _wait_for_function(self, expression: str) -> None:
        async with self._deadline.waiting_for("wait_for_function"):
            try:
                while not await self._world.evaluate_as_page(expression):
                    await self._world.evaluate("new Promise(requestAnimationFrame)")
            except ScriptError as error:
                message = f"The expression failed: {str(error)[:500]}"
                details = [{"field": "render.wait_for_function", "message": message}]
                raise InvalidRequest(message, details=details) from error

    async def _settle(self, area: Area | None) -> None:
        finish = self._request.render.animations == "settle"
        await settle(self._world, self._activity, self._deadline, area=area, finish_animations=finish)

    async def _whole_document(self) -> Area:
        width, height = await document_size(self._page)
        return Area(0, 0, width, min(height, self._request.max_height))

    async def _partial(self, reached: DeadlineReached) -> str:
        """The reason for a partial picture, unless the caller wants none or there is nothing to show."""
        seconds = self._request.render.timeout_ms / 1000
        reason = f"The {seconds:g} s of render.timeout_ms ended while waiting for {reached.waiting_for}."
        if self._request.render.on_timeout == "fail" or self._activity.document is None:
            raise CaptureTimeout(reason) from reached
        try:
            async with Deadline(_PULSE_S).waiting_for("a sign of life"):
                await self._world.evaluate("0")
        except DeadlineReached:
            raise CaptureTimeout(f"{reason} Its scripts leave no time to draw it.") from reached
        return reason

    async def _shoot(self) -> Shot:
        request = self._request
        if request.format == "pdf":
            return await print_pdf(self._page)
        area = await self._area()
        shot = await shoot(self._page, request, area, max_pixels=self._settings.max_pixels)
        self._watch.lap("capture_ms")
        return shot

    async def _area(self) -> Area | None:
        """What to cut, None for the viewport."""
        request = self._request
        if request.full_page:
            area = await self._whole_document()
            await self._warn_if_cut()
            return area
        if request.clip is not None:
            clip = request.clip
            area = enclosing(Area(clip.x, clip.y, clip.width, clip.height))
            if error := clip_outside(area, await document_size(self._page)):
                raise error
            return area
        if request.selector is not None:
            return await self._element_area(request.selector)
        return None

    async def _warn_if_cut(self) -> None:
        _, height = await document_size(self._page)
        if height > self._request.max_height:
            message = f"The page is {height} px high; the picture ends at max_height, {self._request.max_height} px."
            self._warnings.append({"code": "max_height_reached", "field": "max_height", "message": message})

    async def _bring_element(self, selector: str) -> None:
        """Wait for the element and bring it into view, with the content that this may bring."""
        wait = Deadline(min(_SELECTOR_WAIT_S, self._deadline.remaining_s))
        try:
            async with wait.waiting_for("the element"):
                await self._world.run("wait_for", selector, "visible")
        except ScriptError as error:
            raise _not_a_selector("selector", selector) from error
        except DeadlineReached as reached:
            raise _selector_not_found(selector) from reached
        box = await self._element_box(selector)
        if self._request.render.wait_until == "settled":
            await self._settle(box)

    async def _element_area(self, selector: str) -> Area:
        box = await self._element_box(selector)
        width, height = await document_size(self._page)
        padding = self._request.padding
        left, top = max(0.0, box.x - padding), max(0.0, box.y - padding)
        right = max(min(float(width), box.x + box.width + padding), box.x + box.width)
        bottom = max(min(float(height), box.y + box.height + padding), box.y + box.height)
        return enclosing(Area(left, top, right - left, bottom - top))

    async def _element_box(self, selector: str) -> Area:
        box: dict[str, float] | None = await self._world.run("element_box", selector)
        if box is None:
            raise _selector_not_found(selector)
        return Area(**box)

    async def _facts(self, partial_reason: str | None) -> _Facts:
        page_facts: dict[str, str] = await self._world.run("facts")
        document = self._activity.document
        is_html = self._request.html is not None
        return _Facts(
            title=page_facts["title"],
            final_url=None if is_html and self._request.base_url is None else page_facts["url"],
            status_code=document.status if document and not is_html else None,
            partial_reason=partial_reason,
            warnings=[*self._warnings, *self._blocked()],
        )

    def _blocked(self) -> list[dict[str, Any]]:
        """A warning for each place that the guard kept the page from; as the page named it, no address."""
        channel: Any = self._page.channel
        return [
            {
                "code": "blocked_request",
                "field": "url",
                "message": f"A request to {blocked.host}:{blocked.port} was dropped; this server does not go there.",
                "host": blocked.host,
                "reason": blocked.reason,
            }
            for blocked in channel.blocked()
        ]


def _needs_encoding(shot: Shot, request: CaptureRequest) -> bool:
    return request.resize is not None or shot.format != request.format


def _not_a_selector(field: str, selector: str) -> InvalidRequest:
    message = f"{selector!r} is not a valid CSS selector."
    return InvalidRequest(message, details=[{"field": field, "message": message}])


def _selector_not_found(selector: str) -> SelectorNotFound:
    message = f"No visible element matches {selector!r}."
    return SelectorNotFound(message, details=[{"field": "selector", "message": message}])
