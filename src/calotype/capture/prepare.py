"""Everything that is set before the page is navigated: its screen, identity, cookies, headers.

All calls are sent at once; Chromium carries them out in order. What it refuses is reported as the field's fault.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import ada_url

from calotype.browser.cdp import CdpError
from calotype.browser.page import Page
from calotype.errors import InvalidRequest
from calotype.request import CaptureRequest, Cookie, HeaderRule

HTML_URL = "http://html.invalid/"
"""Where `html` without a `base_url` is shown. http, so that links to http and https both load; the name can't exist."""

_Call = tuple[str, dict[str, Any], str]


def target_url(request: CaptureRequest) -> str:
    """The address the page is navigated to."""
    return request.url or request.base_url or HTML_URL


async def prepare(page: Page, request: CaptureRequest) -> None:
    """Set the page up for the request.

    Raises:
        InvalidRequest: Chromium does not take a value, with the field.
    """
    sent = [(page.session.post(method, **params), field) for method, params, field in _calls(request)]
    for future, field in sent:
        try:
            await future
        except CdpError as error:
            message = f"Chromium does not accept this value: {error.message}"
            raise InvalidRequest(f"{field}: {message}", details=[{"field": field, "message": message}]) from error
    if request.geolocation is not None:
        await page.grant("geolocation")
    if request.html is not None:
        await _serve_html(page, request.html, target_url(request), is_own_origin=request.base_url is not None)
    if request.headers:
        await _add_headers(page, request.headers, target_url(request))


def _calls(request: CaptureRequest) -> Iterator[_Call]:
    yield _screen_call(request)
    if request.viewport.touch:
        yield "Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5}, "viewport.touch"
    if request.transparent:
        colour = {"r": 0, "g": 0, "b": 0, "a": 0}
        yield "Emulation.setDefaultBackgroundColorOverride", {"color": colour}, "transparent"
    if not request.render.javascript:
        yield "Emulation.setScriptExecutionDisabled", {"value": True}, "render.javascript"
    if request.css or request.js or request.hide or request.remove:
        yield "Page.setBypassCSP", {"enabled": True}, "css"
    yield from _identity_calls(request)
    if request.cookies:
        url = target_url(request)
        yield "Network.setCookies", {"cookies": [_cookie(cookie, url) for cookie in request.cookies]}, "cookies"


def _screen_call(request: CaptureRequest) -> _Call:
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
    return "Emulation.setDeviceMetricsOverride", params, "viewport"


def _identity_calls(request: CaptureRequest) -> Iterator[_Call]:
    if request.user_agent is not None or request.locale is not None:
        params = {"userAgent": request.user_agent or ""}
        if request.locale is not None:
            params["acceptLanguage"] = request.locale
        yield "Emulation.setUserAgentOverride", params, "user_agent"
    if request.locale is not None:
        yield "Emulation.setLocaleOverride", {"locale": request.locale}, "locale"
    if request.timezone is not None:
        yield "Emulation.setTimezoneOverride", {"timezoneId": request.timezone}, "timezone"
    if request.geolocation is not None:
        yield "Emulation.setGeolocationOverride", request.geolocation.model_dump(), "geolocation"
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
    params: dict[str, Any] = {
        "name": cookie.name,
        "value": cookie.value.get_secret_value(),
        "path": cookie.path,
        "secure": cookie.secure,
        "httpOnly": cookie.http_only,
        "sameSite": cookie.same_site,
        "expires": cookie.expires,
        "domain": cookie.domain,
        "url": None if cookie.domain else url,
    }
    return {name: value for name, value in params.items() if value is not None}


async def _serve_html(page: Page, html: str, url: str, *, is_own_origin: bool) -> None:
    """Answer the document request itself with the markup: a real navigation, with no connection made."""
    headers = [{"name": "Content-Type", "value": "text/html; charset=utf-8"}]
    if not is_own_origin:
        headers.append({"name": "Referrer-Policy", "value": "no-referrer"})  # nobody need see the made-up name
    body = base64.b64encode(html.encode()).decode()

    def fulfill(event: dict[str, Any]) -> None:
        request_id = event["requestId"]
        if event["resourceType"] == "Document" and event["request"]["url"].split("#")[0] == url.split("#")[0]:
            page.session.post(
                "Fetch.fulfillRequest", requestId=request_id, responseCode=200, responseHeaders=headers, body=body
            )

    page.session.on("Fetch.requestPaused", fulfill)
    await page.session.call("Fetch.enable", patterns=[{"urlPattern": _literal(url), "resourceType": "Document"}])


async def _add_headers(page: Page, rules: tuple[HeaderRule, ...], url: str) -> None:
    """Add each header on requests to its origins only.

    A redirect to another origin goes without: Chromium applies `Fetch.continueRequest` headers to the one request, and
    a redirected request to a listed origin is paused again.
    """
    own = _origin(url)
    by_origin: dict[str, list[HeaderRule]] = {}
    for rule in rules:
        for origin in rule.origins or (own,):
            by_origin.setdefault(_origin(origin), []).append(rule)

    def add(event: dict[str, Any]) -> None:
        added = by_origin.get(_origin(event["request"]["url"]), [])
        replaced = {rule.name.lower() for rule in added}
        headers = [
            {"name": name, "value": value}
            for name, value in event["request"]["headers"].items()
            if name.lower() not in replaced
        ]
        headers += [{"name": rule.name, "value": rule.value.get_secret_value()} for rule in added]
        page.session.post("Fetch.continueRequest", requestId=event["requestId"], headers=headers)

    page.session.on("Fetch.requestPaused", add)
    await page.session.call("Fetch.enable", patterns=[{"urlPattern": f"{_literal(origin)}/*"} for origin in by_origin])


def _origin(url: str) -> str:
    return ada_url.URL(url).origin


def _literal(url: str) -> str:
    """The URL as a `Fetch` pattern that matches only itself."""
    return url.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
