"""Fields that say who asks, what is not loaded, what is painted over, and what is told of the page."""

from __future__ import annotations

import base64
from typing import get_args

import pytest

from calotype.request.parts import Resource
from tests.site import blocks
from tests.site.pictures import pixel
from tests.site.server import Site

from .server_process import ServerProcess

AUTH = {"username": "user", "password": "pass word"}
SENT = "Basic " + base64.b64encode(b"user:pass word").decode()
BLACK = (0, 0, 0)


def elsewhere(site: Site) -> str:
    return site.url.replace("127.0.0.1", "localhost")


def authorizations(site: Site, path: str) -> list[str | None]:
    return [request.headers.get("authorization") for request in site.seen(path)]


def test_basic_auth_opens_the_page_and_what_is_in_it(server: ServerProcess, site: Site) -> None:
    site.requests.clear()
    image, meta = server.picture(url=f"{site.url}/private", basic_auth=AUTH, format="png")
    assert (pixel(image, 600, 600), meta["status_code"]) == (blocks.GREEN, 200)
    assert authorizations(site, "/private.png")[-1] == SENT


@pytest.mark.parametrize("wrong", [None, {"username": "user", "password": "wrong"}])
def test_without_the_password_the_refusal_is_the_picture(
    server: ServerProcess, site: Site, wrong: dict[str, str] | None
) -> None:
    fields = {"basic_auth": wrong} if wrong else {}
    image, meta = server.picture(url=f"{site.url}/private", format="png", **fields)
    assert (pixel(image, 600, 600), meta["status_code"]) == (blocks.RED, 401)


def test_basic_auth_goes_to_no_other_origin(server: ServerProcess, site: Site) -> None:
    """Not after a redirect, not to a frame, not to an image."""
    site.requests.clear()
    _, meta = server.picture(url=f"{site.url}/redirect?to={elsewhere(site)}/private", basic_auth=AUTH)
    assert meta["status_code"] == 401
    html = f'<img src="{elsewhere(site)}/private.png"><iframe src="{elsewhere(site)}/private"></iframe>'
    server.picture(html=html, base_url=f"{site.url}/", basic_auth=AUTH)
    seen = [*site.seen("/private"), *site.seen("/private.png")]
    assert len(seen) >= 3
    assert {request.headers["host"].partition(":")[0] for request in seen} == {"localhost"}
    assert not [request for request in seen if "authorization" in request.headers]


def test_a_cookie_goes_to_no_other_origin(server: ServerProcess, site: Site) -> None:
    site.requests.clear()
    server.picture(url=f"{site.url}/redirect?to={elsewhere(site)}/echo", cookies="a=secret")
    assert site.seen("/redirect")[-1].headers["cookie"] == "a=secret"
    assert "cookie" not in site.seen("/echo")[-1].headers


@pytest.mark.parametrize(
    ("block", "missing"),
    [
        ({}, set()),
        ({"resources": ["image"]}, {"red", "green"}),
        ({"resources": ["stylesheet"]}, {"style"}),
        ({"resources": ["script", "frame"]}, {"script", "frame"}),
        ({"urls": ["*ad=1"]}, {"green"}),
        ({"urls": ["*://127.0.0.1:*/fields/*.css", "*.js"]}, {"style", "script"}),
        ({"urls": ["127.0.0.1"]}, {"red", "green", "style", "script", "frame"}),
    ],
)
def test_what_is_blocked_is_not_asked_for(
    server: ServerProcess, site: Site, block: dict[str, list[str]], missing: set[str]
) -> None:
    """The page itself is never blocked."""
    if "127.0.0.1" in block.get("urls", []):
        block = {"urls": [site.netloc]}
    site.requests.clear()
    image, meta = server.picture(url=f"{site.url}/fields/blocking.html", block=block, format="png")
    paths = {
        "red": "/colour/ff0000",
        "green": "/colour/00ff00",
        "style": "/fields/blocking.css",
        "script": "/fields/blocking.js",
        "frame": "/fields/frame-of-colour.html",
    }
    assert {name for name, path in paths.items() if not site.seen(path)} == missing
    assert pixel(image, 600, 600) == (blocks.WHITE if "style" in missing else blocks.BLUE)
    assert meta["title"] == ("start" if "script" in missing else "script ran")
    assert meta["warnings"] == []


EVERYTHING = """<link rel=stylesheet href=/kind/stylesheet><img src=/kind/image>
  <link rel=manifest href=/kind/manifest><link rel=icon href=/kind/icon><iframe src=/kind/frame></iframe>
  <video src=/kind/media controls><track default kind=captions src=/kind/texttrack></video>
  <script src=/kind/script></script><script>
    document.querySelector("track").track.mode = "showing"; navigator.sendBeacon("/kind/ping");
    fetch("/kind/fetch"); new EventSource("/kind/eventsource"); new Worker("/kind/other");
    const xhr = new XMLHttpRequest(); xhr.open("GET", "/kind/xhr"); xhr.send()
  </script>"""


@pytest.mark.parametrize(
    "kinds",
    [get_args(Resource), *(("texttrack",), ("media",), ("manifest",), ("other",), ("eventsource",), ("xhr", "fetch"))],
    ids="+".join,
)
def test_each_kind_of_requests_can_be_blocked(server: ServerProcess, site: Site, kinds: tuple[str, ...]) -> None:
    site.requests.clear()
    server.picture(html=EVERYTHING, base_url=f"{site.url}/", block={"resources": list(kinds)})
    seen = {request.path.removeprefix("/kind/") for request in site.requests}
    assert not seen & set(kinds)
    if len(kinds) < 3:
        assert seen | set(kinds) >= {"image", "script", "fetch", "xhr", "eventsource", "texttrack", "media"}


