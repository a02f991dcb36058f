"""What the capture waits for, and what it answers when the wait does not end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.site import blocks
from tests.site.pictures import pixel, similarity
from tests.site.server import Site

from .server_process import ServerProcess


def test_wait_for_selector(server: ServerProcess, site: Site) -> None:
    image, _ = server.picture(url=f"{site.url}/later.html", format="png", render={"wait_for": "#late"})
    assert pixel(image, 50, 50) == blocks.RED


def test_wait_for_function(server: ServerProcess, site: Site) -> None:
    render = {"wait_for_function": "window.isReady"}
    image, _ = server.picture(url=f"{site.url}/later.html", format="png", render=render)
    assert pixel(image, 50, 50) == blocks.RED


def test_delay(server: ServerProcess, site: Site) -> None:
    image, meta = server.picture(url=f"{site.url}/later.html", format="png", render={"delay_ms": 1500})
    assert pixel(image, 50, 50) == blocks.RED
    assert meta["timings"]["settle_ms"] >= 1500
    assert [each["ms"] >= 1500 for each in meta["waited_for"] if each["what"] == "delay_ms"] == [True]


@pytest.mark.parametrize("wait_until", ["settled", "load", "domcontentloaded", "networkidle"])
def test_each_wait_until_gives_the_page(server: ServerProcess, site: Site, wait_until: str) -> None:
    image, meta = server.picture(url=f"{site.url}/blocks.html", format="png", render={"wait_until": wait_until})
    assert pixel(image, 50, 50) == blocks.RED
    assert meta["status_code"] == 200


def test_a_slow_image_is_awaited(server: ServerProcess, site: Site) -> None:
    image, _ = server.picture(html=f'<body style="margin:0"><img src="{site.url}/slow.png?s=0.5">', format="png")
    assert pixel(image, 50, 50) == blocks.GREEN


def test_what_scripts_draw_frame_by_frame_is_awaited(server: ServerProcess, site: Site) -> None:
    image, meta = server.picture(url=f"{site.url}/moving.html", format="png")
    assert [pixel(image, x, y) for x, y in ((100, 50), (190, 150), (100, 250))] == [
        blocks.RED,
        blocks.BLUE,
        blocks.GREEN,
    ]
    assert meta["partial"] is False
    assert meta["requests_in_flight"] == []
    (layout,) = (each for each in meta["waited_for"] if each["what"] == "layout")
    assert layout["ended"] is True
    assert sum(each["ms"] for each in meta["waited_for"]) <= meta["elapsed_ms"]


@pytest.mark.parametrize("host", ["x-chart", "section"])
def test_what_scripts_draw_in_nested_shadow_trees_is_awaited(server: ServerProcess, host: str) -> None:
    html = f"""<body style="margin:0"><{host}></{host}><script>
        const outer = document.body.firstChild.attachShadow({{ mode: "open" }});
        outer.innerHTML = "<x-bar></x-bar>";
        const inner = outer.firstChild.attachShadow({{ mode: "open" }});
        inner.innerHTML = "<p style='margin:0;width:200px;height:100px;background:#f00;opacity:0'></p>";
        let step = 0;
        (function draw() {{
          inner.firstChild.style.opacity = (step += 1) / 40;
          if (step < 40) requestAnimationFrame(draw);
        }})();
        </script>"""
    image, _ = server.picture(html=html, format="png")
    assert pixel(image, 100, 50) == blocks.RED


@pytest.mark.parametrize("page", ["dashboard", "feed", "webfont"])
def test_the_default_wait_is_as_complete_as_a_long_one(server: ServerProcess, site: Site, page: str) -> None:
    url, careful = f"{site.url}/{page}.html", {"wait_until": "networkidle", "delay_ms": 1500}
    # The endless animation stands where `settled` leaves it: at its beginning.
    truth, _ = server.picture(url=url, format="png", render=careful, css=".spin { animation: none !important }")
    image, meta = server.picture(url=url, format="png")
    assert similarity(image, truth) >= 0.9999
    assert len(image.getcolors(1_000_000) or "many") > 1  # not blank
    assert meta["partial"] is False


def test_what_never_ends_is_given_up(server: ServerProcess, site: Site) -> None:
    """Movement, sockets, streams, beacons and heartbeats without end."""
    html = """<body style="background:#00ff00"><p id=p>x<script>
    const turn = (at) => { p.style.transform = `rotate(${at}deg)`; requestAnimationFrame(turn) }
    turn(0)
    new EventSource("/hang")
    navigator.sendBeacon("/hang", "x")
    const beat = () => fetch("/slow.png?s=0.15&" + Math.random())
    setInterval(beat, 200)
    setTimeout(() => setInterval(beat, 200), 100)
    </script>"""
    image, meta = server.picture(html=html, base_url=site.url, format="png", render={"timeout_ms": 20_000})
    assert pixel(image, 600, 600) == blocks.GREEN
    assert meta["partial"] is False
    assert {"what": "layout", "ended": False}.items() <= meta["waited_for"][-1].items()


def test_a_page_that_stops_its_own_loading_is_complete(server: ServerProcess, site: Site) -> None:
    html = "<body style='background:#00ff00'><script>stop()</script>"
    render = {"timeout_ms": 20_000, "on_timeout": "fail"}
    image, _ = server.picture(html=html, base_url=site.url, format="png", render=render)
    assert pixel(image, 600, 600) == blocks.GREEN


def test_javascript_off(server: ServerProcess, site: Site) -> None:
    image, meta = server.picture(url=f"{site.url}/spa.html", format="png", render={"javascript": False})
    assert meta["title"] == "Loading…"
    assert pixel(image, 100, 50) == blocks.WHITE


def test_the_timeout_gives_the_partial_picture_and_its_reasons(server: ServerProcess, site: Site) -> None:
    html = "<body style='background:#00ff00'><img src='/hang?token=secret'><script>fetch('/hang')</script>"
    image, meta = server.picture(html=html, base_url=site.url, format="png", render={"timeout_ms": 1500})
    assert pixel(image, 600, 600) == blocks.GREEN
    assert meta["partial"] is True
    assert "load event" in meta["partial_reason"]
    in_flight = {(request["url"], request["type"]): request["ms"] for request in meta["requests_in_flight"]}
    assert set(in_flight) == {(f"{site.url}/hang?…", "Image"), (f"{site.url}/hang", "Fetch")}
    (load,) = (each for each in meta["waited_for"] if each["what"] == "load")
    assert load["ended"] is False
    assert all(0 < ms <= 1500 for ms in (*in_flight.values(), load["ms"]))


def test_the_timeout_tells_what_was_missing_after_the_load_event(server: ServerProcess, site: Site) -> None:
    html = "<p>x<script>onload = () => document.body.append(Object.assign(new Image(), {src: '/hang'}))</script>"
    _, meta = server.picture(html=html, base_url=site.url, render={"timeout_ms": 1000})
    assert "requests in flight" in meta["partial_reason"]
    assert [(each["url"], each["type"]) for each in meta["requests_in_flight"]] == [(f"{site.url}/hang", "Image")]
    assert {"what": "requests", "ended": False}.items() <= meta["waited_for"][-1].items()


def test_the_timeout_is_an_error_when_asked_for(server: ServerProcess, site: Site) -> None:
    render = {"timeout_ms": 1500, "on_timeout": "fail"}
    error = server.error(500, url=f"{site.url}/forever.html", render=render)
    assert error["code"] == "capture_timeout"


def test_a_server_that_never_answers_is_a_timeout(server: ServerProcess, site: Site) -> None:
    error = server.error(500, url=f"{site.url}/hang", render={"timeout_ms": 1500})
    assert error["code"] == "capture_timeout"


def test_a_page_in_a_busy_loop_is_shown_as_it_is_and_the_next_capture_is_right(
    server: ServerProcess, site: Site
) -> None:
    _, meta = server.picture(url=f"{site.url}/busy.html", render={"timeout_ms": 1000})
    assert meta["partial"] is True
    hasty = {"timeout_ms": 1000, "on_timeout": "fail"}
    assert server.error(500, url=f"{site.url}/busy.html", render=hasty)["code"] == "capture_timeout"
    image, _ = server.picture(url=f"{site.url}/blocks.html", format="png")
    assert pixel(image, 50, 50) == blocks.RED


@pytest.mark.parametrize(
    "again", ["<script>location.reload()</script>", '<meta http-equiv="refresh" content="0">'], ids=["script", "meta"]
)
def test_a_page_that_reloads_itself_for_ever_is_shown_as_it_is(server: ServerProcess, site: Site, again: str) -> None:
    body = {"html": f"<body style='background:#00ff00'>{again}", "base_url": f"{site.url}/", "format": "png"}
    with ThreadPoolExecutor(8) as callers:  # side by side, some are held between one document and the next
        captures = [callers.submit(server.picture, **body, render={"timeout_ms": 1500}) for _ in range(8)]
    for capture in captures:
        image, meta = capture.result()
        assert pixel(image, 600, 600) == blocks.GREEN
        assert meta["partial"] is True


def test_dialogs_do_not_hold_the_page(server: ServerProcess, site: Site) -> None:
    image, _ = server.picture(url=f"{site.url}/dialogs.html", format="png")
    assert pixel(image, 600, 600) == blocks.GREEN


def test_a_redirect_by_script_is_followed(server: ServerProcess, site: Site) -> None:
    image, meta = server.picture(url=f"{site.url}/script-redirect.html?to=/blocks.html", format="png")
    assert pixel(image, 50, 50) == blocks.RED
    assert meta["final_url"] == f"{site.url}/blocks.html"


def test_a_page_that_closes_itself_is_an_error_and_the_next_capture_is_right(server: ServerProcess, site: Site) -> None:
    answer = server.screenshot(html="<script>window.close()</script><p>gone")
    assert answer.status_code in (200, 500)
    if answer.status_code == 500:
        assert answer.json()["error"]["code"] == "page_crashed"
    image, _ = server.picture(url=f"{site.url}/blocks.html", format="png")
    assert pixel(image, 50, 50) == blocks.RED
