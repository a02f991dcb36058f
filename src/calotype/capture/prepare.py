"""Everything that is set before the page is navigated: its screen, identity, cookies, headers.

All calls are sent at once; Chromium carries them out in order. What it refuses is reported as the field's fault.
Frames with a process of their own, and workers, are set up as the page is, before they run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from calotype.browser.cdp import CdpError, Session
from calotype.browser.page import Page
from calotype.capture.identity import Identity
from calotype.capture.intercept import Interception
from calotype.errors import InvalidRequest
from calotype.request import CaptureRequest, Cookie
from calotype.request.devices import DEVICES

HTML_URL = "http://html.invalid/"
"""Where `html` without a `base_url` is shown. http, so that links to http and https both load; the name can't exist."""

_Call = tuple[str, dict[str, Any], str]
_FOR_WORKERS = frozenset({"Emulation.setUserAgentOverride", "Emulation.setTimezoneOverride"})


def target_url(request: CaptureRequest) -> str:
    """The address the page is navigated to."""
    return request.url or request.base_url or HTML_URL


async def prepare(page: Page, request: CaptureRequest) -> None:
    """Set the page up for the request.

    Raises:
        InvalidRequest: Chromium does not take a value, with the field.
    """
    url = target_url(request)
    identity = Identity.of(request, await page.browser_version() if request.device else "")
    interception = Interception(request, url=url, main_frame_id=page.main_frame_id)
    everywhere = list(_calls_for_every_document(request, identity))
    if everywhere or interception.is_needed or request.mask or request.hide or request.remove:
        page.follow(lambda session, kind, url: _prepare_related(session, kind, url, everywhere, identity, interception))
    calls = [*_calls_for_the_page(request), *everywhere]
    sent = [(page.session.post(method, **params), field) for method, params, field in calls]
    for future, field in sent:
        try:
            await future
        except CdpError as error:
            message = f"Chromium does not accept this value: {error.message}"
            raise InvalidRequest(f"{field}: {message}", details=[{"field": field, "message": message}]) from error
    if request.geolocation is not None:
        await page.grant("geolocation")
    if interception.is_needed:
        await interception.enable(page.session)


def _prepare_related(
    session: Session, kind: str, url: str, calls: list[_Call], identity: Identity, interception: Interception
) -> None:
    """Set up a frame with a process of its own, or a worker, before it runs.

    What a process knows already from the page it refuses, and so does a worker what is for documents: no harm done.
    """
    is_worker = kind != "iframe"
    for method, params, _ in calls:
        if not is_worker or method in _FOR_WORKERS:
            session.post(method, **params)
    if kind in ("service_worker", "shared_worker") and not identity.is_own:
        session.post("Runtime.evaluate", expression=identity.worker_script())
    own_script = (url, identity.headers()) if kind == "service_worker" else None
    if interception.is_needed or (own_script and own_script[1]):
        interception.enable(session, own_script)


def _calls_for_the_page(request: CaptureRequest) -> Iterator[_Call]:
    yield "Emulation.setDeviceMetricsOverride", _screen(request), "viewport"
    if request.transparent:
        colour = {"r": 0, "g": 0, "b": 0, "a": 0}
        yield "Emulation.setDefaultBackgroundColorOverride", {"color": colour}, "transparent"
    if request.cookies:
        url = target_url(request)
        yield "Network.setCookies", {"cookies": [_cookie(cookie, url) for cookie in request.cookies]}, "cookies"


async def set_screen(page: Page, request: CaptureRequest, height: int) -> None:
    """Give the viewport another height than the request's; the device stays the same."""
    await page.session.call("Emulation.setDeviceMetricsOverride", **{**_screen(request), "height": height})


def _calls_for_every_document(request: CaptureRequest, identity: Identity) -> Iterator[_Call]:
    """What Chromium keeps for each process that draws a part of the page."""
    if request.viewport.touch:
        yield "Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5}, "viewport.touch"
    if not request.render.javascript:
        yield "Emulation.setScriptExecutionDisabled", {"value": True}, "render.javascript"
    if request.css or request.js or request.mask:
        yield "Page.setBypassCSP", {"enabled": True}, "css"
    for method, params in identity.calls():
        yield method, params, "user_agent"
    if request.locale is not None:
        yield "Emulation.setLocaleOverride", {"locale": request.locale}, "locale"
    if request.timezone is not None:
        yield "Emulation.setTimezoneOverride", {"timezoneId": request.timezone}, "timezone"
    if request.geolocation is not None:
        yield "Emulation.setGeolocationOverride", request.geolocation.model_dump(), "geolocation"
    yield from _media_calls(request)


def _screen(request: CaptureRequest) -> dict[str, Any]:
    viewport = request.viewport
    width, height = viewport.size
    orientation = (
        {"type": "landscapePrimary", "angle": 90} if width > height else {"type": "portraitPrimary", "angle": 0}
    )
    params: dict[str, Any] = {
        "width": width,
        "height": height,
        "deviceScaleFactor": viewport.scale,
        "mobile": viewport.mobile,
    }
    if viewport.mobile:
        params |= {"screenWidth": width, "screenHeight": height, "screenOrientation": orientation}
    if request.device is not None:
        params |= _screen_of_device(DEVICES[request.device].screen_height, width, height)
    return params


def _screen_of_device(screen_height: int, width: int, height: int) -> dict[str, int]:
    """The long side of a device's screen also holds the browser's bars."""
    if width > height:
        return {"screenWidth": max(screen_height, width)}
    return {"screenHeight": max(screen_height, height)}


def _media_calls(request: CaptureRequest) -> Iterator[_Call]:
    media = request.media
    features = {
        "prefers-color-scheme": media.color_scheme,
        "prefers-reduced-motion": media.reduced_motion,
        "forced-colors": media.forced_colors,
        "prefers-contrast": media.contrast,
    }
    chosen = [{"name": name, "value": value} for name, value in features.items() if value is not None]
    if chosen or media.type != "screen" or request.format == "pdf":
        yield "Emulation.setEmulatedMedia", {"media": media.type, "features": chosen}, "media"


def _cookie(cookie: Cookie, url: str) -> dict[str, Any]:
    """What `Network.setCookies` takes. One for an https target's own host must not be sent to that host in clear."""
    params: dict[str, Any] = {
        "name": cookie.name,
        "value": cookie.value.get_secret_value(),
        "path": cookie.path,
        "secure": cookie.secure or (cookie.domain is None and url.startswith("https:")),
        "httpOnly": cookie.http_only,
        "sameSite": cookie.same_site,
        "expires": cookie.expires,
        "domain": cookie.domain,
        "url": None if cookie.domain else url,
    }
    return {name: value for name, value in params.items() if value is not None}
