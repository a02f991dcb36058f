"""The requests that are stopped on their way: answered with the markup, blocked, given headers, authenticated.

Every decision is by the URL of that one request. Chromium applies what `Fetch.continueRequest` changes to that request
alone and stops a redirected one again, so nothing follows a redirect to another origin. It is asked to stop only what
may need something; requests in an ordinary capture are not slowed down.
https://chromedevtools.github.io/devtools-protocol/tot/Fetch/
"""

from __future__ import annotations

import asyncio
import base64
from functools import partial
from typing import Any

import ada_url
from pydantic_core import to_json

from calotype.browser.cdp import Session
from calotype.capture.url_globs import UrlGlobs, whole_url_globs
from calotype.capture.world import source
from calotype.request import CaptureRequest, HeaderRule

_TRACK, _EVENTS = "TextTrack", "EventSource"
_COMES_AS = {_TRACK: "Media", _EVENTS: "XHR"}
"""What `Fetch` calls these; headers tell: event streams are accepted, and of media only tracks are asked for without a
range. (With a pattern for tracks it refuses all patterns.)"""
_TYPES = {
    "image": ("Image",),
    "font": ("Font",),
    "media": ("Media",),
    "script": ("Script",),
    "stylesheet": ("Stylesheet",),
    "xhr": ("XHR", "Fetch"),
    "fetch": ("XHR", "Fetch"),  # what scripts `fetch` comes as XHR
    "eventsource": (_EVENTS,),
    "texttrack": (_TRACK,),
    "manifest": (),  # Chromium asks for it to install an app only, so never here
    "ping": ("Ping",),
    "frame": ("Document",),
    "other": ("Other", "CSPViolationReport"),
}
"""Our names of kinds, and CDP's (`Network.ResourceType`). WebSockets never come to `Fetch`: see `block_sockets.js`."""
_SOCKETS = ("ws://", "wss://")


