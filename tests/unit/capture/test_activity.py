"""What the page is doing, from a script of DevTools events."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from calotype.browser.cdp import Connection, ConnectionLost, Session
from calotype.browser.page import Page
from calotype.capture.activity import PageActivity

FRAME = "main"


class Events:
    """Plays DevTools events into a page's session."""

    def __init__(self) -> None:
        self.session = Session(Connection(), "s")
        page = type("FakePage", (), {"session": self.session, "main_frame_id": FRAME})()
        self.activity = PageActivity(cast("Page", page))

    def request(self, id_: str, url: str, kind: str = "Image", *, loader: str = "L1", frame: str = FRAME) -> None:
        self.play(
            "Network.requestWillBeSent", requestId=id_, loaderId=loader, frameId=frame, type=kind, request={"url": url}
        )

    def response(self, id_: str, url: str, status: int = 200, kind: str = "Image") -> None:
        self.play("Network.responseReceived", requestId=id_, type=kind, response={"url": url, "status": status})

    def committed(self, loader: str, url: str, **more: Any) -> None:
        self.play("Page.frameNavigated", frame={"id": FRAME, "loaderId": loader, "url": url, **more})

    def lifecycle(self, loader: str, name: str, frame: str = FRAME) -> None:
        self.play("Page.lifecycleEvent", frameId=frame, loaderId=loader, name=name)

    def play(self, event: str, **params: Any) -> None:
        self.session.dispatch(event, params)


@pytest.fixture
async def events() -> Events:
    return Events()


async def test_the_document_is_the_last_of_its_redirects(events: Events) -> None:
    events.request("L1", "http://a/", "Document")
    events.request("L1", "http://b/", "Document")
    events.response("L1", "http://b/", 404, "Document")
    events.committed("L1", "http://b/")
    document = events.activity.document
    assert document is not None
    assert (document.url, document.status) == ("http://b/", 404)


async def test_a_frames_document_is_not_the_pages(events: Events) -> None:
    events.request("L9", "http://frame/", "Document", loader="L9", frame="inner")
    assert events.activity.last_document is None


async def test_requests_count_until_they_end(events: Events) -> None:
    events.request("1", "http://a/1.png")
    events.request("2", "http://a/2.js", "Script")
    assert events.activity.requests.that_matter() == ["http://a/1.png", "http://a/2.js"]
    events.play("Network.loadingFinished", requestId="1")
    events.play("Network.loadingFailed", requestId="2", errorText="net::ERR_FAILED")
    assert events.activity.requests.that_matter() == []


@pytest.mark.parametrize("kind", ["WebSocket", "EventSource", "Ping", "Media", "Prefetch"])
async def test_requests_that_no_picture_waits_for(events: Events, kind: str) -> None:
    events.request("1", "http://a/endless", kind)
    assert events.activity.requests.that_matter() == []


async def test_a_new_document_forgets_the_requests_of_the_last(events: Events) -> None:
    events.request("1", "http://a/hanging.png", loader="L1")
    events.request("L2", "http://b/", "Document", loader="L2")
    events.committed("L2", "http://b/")
    assert events.activity.requests.that_matter() == ["http://b/"]


async def test_lifecycle_events_belong_to_their_document(events: Events) -> None:
    events.committed("L1", "http://a/")
    events.lifecycle("L1", "load")
    events.lifecycle("L2", "DOMContentLoaded", frame="inner")
    assert events.activity.has_fired("load")
    events.committed("L2", "http://b/")
    assert not events.activity.has_fired("load")
    assert not events.activity.has_fired("DOMContentLoaded")


async def test_until_wakes_with_the_event_that_makes_it_true(events: Events) -> None:
    events.committed("L1", "http://a/")
    waiting = asyncio.create_task(events.activity.until(lambda: events.activity.has_fired("load")))
    await asyncio.sleep(0)
    assert not waiting.done()
    events.lifecycle("L1", "load")
    await waiting


async def test_until_ends_when_the_page_is_lost(events: Events) -> None:
    waiting = asyncio.create_task(events.activity.until(lambda: False))
    await asyncio.sleep(0)
    events.session.lose("the page crashed")
    with pytest.raises(ConnectionLost):
        await waiting


async def test_chromiums_error_page_is_known_as_such(events: Events) -> None:
    events.request("L1", "http://a/", "Document")
    events.play("Network.loadingFailed", requestId="L1", errorText="net::ERR_CONNECTION_REFUSED")
    events.committed("L1", "chrome-error://chromewebdata/", unreachableUrl="http://a/")
    assert events.activity.unreachable_url == "http://a/"
    assert events.activity.document is not None
    assert events.activity.document.error == "net::ERR_CONNECTION_REFUSED"
