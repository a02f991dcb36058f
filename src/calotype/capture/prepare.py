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
    await _intercept(page, request)


def _calls(request: CaptureRequest) -> Iterator[_Call]:
    yield "Emulation.setDeviceMetricsOverride", _screen(request), "viewport"
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


async def set_screen(page: Page, request: CaptureRequest, height: int) -> None:
    """Give the viewport another height than the request's; the device stays the same."""
    await page.session.call("Emulation.setDeviceMetricsOverride", **{**_screen(request), "height": height})


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
    return params


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


async def _intercept(page: Page, request: CaptureRequest) -> None:
    """Answer the document request of `html` with the markup, and add `headers` on requests to their origins only.

    The markup gets a real navigation, and no connection is made for it. A redirect to another origin goes without the
    headers: Chromium applies those of `Fetch.continueRequest` to the one request, and a redirected request to a listed
    origin is paused again.
    """
    url = target_url(request)
    document = _document(request) if request.html is not None else None
    by_origin = _headers_by_origin(request.headers, _origin(url))

    def go_on(event: dict[str, Any]) -> None:
        asked = event["request"]["url"]
        is_document = event["resourceType"] == "Document" and asked.partition("#")[0] == url.partition("#")[0]
        if document is not None and is_document:
            page.session.post("Fetch.fulfillRequest", requestId=event["requestId"], **document)
        elif (added := by_origin.get(_origin(asked))) is not None:
            headers = _with_headers(event["request"]["headers"], added)
            page.session.post("Fetch.continueRequest", requestId=event["requestId"], headers=headers)
        else:
            page.session.post("Fetch.continueRequest", requestId=event["requestId"])

    patterns = [{"urlPattern": f"{_literal(origin)}/*"} for origin in by_origin]
    if document is not None:
        patterns.append({"urlPattern": _literal(url), "resourceType": "Document"})
    if patterns:
        page.session.on("Fetch.requestPaused", go_on)
        await page.session.call("Fetch.enable", patterns=patterns)


def _document(request: CaptureRequest) -> dict[str, Any]:
    """What `Fetch.fulfillRequest` answers with the markup."""
    headers = [{"name": "Content-Type", "value": "text/html; charset=utf-8"}]
    if request.base_url is None:
        headers.append({"name": "Referrer-Policy", "value": "no-referrer"})  # nobody need see the made-up name
    body = base64.b64encode((request.html or "").encode()).decode()
    return {"responseCode": 200, "responseHeaders": headers, "body": body}


def _headers_by_origin(rules: tuple[HeaderRule, ...], own_origin: str) -> dict[str, list[HeaderRule]]:
    by_origin: dict[str, list[HeaderRule]] = {}
    for rule in rules:
        for origin in rule.origins or (own_origin,):
            by_origin.setdefault(_origin(origin), []).append(rule)
    return by_origin


def _with_headers(headers: dict[str, str], added: list[HeaderRule]) -> list[dict[str, str]]:
    replaced = {rule.name.lower() for rule in added}
    kept = [{"name": name, "value": value} for name, value in headers.items() if name.lower() not in replaced]
    return [*kept, *({"name": rule.name, "value": rule.value.get_secret_value()} for rule in added)]


def _origin(url: str) -> str:
    return ada_url.URL(url).origin


def _literal(url: str) -> str:
    """The URL as a `Fetch` pattern that matches only itself."""
    return url.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")
