"""Pages and servers that mean harm, one after the other on one server.

Each ends in the picture, in a partial one, or in an error of the table; the next capture is right every time, and
nothing is left behind.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.e2e.server_process import ServerProcess, running_server
from tests.e2e.test_resilience import processes, until
from tests.site import blocks
from tests.site.hostile import GREEN, running_raw_site
from tests.site.pictures import Colour, assert_pixels, opened
from tests.site.server import Site

PATIENT_MS, HASTY_MS = 60_000, 1000
_DRAWN = (5, 700)  # a point of the page that nothing on it covers


@dataclass(frozen=True)
class Hostile:
    """A capture and how it may end: `picture`, `partial`, or an error's code.

    More than one outcome only where the page races with the machine's speed.
    """

    name: str
    outcomes: frozenset[str]
    timeout_ms: int = PATIENT_MS
    render: dict[str, Any] = field(default_factory=dict)
    colour: Colour | None = GREEN
    raw: bool = False

    def body(self, site: Site, raw_site: str) -> dict[str, Any]:
        base = f"http://{raw_site}" if self.raw else f"{site.url}/hostile"
        return {
            "url": f"{base}/{self.name}",
            "format": "png",
            "render": {"timeout_ms": self.timeout_ms, **self.render},
        }


def picture(*names: str, colour: Colour | None = GREEN, raw: bool = False, **render: Any) -> list[Hostile]:
    """Drawn in full, however long it takes."""
    return [Hostile(name, frozenset({"picture"}), PATIENT_MS, render, colour, raw) for name in names]


def partial(*names: str, colour: Colour | None = GREEN, raw: bool = False, **render: Any) -> list[Hostile]:
    """Never done: drawn at the deadline as it is."""
    return [Hostile(name, frozenset({"partial"}), HASTY_MS, render, colour, raw) for name in names]


def fails(code: str, *names: str, timeout_ms: int = PATIENT_MS, raw: bool = False, **render: Any) -> list[Hostile]:
    return [Hostile(name, frozenset({code}), timeout_ms, render, None, raw) for name in names]


def one_of(*outcomes: str, names: list[str], raw: bool = False, **render: Any) -> list[Hostile]:
    return [Hostile(name, frozenset(outcomes), HASTY_MS, render, None, raw) for name in names]


TABLE = [
    # Busy loops are ended at the deadline, and what is there is drawn.
    *partial("cpu_spin", "cpu_spin_after_load", "microtasks", "regexp", "mutations", "unload_spin"),
    *picture("animation_frames", "resize_loop", "debugger", delay_ms=200),
    *one_of("partial", "capture_timeout", names=["sync_xhr", "document_write_sync", "endless_text"]),
    *one_of("partial", "capture_timeout", "page_crashed", names=["deep_dom", "uses.svg", "endless_body"]),
    # Dialogs, prompts and windows hold nothing up.
    *picture("alert_loop", "print", "prompts", "fullscreen", "file_input", "popup_links", "close", "auth_sub"),
    *picture("popup_bomb", "half_surrogate_title", "huge_title", "auth", "beforeunload"),
    *picture("mailto"),
    *partial("alert_for_ever", "alert_after_load"),
    # Going elsewhere, once or for ever.
    *picture("hash_storm", "push_state", "form_storm", "document_open", delay_ms=100),
    *one_of("partial", "capture_timeout", names=["meta_refresh", "refresh_header", "reload", "reload_after_load"]),
    *one_of("picture", "partial", "capture_timeout", names=["frame_takes_top", "takes_top"]),
    *one_of("partial", "capture_timeout", names=["beforeunload_loop"]),
    *fails("target_unreachable", "redirect_grows", "redirect_self"),
    # Crowds.
    *picture("service_workers", "shared_workers", "local_storage", "cookies", "web_sockets", delay_ms=200),
    *picture("worker_tree", "nested_frames"),
    *one_of("picture", "partial", "capture_timeout", names=["worker_fork", "many_frames", "fetches", "console_flood"]),
    *one_of("picture", "partial", "capture_timeout", names=["event_sources"]),
    # Pictures and other documents.
    *picture("png_bomb", "svg_laughs_image", "css_bomb", "filters", "huge_page", "video", "huge_canvas", "picture.svg"),
    *picture("laughs.svg", "laughs.xml", "spin.js", "bomb.png", "text.txt", "data.json", "tree.xml", colour=None),
    *picture("broken.xhtml", "nothing", "cut_gzip", "bad_charset", "document_write", colour=None),
    *fails("target_unreachable", "document.pdf", "endless_download", "unknown_type"),
    # Answers that never end, or lie.
    *picture("endless_video", "video.webm", colour=None),
    *partial("endless_image", "endless_multipart", colour=None),
    *fails("capture_timeout", "slow_drip", "ten_gigabytes", timeout_ms=HASTY_MS),
    *one_of("capture_timeout", "partial", "target_unreachable", names=["gzip_bomb"]),
    *fails("target_unreachable", "bad_gzip", "bad_brotli", "many_encodings"),
    *partial("content_length_too_long", "chunked_cut", raw=True),
    *partial("chunked_cut", raw=True, wait_until="load"),
    *picture("content_length_too_short", "content_length_negative", "content_length_huge", raw=True),
    *picture("null_header", "status_999", raw=True),
    *fails("target_unreachable", "many_headers", raw=True),
    *fails("target_unreachable", "content_length_twice", "chunked_garbage", "chunked_huge", "http_0_9", raw=True),
    *fails("target_unreachable", "no_headers_end", "big_header", "status_words", "switching", "closed", raw=True),
    *fails("target_unreachable", "endless_header", "endless_headers", "endless_status", "early_hints", raw=True),
    *fails("target_unreachable", "endless_continue", raw=True),
    *fails("capture_timeout", "drip_header", timeout_ms=HASTY_MS, raw=True),
]


@pytest.fixture(scope="module")
def raw_site() -> Iterator[str]:
    with running_raw_site() as netloc:
        yield netloc


@pytest.fixture(scope="module")
def server(site: Site, raw_site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("data"), GUARD__ALLOW=json.dumps([site.netloc, raw_site])) as running:
        yield running


def outcome(answer: httpx.Response) -> str:
    if answer.status_code != 200:
        return str(answer.json()["error"]["code"])
    return "partial" if answer.json()["meta"]["partial"] else "picture"


def assert_blocks(answer: httpx.Response) -> None:
    """The answer is the right picture of `blocks.html`."""
    assert outcome(answer) == "picture", answer.text[:500]
    assert_pixels(opened(base64.b64decode(answer.json()["image_base64"])), blocks.VIEWPORT)


def blocks_body(site: Site) -> dict[str, Any]:
    return {"url": f"{site.url}/blocks.html", "format": "png", "render": {"timeout_ms": PATIENT_MS}}


@pytest.mark.parametrize("hostile", TABLE, ids=lambda hostile: hostile.name)
def test_it_ends_and_the_next_capture_is_right(
    server: ServerProcess, site: Site, raw_site: str, hostile: Hostile
) -> None:
    answer = server.screenshot(**hostile.body(site, raw_site))
    assert outcome(answer) in hostile.outcomes, answer.text[:500]
    if answer.status_code == 200:
        image = opened(base64.b64decode(answer.json()["image_base64"]))
        assert image.size == (1280, 720)
        if hostile.colour is not None:
            assert_pixels(image, {_DRAWN: hostile.colour})
    assert_blocks(server.screenshot(**blocks_body(site)))


def test_nothing_is_left(server: ServerProcess, site: Site) -> None:
    """One browser, and no renderer but those of the page kept ready."""
    until(lambda: len(processes(server, "browser")) == 1, "one browser is left")
    until(lambda: len(processes(server, "renderer")) <= 2, "the renderers of hostile pages have gone")
    assert not [line for line in server.output if "Traceback" in line]
