"""What a page is doing, kept from DevTools events: its main document, its lifecycle, its requests in flight.

Waiting code asks `until(predicate)`; every event that may change an answer wakes it. Nothing here talks to the page.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from calotype.browser.cdp import ConnectionLost
from calotype.browser.page import Page

# Requests that never keep a picture from being complete. Media streams as long as it plays.
_UNAWAITED_TYPES = frozenset(
    {"WebSocket", "EventSource", "Ping", "CSPViolationReport", "Media", "Prefetch", "Preflight"}
)
_POLLING_TYPES = frozenset({"XHR", "Fetch"})
# The site answered with an error status and no body: Chromium shows a page of its own, and calls it a failure.
EMPTY_ERROR_PAGE = "net::ERR_HTTP_RESPONSE_CODE_FAILURE"
_LOOK_AGAIN_S = 0.25
_LONG_POLL_S = 5.0  # an answer that takes longer is held open on purpose


@dataclass
class DocumentRequest:
    """The main frame's document: the last URL of its redirects, and what came of it."""

    loader_id: str
    url: str
    status: int | None = None
    error: str | None = None
    """Chromium's net error, e.g. `net::ERR_CONNECTION_RESET`."""
    has_content: bool = False
    """Whether any of its body could be read."""

    @property
    def came_to_nothing(self) -> bool:
        """Whether its answer broke off, or could not be decoded, before there was anything to show."""
        return self.error not in (None, EMPTY_ERROR_PAGE, "net::ERR_ABORTED") and not self.has_content


@dataclass(frozen=True)
class _InFlight:
    url: str
    kind: str
    loader_id: str
    since: float


class PageActivity:
    """Attach before navigating; lives as long as the page's session."""

    def __init__(self, page: Page) -> None:
        self._frame_id = page.main_frame_id
        self._session = page.session
        self._documents: dict[str, DocumentRequest] = {}
        self._lifecycle: dict[str, set[str]] = defaultdict(set)
        self._in_flight: dict[str, _InFlight] = {}
        self._changed = asyncio.Event()
        self.committed_id = ""
        """Loader id of the document shown now."""
        self.document_url = ""
        """URL of the document shown now."""
        self.unreachable_url: str | None = None
        """Set when what is shown is Chromium's own error page for that URL."""
        self.requests_started = 0
        for event, handler in (
            ("Network.requestWillBeSent", self._on_request),
            ("Network.responseReceived", self._on_response),
            ("Network.dataReceived", self._on_data),
            ("Network.loadingFinished", self._on_finished),
            ("Network.loadingFailed", self._on_failed),
            ("Page.lifecycleEvent", self._on_lifecycle),
            ("Page.frameNavigated", self._on_navigated),
            ("Page.navigatedWithinDocument", self._on_navigated_within),
        ):
            page.session.on(event, handler)
        page.session.when_lost(self._changed.set)

    @property
    def document(self) -> DocumentRequest | None:
        """The document shown now; None for about:blank."""
        return self._documents.get(self.committed_id)

    @property
    def last_document(self) -> DocumentRequest | None:
        """The document asked for last, shown or not."""
        return next(reversed(self._documents.values()), None)

    def has_fired(self, event: str) -> bool:
        """Whether the document shown now has had the lifecycle event: `DOMContentLoaded`, `load`, `networkIdle`."""
        return event in self._lifecycle[self.committed_id]

    def in_flight(self) -> list[str]:
        """URLs of the requests that the picture should wait for."""
        now = asyncio.get_running_loop().time()
        return [request.url for request in self._in_flight.values() if not _is_long_poll(request, now)]

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Wait until the predicate holds, looked at after each event.

        Raises:
            ConnectionLost: the page crashed or the browser went away.
        """
        while not predicate():
            if self._session.is_lost:
                raise ConnectionLost("the page is gone")
            self._changed.clear()
            await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        # With a possible long poll in flight nothing but time changes the answer, so look again now and then.
        polling = any(request.kind in _POLLING_TYPES for request in self._in_flight.values())
        try:
            async with asyncio.timeout(_LOOK_AGAIN_S if polling else None):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _on_request(self, event: dict[str, Any]) -> None:
        request_id, kind = event["requestId"], event.get("type", "Other")
        url = event["request"]["url"]
        self.requests_started += 1
        if kind == "Document" and event.get("frameId") == self._frame_id:
            self._documents[event["loaderId"]] = DocumentRequest(event["loaderId"], url)
        if kind not in _UNAWAITED_TYPES and not url.startswith(("data:", "blob:")):
            started = asyncio.get_running_loop().time()
            self._in_flight[request_id] = _InFlight(url, kind, event.get("loaderId", ""), started)
        self._changed.set()

    def _on_response(self, event: dict[str, Any]) -> None:
        document = self._documents.get(event["requestId"])  # the main document's request id is its loader id
        if document is not None:
            document.status = event["response"]["status"]
            document.url = event["response"]["url"]
        if event.get("type") in _UNAWAITED_TYPES:
            self._in_flight.pop(event["requestId"], None)
        self._changed.set()

    def _on_data(self, event: dict[str, Any]) -> None:
        document = self._documents.get(event["requestId"])
        if document is not None and event["dataLength"]:
            document.has_content = True

    def _on_finished(self, event: dict[str, Any]) -> None:
        self._in_flight.pop(event["requestId"], None)
        self._changed.set()

    def _on_failed(self, event: dict[str, Any]) -> None:
        self._in_flight.pop(event["requestId"], None)
        document = self._documents.get(event["requestId"])
        if document is not None:
            document.error = event.get("errorText") or "net::ERR_FAILED"
        self._changed.set()

    def _on_lifecycle(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame_id:
            self._lifecycle[event["loaderId"]].add(event["name"])
            self._changed.set()

    def _on_navigated(self, event: dict[str, Any]) -> None:
        frame = event["frame"]
        if frame["id"] != self._frame_id:
            return
        self.committed_id = frame["loaderId"]
        self.document_url = frame["url"] + frame.get("urlFragment", "")
        self.unreachable_url = frame.get("unreachableUrl")
        # What the previous document had in flight died with it, and not every death is reported.
        self._in_flight = {
            request_id: request
            for request_id, request in self._in_flight.items()
            if request.loader_id == self.committed_id
        }
        self._changed.set()

    def _on_navigated_within(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame_id:
            self.document_url = event["url"]


def _is_long_poll(request: _InFlight, now: float) -> bool:
    return request.kind in _POLLING_TYPES and now - request.since > _LONG_POLL_S