class Interception:
    """Made once for a capture; `enable` it on each session of its page."""

    def __init__(self, request: CaptureRequest, *, url: str, main_frame_id: str) -> None:
        """`url`: of the page itself."""
        self._url = url
        self._main_frame_id = main_frame_id
        self._origin = _origin(url)
        self._document = _document(request) if request.html is not None else None
        self._headers = _headers_by_origin(request.headers, self._origin)
        self._auth = request.basic_auth
        self._authenticated: set[str] = set()
        self._blocked_types = frozenset(each for kind in request.block.resources for each in _TYPES.get(kind, ()))
        globs = whole_url_globs(request.block.urls)
        self._globs = [glob for glob in globs if not glob.startswith(_SOCKETS)]
        self._blocked_urls = UrlGlobs(self._globs)
        self._blocked_sockets = [glob for glob in globs if glob.startswith((*_SOCKETS, "*"))]
        if "websocket" in request.block.resources:
            self._blocked_sockets = [f"{scheme}*" for scheme in _SOCKETS]

    @property
    def is_needed(self) -> bool:
        return bool(self._patterns() or self._blocked_sockets)

    def enable(self, session: Session, own_script: tuple[str, dict[str, str]] | None = None) -> asyncio.Future[Any]:
        """Post what makes it effective there.

        Args:
            own_script: URL of a worker's script, and headers for its request.
        """
        patterns = self._patterns()
        url, headers = own_script or ("", {})
        if headers:
            patterns.append({"urlPattern": _literal(url)})
        session.on("Fetch.requestPaused", partial(self._go_on, session, url, headers))
        session.on("Fetch.authRequired", partial(self._authenticate, session))
        if self._blocked_sockets:
            self._block_sockets(session)
        if not patterns:
            return session.post("Fetch.disable")
        return session.post("Fetch.enable", patterns=patterns, handleAuthRequests=self._auth is not None)

    def _patterns(self) -> list[dict[str, Any]]:
        """What Chromium has to stop."""
        origins = {*self._headers, *([self._origin] if self._auth else [])}
        patterns: list[dict[str, Any]] = [{"urlPattern": f"{_literal(origin)}/*"} for origin in sorted(origins)]
        types = {_COMES_AS.get(each, each) for each in self._blocked_types}
        patterns += [{"urlPattern": "*", "resourceType": each} for each in sorted(types)]
        patterns += [{"urlPattern": _pattern(glob)} for glob in self._globs]
        if self._document is not None:
            patterns.append({"urlPattern": _literal(self._url), "resourceType": "Document"})
        return patterns

    def _block_sockets(self, session: Session) -> None:
        """In every document to come, or in the worker; each kind of session refuses, or has no use for, the other."""
        script = f"({source('block_sockets')})({to_json(self._blocked_sockets).decode()})"
        session.post("Page.enable")
        session.post("Page.addScriptToEvaluateOnNewDocument", source=script, runImmediately=True)
        session.post("Runtime.evaluate", expression=f"if (!self.document) {script}")

    def _go_on(self, session: Session, script_url: str, script_headers: dict[str, str], event: dict[str, Any]) -> None:
        url, request_id = event["request"]["url"], event["requestId"]
        is_page = event["resourceType"] == "Document" and event.get("frameId") == self._main_frame_id
        is_own = event["resourceType"] == "Document" and url == self._url.partition("#")[0]
        if self._document is not None and is_own:
            session.post("Fetch.fulfillRequest", requestId=request_id, **self._document)
        elif not is_page and self._is_blocked(_type_of(event), url):
            session.post("Fetch.failRequest", requestId=request_id, errorReason="BlockedByClient")
        else:
            added = {rule.name: rule.value.get_secret_value() for rule in self._headers.get(_origin(url), ())}
            if url == script_url:
                added = {**script_headers, **added}
            changed = {"headers": _with_headers(event["request"]["headers"], added)} if added else {}
            session.post("Fetch.continueRequest", requestId=request_id, **changed)

    def _is_blocked(self, resource_type: str, url: str) -> bool:
        return resource_type in self._blocked_types or self._blocked_urls.match(url)

    def _authenticate(self, session: Session, event: dict[str, Any]) -> None:
        """Answer the target's challenge, once a request; any other shows the page that came with it."""
        challenge, request_id = event["authChallenge"], event["requestId"]
        is_ours = challenge.get("source") != "Proxy" and _origin(challenge["origin"]) == self._origin
        answer = {"response": "CancelAuth"}
        if self._auth is not None and is_ours and request_id not in self._authenticated:
            self._authenticated.add(request_id)
            password = self._auth.password.get_secret_value()
            answer = {"response": "ProvideCredentials", "username": self._auth.username, "password": password}
        session.post("Fetch.continueWithAuth", requestId=request_id, authChallengeResponse=answer)


def _type_of(event: dict[str, Any]) -> str:
    """Its type in our terms: what two kinds share in `Fetch`, told apart."""
    kind: str = event["resourceType"]
    headers = {name.lower(): value for name, value in event["request"]["headers"].items()}
    if kind == _COMES_AS[_TRACK] and "range" not in headers:
        return _TRACK
    if kind == _COMES_AS[_EVENTS] and "text/event-stream" in headers.get("accept", ""):
        return _EVENTS
    return kind


def _pattern(glob: str) -> str:
    """The glob as a `Fetch` pattern, where `?` is special too."""
    return glob.replace("\\", "\\\\").replace("?", "\\?")


def _literal(url: str) -> str:
    """The URL as a `Fetch` pattern that matches only itself."""
    return _pattern(url).replace("*", "\\*")


def _document(request: CaptureRequest) -> dict[str, Any]:
    """What `Fetch.fulfillRequest` answers with the markup: a real navigation, and no connection made for it."""
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


def _with_headers(headers: dict[str, str], added: dict[str, str]) -> list[dict[str, str]]:
    replaced = {name.lower() for name in added}
    kept = {name: value for name, value in headers.items() if name.lower() not in replaced}
    return [{"name": name, "value": value} for name, value in {**kept, **added}.items()]


def _origin(url: str) -> str:
    return ada_url.URL(url).origin