CARDS = """<style>body { margin: 0; height: 3000px; background: #ffffff }
  b { position: absolute; left: 100px; width: 200px; height: 100px; background: #ff0000 }
  #low { top: 2000px } #bar { position: fixed; top: 300px } .gone { display: none }
  i { position: absolute; left: 150px; top: 80px; width: 60px; height: 60px; background: #00ff00 }</style>
  <b id=card style="top: 100px"><i></i></b><b id=low></b><b id=bar></b><b class=gone></b>"""
DIALOG = """<style>::backdrop { display: none }
  #dialog { margin: 0; left: 600px; top: 500px; width: 100px; height: 100px }
  </style><dialog id=dialog></dialog><script>dialog.showModal()</script>"""


def test_what_is_masked_is_black_and_all_that_is_in_it(server: ServerProcess) -> None:
    selectors = ["#card", "#bar", "#dialog", ".gone", ".none"]
    image, meta = server.picture(html=CARDS + DIALOG, format="png", mask=selectors)
    for point in [(105, 105), (295, 195), (305, 235), (200, 350), (650, 550)]:
        assert pixel(image, *point) == BLACK, point
    for point in [(95, 150), (320, 250), (200, 420), (590, 550)]:
        assert pixel(image, *point) == blocks.WHITE, point
    assert [(warning["code"], warning["field"]) for warning in meta["warnings"]] == [("nothing_masked", "mask[4]")]


@pytest.mark.parametrize("area", [{"full_page": True}, {"clip": {"x": 0, "y": 1900, "width": 400, "height": 300}}])
def test_masks_are_where_the_picture_is(server: ServerProcess, area: dict[str, object]) -> None:
    image, _ = server.picture(html=CARDS, format="png", mask=["#low"], **area)
    top = 2000 if "full_page" in area else 100
    assert [pixel(image, 101, top + 1), pixel(image, 299, top + 99)] == [BLACK] * 2
    assert [pixel(image, 95, top + 50), pixel(image, 200, top - 10)] == [blocks.WHITE] * 2


def test_a_masked_element_alone_is_black(server: ServerProcess) -> None:
    image, _ = server.picture(html=CARDS, format="png", mask=["b"], selector="#low", padding=10)
    assert image.size == (220, 120)
    assert (pixel(image, 110, 60), pixel(image, 5, 60)) == (BLACK, blocks.WHITE)


def test_a_mask_that_is_no_selector(server: ServerProcess) -> None:
    error = server.error(400, html="<p>x", mask=["p", "p["])
    assert [detail["field"] for detail in error["details"]] == ["mask[1]"]
    assert server.error(400, html="<p>x", mask=["p"], format="pdf")["details"][0]["field"] == "mask"


def test_metadata(server: ServerProcess, site: Site) -> None:
    of_page = ["title", "description", "open_graph", "icon", "fonts", "links", "text", "html"]
    everything = [*of_page, "headers", "console", "network"]
    _, meta = server.picture(url=f"{site.url}/fields/facts.html", metadata=everything, mask=["h1"])
    told = meta["metadata"]
    assert (told["title"], told["description"]) == ("Facts of a page", "What it is about.")
    assert told["open_graph"] == {"title": ["Facts"], "image": ["/a.png", "/b.png"]}
    assert told["icon"] == f"{site.url}/fields/large.png"
    assert told["fonts"] == ["Late Mono"]
    assert told["links"] == [
        {"url": f"{site.url}/echo", "text": "echo"},
        {"url": "https://example.com/x#y", "text": "elsewhere"},
    ]
    assert "First echo, again" in told["text"]
    assert "not to be seen" not in told["text"]
    assert told["html"].lower().startswith("<!doctype html><html")
    assert "not to be seen" in told["html"]
    assert "popover" not in told["html"]
    assert told["headers"]["content-type"].startswith("text/html")
    entries = [(entry["level"], entry["text"]) for entry in told["console"]]
    assert ("warning", "careful 42 Object") in entries
    assert [text for level, text in entries if level == "exception" and "uncaught here" in text]
    requests = {entry["url"].removeprefix(site.url): entry for entry in told["network"]}
    assert requests["/fields/facts.html"]["status"] == 200
    assert requests["/status/404"]["status"] == 404
    assert (requests["/font.ttf"]["type"], requests["/font.ttf"]["bytes"] > 1000) == ("Font", True)


def test_only_what_was_asked_for_is_told(server: ServerProcess, site: Site) -> None:
    _, meta = server.picture(url=f"{site.url}/fields/facts.html", metadata=["description"])
    assert {name for name, value in meta["metadata"].items() if value is not None} == {"description"}
    _, plain = server.picture(url=f"{site.url}/fields/facts.html")
    assert plain["metadata"] is None


def test_a_redirect_is_two_requests(server: ServerProcess, site: Site) -> None:
    _, meta = server.picture(url=f"{site.url}/redirect?to=/echo", metadata=["network"])
    assert [(entry["url"].removeprefix(site.url), entry["status"]) for entry in meta["metadata"]["network"]][:2] == [
        ("/redirect?to=/echo", 302),
        ("/echo", 200),
    ]


def test_the_raw_form_has_of_metadata_what_fits_into_a_header(server: ServerProcess) -> None:
    query = {"html": f"<title>Short</title><p>{'word ' * 1000}", "metadata": "title,text,html", "format": "png"}
    answer = server.client.get("/v1/screenshot", params=query, headers={"Authorization": f"Bearer {server.key}"})
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-calotype-metadata"] == '{"title":"Short"}'
