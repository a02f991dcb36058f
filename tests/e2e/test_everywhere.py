"""The caller's wishes hold in the page, in frames of its own and of other origins, and in every kind of worker.

Headless shell draws all frames of a page in one process. Other builds of Chromium give those of other sites a process
each; `isolating` runs it that way.
"""

from __future__ import annotations

import json
from typing import Any

from tests.site.server import Site

from .server_process import ServerProcess

DOCUMENTS = ("page", "same", "cross", "nested")
WORKERS = ("dedicated", "shared", "service")
OWN = ("page", "same", "nested", *WORKERS)
"""Whose requests go to the page's own origin."""


def other_origin(site: Site) -> str:
    return site.url.replace("127.0.0.1", "localhost")


def capture(server: ServerProcess, site: Site, **fields: Any) -> dict[str, dict[str, Any]]:
    """What page, frames and workers see."""
    site.requests.clear()
    url = f"{site.url}/fields/everywhere.html?other={other_origin(site)}"
    _, meta = server.picture(url=url, render={"wait_for_function": "document.title"}, **fields)
    assert meta["partial_reason"] is None
    seen = json.loads(meta["title"])
    assert set(seen) == {*DOCUMENTS, *WORKERS}
    return seen


def values(seen: dict[str, dict[str, Any]], names: tuple[str, ...], key: str) -> list[Any]:
    return [seen[name][key] for name in names]


def headers_of(site: Site, name: str) -> dict[str, str]:
    [request] = site.seen(f"/hit/{name}")
    return request.headers


def test_user_agent_and_locale(either: ServerProcess, site: Site) -> None:
    seen = capture(either, site, user_agent="calotype-test/2", locale="de-DE")
    everyone = (*DOCUMENTS, *WORKERS)
    assert values(seen, everyone, "agent") == ["calotype-test/2"] * 7
    assert values(seen, everyone, "languages") == ["de-DE,de"] * 7
    assert values(seen, everyone, "locale") == ["de-DE"] * 7
    assert {request.headers["user-agent"] for request in site.requests} == {"calotype-test/2"}
    languages = {request.path: request.headers.get("accept-language") for request in site.requests}
    assert set(languages.values()) == {"de-DE,de;q=0.9"}, languages


def test_timezone(either: ServerProcess, site: Site) -> None:
    seen = capture(either, site, timezone="Asia/Tokyo")
    assert values(seen, (*DOCUMENTS, *WORKERS), "zone") == ["Asia/Tokyo"] * 7


def test_media(either: ServerProcess, site: Site) -> None:
    media = {"color_scheme": "dark", "reduced_motion": True, "forced_colors": True, "contrast": "more", "type": "print"}
    seen = capture(either, site, media=media)
    for name in ("dark", "still", "forced", "contrast", "print"):
        assert values(seen, DOCUMENTS, name) == [True] * 4, name
    plain = capture(either, site)
    for name in ("dark", "still", "forced", "contrast", "print"):
        assert values(plain, DOCUMENTS, name) == [False] * 4, name


def test_device(either: ServerProcess, isolating: ServerProcess, site: Site) -> None:
    seen = capture(either, site, device="Pixel 8")
    agent = seen["page"]["agent"]
    assert "Android" in agent
    everyone = (*DOCUMENTS, *WORKERS)
    for name, value in {"agent": agent, "platform": "Android", "mobile": True}.items():
        assert values(seen, everyone, name) == [value] * 7, name
    assert values(seen, DOCUMENTS, "touch") == [True] * 4
    # Chromium draws frames with a process of their own right, but tells them of its own screen.
    told = ("page", "same") if either is isolating else DOCUMENTS
    for name, value in {"ratio": 2.625, "width": 412, "height": 915}.items():
        assert values(seen, told, name) == [value] * len(told), name
    assert {request.headers["user-agent"] for request in site.requests} == {agent}


def test_headers_go_to_the_own_origin_whoever_asks(either: ServerProcess, site: Site) -> None:
    capture(either, site, headers={"X-Secret": "s3cret"})
    own = {request.path for request in site.requests if request.headers["host"] == site.netloc}
    assert {f"/hit/{name}" for name in OWN} | {"/fields/service.js", "/fields/shared.js"} <= own
    for request in site.requests:
        assert request.headers.get("x-secret") == ("s3cret" if request.headers["host"] == site.netloc else None)
    assert "x-secret" not in headers_of(site, "cross")
