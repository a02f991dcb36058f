"""The requests of a page that have begun and not ended, and which of them a picture waits for.

What never matters: sockets, event streams, beacons, media. What stops to matter: calls held open on purpose (long
polls), pictures asked for after the load event that do not come (trackers' pixels; what is to be seen is looked at in
the page itself), and heartbeats: the same address asked again and again with nothing coming of it.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from calotype.capture.result import RequestInFlight

# Requests that never keep a picture from being complete. Media streams as long as it plays.
UNAWAITED_TYPES = frozenset(
    {"WebSocket", "EventSource", "Ping", "CSPViolationReport", "Media", "Prefetch", "Preflight"}
)
_POLLING_TYPES = frozenset({"XHR", "Fetch"})
_BEATING_TYPES = frozenset({"XHR", "Fetch", "Image"})
_LONG_POLL_S = 5.0  # an answer that takes longer is held open on purpose
_BEATS = 3  # so many answers of one address, and the same layout as before them
_TOLD = 20
_TOLD_URL_CHARS = 300
_CREDENTIALS = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/?#]*@", re.IGNORECASE)


@dataclass(frozen=True)
class _Request:
    url: str
    kind: str
    address: str
    """What is asked again by a heartbeat: type, method and URL without its query."""
    loader_id: str
    frame_id: str
    is_after_load: bool
    since: float

    def may_end_waiting(self) -> bool:
        return self.kind in _POLLING_TYPES or (self.kind == "Image" and self.is_after_load)


class RequestsInFlight:
    """Fed with DevTools events. `clock` gives seconds; the event loop's unless told otherwise."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._now = clock or (lambda: asyncio.get_running_loop().time())
        self._open: dict[str, _Request] = {}
        self._answers: Counter[str] = Counter()
        self.last_ended_at = 0.0
        self.started = 0
        """How many of those that matter have begun."""

    def begin(self, event: dict[str, Any], *, is_after_load: bool) -> None:
        """`Network.requestWillBeSent`, which also tells of each redirect."""
        request_id, kind, url = event["requestId"], event.get("type", "Other"), event["request"]["url"]
        # A worker's script is told of when it is asked for, and nothing of it afterwards.
        is_worker = kind == "Script" and not event.get("loaderId")
        if kind in UNAWAITED_TYPES or is_worker or url.startswith(("data:", "blob:")):
            return
        address = f"{kind} {event['request'].get('method')} {url.partition('?')[0]}"
        before = self._open.get(request_id)
        since = before.since if before else self._now()
        loader_id, frame_id = event.get("loaderId", ""), event.get("frameId", "")
        self._open[request_id] = _Request(url, kind, address, loader_id, frame_id, is_after_load, since)
        if self._answers[address] < _BEATS:
            self.started += 1

    def end(self, request_id: str) -> None:
        request = self._open.pop(request_id, None)
        if request:
            self.last_ended_at = self._now()
        if request and request.is_after_load and request.kind in _BEATING_TYPES:
            self._answers[request.address] += 1

    def keep_of_loader(self, loader_id: str) -> None:
        """Forget those of other documents: they died with it, and not every death is reported."""
        self._open = {key: request for key, request in self._open.items() if request.loader_id == loader_id}
        self._answers.clear()

    def drop_of_frame(self, frame_id: str) -> None:
        self._open = {key: request for key, request in self._open.items() if request.frame_id != frame_id}

    def something_came_of_them(self) -> None:
        """The page looks different: what has been asked for again and again was no heartbeat."""
        self._answers.clear()

    def that_matter(self) -> list[str]:
        """URLs of those that the picture waits for."""
        now = self._now()
        return [
            request.url
            for request in self._open.values()
            if self._answers[request.address] < _BEATS
            and not (request.may_end_waiting() and now - request.since > _LONG_POLL_S)
        ]

    def any_may_end_waiting(self) -> bool:
        """Whether time alone may change `that_matter`."""
        return any(request.may_end_waiting() for request in self._open.values())

    def told(self) -> list[RequestInFlight]:
        """The oldest, as callers may see them."""
        now = self._now()
        oldest: Iterable[_Request] = sorted(self._open.values(), key=lambda request: request.since)[:_TOLD]
        return [
            RequestInFlight(url=told_url(request.url), type=request.kind, ms=round((now - request.since) * 1000))
            for request in oldest
        ]


def told_url(url: str) -> str:
    """As callers may see it. A query holds keys and signatures more often than anything that helps to find it."""
    path, has_query, _ = _CREDENTIALS.sub(r"\1", url.partition("#")[0]).partition("?")
    if len(path) > _TOLD_URL_CHARS:
        return path[: _TOLD_URL_CHARS - 1] + "…"
    return f"{path}?…"[:_TOLD_URL_CHARS] if has_query else path
