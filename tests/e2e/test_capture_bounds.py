"""What a page or a caller does to hold a capture for ever, or to make it answer nonsense: each has its bound."""

from __future__ import annotations

from typing import Any

import pytest

from tests.site import blocks
from tests.site.pictures import pixel
from tests.site.server import Site

from .server_process import ServerProcess

LOOP_AFTER_SCROLLING = """<body style="height:5000px"><script>
let seen = false
addEventListener("scroll", () => {
  if (scrollY > 0) seen = true
  if (seen && scrollY === 0) requestAnimationFrame(() => { for (;;); })
})</script>"""
LOOP_WHEN_SEEN = """<div id=a style="display:none;width:9px;height:9px">a</div><script>
setTimeout(() => {
  document.querySelector("#a").style.display = "block"
  requestAnimationFrame(() => requestAnimationFrame(() => { for (;;); }))
}, 300)</script>"""


@pytest.mark.parametrize(
    "body",
    [
        {"html": LOOP_AFTER_SCROLLING, "full_page": True},
        {"html": LOOP_WHEN_SEEN, "selector": "#a", "render": {"wait_until": "domcontentloaded", "timeout_ms": 2000}},
    ],
    ids=["full page", "selector"],
)
def test_a_loop_begun_at_the_worst_moment_ends_with_the_timeout(
    server: ServerProcess, site: Site, body: dict[str, Any]
) -> None:
    answer = server.screenshot(**{"render": {"timeout_ms": 2000}, **body})
    assert answer.status_code == 200 or answer.json()["error"]["code"] == "capture_timeout"
    image, _ = server.picture(url=f"{site.url}/blocks.html", format="png")
    assert pixel(image, 50, 50) == blocks.RED


@pytest.mark.parametrize("with_base", [True, False], ids=["base_url", "none"])
@pytest.mark.parametrize("origins", [["https://cdn.example"], None], ids=["other origin", "own origin"])
def test_markup_is_shown_also_when_headers_are_added(
    server: ServerProcess, site: Site, with_base: bool, origins: list[str] | None
) -> None:
    body: dict[str, Any] = {"html": "<title>mine</title><body style='background:#00ff00'>", "format": "png"}
    rule: dict[str, Any] = {"name": "X-Token", "value": "1"}
    body["headers"] = [rule if origins is None else {**rule, "origins": origins}]
    if with_base:
        body["base_url"] = f"{site.url}/blocks.html"
    asked = len(site.seen("/blocks.html"))
    image, meta = server.picture(**body)
    assert meta["title"] == "mine"
    assert pixel(image, 600, 600) == blocks.GREEN
    assert len(site.seen("/blocks.html")) == asked


def test_a_title_is_of_a_bounded_length(server: ServerProcess) -> None:
    _, meta = server.picture(html="<script>document.title = 'x'.repeat(5_000_000)</script>")
    assert meta["title"] == "x" * 65_536


def test_an_element_that_has_no_size_at_the_end_is_not_found(server: ServerProcess) -> None:
    html = "<div id=a style='display:none'>a</div><img src='/hang'>"
    error = server.error(400, html=html, selector="#a", render={"timeout_ms": 1500})
    assert error["code"] == "selector_not_found"


def test_a_script_that_leaves_its_page_is_a_warning(server: ServerProcess, site: Site) -> None:
    script = f"location.href = '{site.url}/blocks.html'; new Promise(() => {{}})"
    image, meta = server.picture(url=f"{site.url}/echo", js=script, format="png")
    assert pixel(image, 50, 50) == blocks.RED
    assert [warning["code"] for warning in meta["warnings"]] == ["script_failed"]


def test_a_function_is_asked_of_the_page_that_comes_next(server: ServerProcess, site: Site) -> None:
    function = f"""
    location.pathname === '/blocks.html' ||
    (location.href = '{site.url}/blocks.html', new Promise(() => {{}}))"""
    image, _ = server.picture(url=f"{site.url}/echo", render={"wait_for_function": function}, format="png")
    assert pixel(image, 50, 50) == blocks.RED


@pytest.mark.parametrize("value", ["[]", "'0'", "1n", "Infinity"])
def test_truth_is_javascripts(server: ServerProcess, value: str) -> None:
    server.picture(html="<p>x", render={"wait_for_function": value, "timeout_ms": 3000, "on_timeout": "fail"})


@pytest.mark.parametrize("value", ["''", "0", "NaN", "0n", "-0", "null", "undefined", "Promise.resolve(false)"])
def test_falsehood_is_javascripts(server: ServerProcess, value: str) -> None:
    render = {"wait_for_function": value, "timeout_ms": 1000, "on_timeout": "fail"}
    assert server.error(500, html="<p>x", render=render)["code"] == "capture_timeout"


def test_what_a_script_gives_is_not_looked_at(server: ServerProcess) -> None:
    nested = "let a = {}; for (let i = 0; i < 5000; i++) a = {a}; a"
    _, meta = server.picture(html="<p>x", js=nested)
    assert meta["warnings"] == []
