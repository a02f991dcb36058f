"""What a page is doing, kept from DevTools events: its main document, its lifecycle, its requests in flight.

Waiting code asks `until(predicate)`; every event that may change an answer wakes it. Nothing here talks to the page.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from calotype.browser.cdp import ConnectionLost
from calotype.browser.page import Page
from calotype.capture.in_flight import UNAWAITED_TYPES, RequestsInFlight

# The site answered with an error status and no body: Chromium shows a page of its own, and calls it a failure.
EMPTY_ERROR_PAGE = "net::ERR_HTTP_RESPONSE_CODE_FAILURE"
_LOOK_AGAIN_S = 0.25
_OF_LOADING = frozenset({"DOMContentLoaded", "load"})
_STOPPED = "stopped loading"


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
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Of the answer, names in lower case."""

    @property
    def came_to_nothing(self) -> bool:
        """Whether its answer broke off, or could not be decoded, before there was anything to show."""
        return self.error not in (None, EMPTY_ERROR_PAGE, "net::ERR_ABORTED") and not self.has_content


class PageActivity:
    """Attach before navigating; lives as long as the page's session."""

    def __init__(self, page: Page) -> None:
        self._frame_id = page.main_frame_id
        self._session = page.session
        self._documents: dict[str, DocumentRequest] = {}
        self._lifecycle: dict[str, set[str]] = defaultdict(set)
        self.requests = RequestsInFlight()
        self._changed = asyncio.Event()
        self._complete_since = 0.0
        self.committed_id = ""
        """Loader id of the document shown now."""
        self.document_url = ""
        """URL of the document shown now."""
        self.unreachable_url: str | None = None
        """Set when what is shown is Chromium's own error page for that URL."""
        for event, handler in (
            ("Network.requestWillBeSent", self._on_request),
            ("Network.responseReceived", self._on_response),
            ("Network.dataReceived", self._on_data),
            ("Network.loadingFinished", self._on_finished),
            ("Network.loadingFailed", self._on_failed),
            ("Page.lifecycleEvent", self._on_lifecycle),
            ("Page.frameNavigated", self._on_navigated),
            ("Page.navigatedWithinDocument", self._on_navigated_within),
            ("Page.frameStoppedLoading", self._on_stopped),
            ("Page.frameDetached", self._on_detached),
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

    @property
    def quiet_s(self) -> float:
        """Since when the document is complete and none of its requests has ended."""
        return asyncio.get_running_loop().time() - max(self._complete_since, self.requests.last_ended_at)

    def has_fired(self, event: str) -> bool:
        """Whether the document shown now has had the lifecycle event: `DOMContentLoaded`, `load`, `networkIdle`.

        One that stopped loading (`window.stop()`) is complete, and never gets the first two.
        """
        had = self._lifecycle[self.committed_id]
        return event in had or (event in _OF_LOADING and _STOPPED in had)

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

    async def stay_for(self, seconds: float) -> None:
        """Let the time pass. Raises as `until`, at once."""
        try:
            async with asyncio.timeout(seconds):
                await self.until(lambda: False)
        except TimeoutError:
            pass

    async def _wait_for_change(self) -> None:
        # With a possible long poll in flight nothing but time changes the answer, so look again now and then.
        try:
            async with asyncio.timeout(_LOOK_AGAIN_S if self.requests.any_may_end_waiting() else None):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _on_request(self, event: dict[str, Any]) -> None:
        if event.get("type") == "Document" and event.get("frameId") == self._frame_id:
            self._documents[event["loaderId"]] = DocumentRequest(event["loaderId"], event["request"]["url"])
        self.requests.begin(event, is_after_load=self.has_fired("load"))
        self._changed.set()

    def _on_response(self, event: dict[str, Any]) -> None:
        document = self._documents.get(event["requestId"])  # the main document's request id is its loader id
        if document is not None:
            document.status = event["response"]["status"]
            document.url = event["response"]["url"]
            document.headers = {name.lower(): value for name, value in event["response"].get("headers", {}).items()}
        if event.get("type") in UNAWAITED_TYPES:
            self.requests.end(event["requestId"])
        self._changed.set()

    def _on_data(self, event: dict[str, Any]) -> None:
        document = self._documents.get(event["requestId"])
        if document is not None and event["dataLength"]:
            document.has_content = True

    def _on_finished(self, event: dict[str, Any]) -> None:
        self.requests.end(event["requestId"])
        self._changed.set()

    def _on_failed(self, event: dict[str, Any]) -> None:
        self.requests.end(event["requestId"])
        document = self._documents.get(event["requestId"])
        if document is not None:
            document.error = event.get("errorText") or "net::ERR_FAILED"
        self._changed.set()

    def _on_lifecycle(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame_id:
            self._lifecycle[event["loaderId"]].add(event["name"])
            if event["name"] in _OF_LOADING:
                self._complete_since = asyncio.get_running_loop().time()
            self._changed.set()

    def _on_navigated(self, event: dict[str, Any]) -> None:
        frame = event["frame"]
        if frame["id"] != self._frame_id:
            return
        self.committed_id = frame["loaderId"]
        self.document_url = frame["url"] + frame.get("urlFragment", "")
        self.unreachable_url = frame.get("unreachableUrl")
        self.requests.keep_of_loader(self.committed_id)
        self._changed.set()

    def _on_stopped(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame_id and self.committed_id:
            self._lifecycle[self.committed_id].add(_STOPPED)
            self.requests.end(self.committed_id)  # the document's own; of one that was broken off nothing more is told
            self._changed.set()

    def _on_detached(self, event: dict[str, Any]) -> None:
        # Gone, or going on in a process of its own, of whose requests nothing is told here; the load event awaits it.
        self.requests.drop_of_frame(event["frameId"])
        self._changed.set()

    def _on_navigated_within(self, event: dict[str, Any]) -> None:
        if event["frameId"] == self._frame_id:
            self.document_url = event["url"]
