"""What timers are about to do is in the picture, though no request tells of them (`settled`)."""

from __future__ import annotations

import pytest

from tests.site import blocks
from tests.site.pictures import pixel
from tests.site.server import Site

from .server_process import ServerProcess

_LATE = "document.body.innerHTML = '<div style=\"width: 100px; height: 100px; background: #ff0000\"></div>'"
_PAGES = {
    "comes later": f"<script>setTimeout(() => {{ {_LATE} }}, 700)</script>",
    "one timer begins another": f"<script>setTimeout(() => setTimeout(() => {{ {_LATE} }}, 300), 300)</script>",
    "asks when its timer ends": f"""<script>
        setTimeout(() => fetch('/slow.png?s=0.3').then(() => {{ {_LATE} }}), 400)</script>""",
    "preloader that fades away by frames": """<div style="width: 100px; height: 100px; background: #ff0000"></div>
        <div id=loader style="position: fixed; inset: 0; background: white"></div><script>
        onload = () => setTimeout(() => {
          const began = performance.now();
          const fade = () => {
            const part = (performance.now() - began) / 400;
            loader.style.opacity = Math.max(0, 1 - part);
            part < 1 ? requestAnimationFrame(fade) : loader.remove();
          };
          fade();
        }, 350)</script>""",
    "preloader that fades away by style": """<style>
        #loader { transition: opacity 3s; position: fixed; inset: 0; background: white }
        #loader.gone { opacity: 0 }</style>
        <div style="width: 100px; height: 100px; background: #ff0000"></div><div id=loader></div>
        <script>onload = () => setTimeout(() => loader.className = "gone", 500)</script>""",
    "typed letter by letter": """<div id=bar style="height: 100px; width: 0; background: #ff0000"></div><script>
        let px = 0;
        const more = () => { bar.style.width = (px += 10) + "px"; if (px < 100) setTimeout(more, 60) };
        more()</script>""",
    "begun by an attribute": f"""<body onload='setTimeout(() => {{ {_LATE.replace("'", "&#39;")} }}, 500)'>""",
    "goes elsewhere": "<script>setTimeout(() => location = '/blocks.html', 300)</script>",
}


@pytest.mark.parametrize("page", _PAGES)
def test_what_a_timer_brings_is_in_the_picture(server: ServerProcess, site: Site, page: str) -> None:
    html = f"<!doctype html><body style='margin: 0'>{_PAGES[page]}"
    image, meta = server.picture(html=html, base_url=site.url, format="png")
    assert (pixel(image, 50, 50), pixel(image, 95, 50)) == (blocks.RED, blocks.RED)
    assert meta["partial"] is False
    assert "timers" in [each["what"] for each in meta["waited_for"]]


def test_what_the_callers_script_begins_is_in_the_picture_of_a_page_without_scripts(
    server: ServerProcess, site: Site
) -> None:
    js = [f"setTimeout(() => {{ {_LATE} }}, 600); 0"]
    html = "<!doctype html><body style='margin: 0'>"
    image, _ = server.picture(html=html, base_url=site.url, format="png", js=js)
    assert pixel(image, 50, 50) == blocks.RED


@pytest.mark.parametrize(
    "script",
    [
        "setInterval(() => { a.textContent += 1 }, 30)",
        "const again = () => setTimeout(again, 0); again()",
        "const { port1, port2 } = new MessageChannel(); (port1.onmessage = () => port2.postMessage(0))()",
        "setTimeout(() => { while (true); }, 300)",
        "setTimeout(() => fetch('/hang'), 300)",
        "setTimeout(() => location = 'http://10.0.0.1/', 300)",
    ],
)
def test_timers_without_end_leave_the_picture_as_it_was(server: ServerProcess, site: Site, script: str) -> None:
    html = (
        f"<!doctype html><body style='background: #00ff00'><p id=a>0</p><script>onload = () => {{ {script} }}</script>"
    )
    image, meta = server.picture(html=html, base_url=site.url, format="png", render={"on_timeout": "fail"})
    assert pixel(image, 600, 600) == blocks.GREEN
    assert meta["partial"] is False


def test_a_second_picture_is_taken_of_a_page_whose_time_was_moved_on(server: ServerProcess, site: Site) -> None:
    """`retry_on_verdict` waits for what comes after the look ahead, too."""
    html = f"<!doctype html><body style='margin: 0'><script>setTimeout(() => {{ {_LATE} }}, 2500)</script>"
    image, meta = server.picture(html=html, base_url=site.url, format="png", retry_on_verdict=True)
    assert meta["retry"] is not None
    assert pixel(image, 50, 50) == blocks.RED
