"""`block` and WebSockets, which Chromium lets nobody stop: wherever they are opened."""

from __future__ import annotations

from typing import Any

import pytest

from tests.site.server import Site

from .server_process import ServerProcess

EVERYONE = {"page", "same", "cross", "dedicated", "shared", "service"}


@pytest.mark.parametrize(
    ("block", "opened"),
    [
        ({}, EVERYONE),
        ({"resources": ["websocket"]}, set()),
        ({"urls": ["*/socket/*"]}, set()),
        ({"urls": ["ws://127.0.0.1:*"]}, {"cross"}),
        ({"urls": ["wss://*", "*.ws"], "resources": ["xhr"]}, EVERYONE),
    ],
)
def test_sockets_that_are_blocked_are_not_opened(
    server: ServerProcess, site: Site, block: dict[str, Any], opened: set[str]
) -> None:
    site.requests.clear()
    other = site.url.replace("127.0.0.1", "localhost")
    _, meta = server.picture(
        url=f"{site.url}/fields/sockets.html?other={other}",
        block=block,
        render={"wait_for_function": "document.title"},
    )
    assert meta["title"] == ",".join(sorted(EVERYONE))
    assert {request.path.removeprefix("/socket/") for request in site.requests if "/socket/" in request.path} == opened
    assert meta["warnings"] == []
