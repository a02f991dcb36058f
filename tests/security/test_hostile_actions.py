"""Steps on pages, and scripts of callers, that mean harm: each ends as told, and the next capture is right."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.server_process import ServerProcess
from tests.site import blocks
from tests.site.pictures import assert_pixels
from tests.site.server import Site

from .test_hostile_pages import raw_site as raw_site
from .test_hostile_pages import server as server

CLICK = {"type": "click", "selector": "button", "timeout_ms": 1000}
BUSY = "the page's scripts do not pause"


def evaluate(script: str, **more: Any) -> dict[str, Any]:
    return {"type": "evaluate", "script": script, "timeout_ms": 1000, **more}


@pytest.mark.parametrize("is_optional", [False, True], ids=["fails", "optional"])
@pytest.mark.parametrize(
    ("page", "action", "reason"),
    [
        ("elements_come_and_go", CLICK, "it moves, or was removed meanwhile"),
        ("click_spins", CLICK, BUSY),
        ("green", evaluate("for (;;);"), "the script did not end"),
        ("green", evaluate("(async () => { await 0; for (;;); })()"), "the script did not end"),
        ("green", evaluate("new Promise(() => {})"), "the script did not end"),
        ("green", evaluate("throw 'x'.repeat(1e8)"), "the script failed: xxx"),
        ("green", evaluate("throw {toString() { throw 1 }}"), "the script failed"),
    ],
    ids=str,
)
def test_a_step_ends_in_its_time_and_the_page_is_given_back(
    server: ServerProcess, site: Site, page: str, action: dict[str, Any], reason: str, is_optional: bool
) -> None:
    steps = [action | {"optional": is_optional}, evaluate("6 * 7")]
    body = {"url": f"{site.url}/hostile/{page}", "format": "png", "actions": steps}
    if is_optional:
        image, meta = server.picture(**body)
        assert_pixels(image, {(5, 700): blocks.GREEN})
        failed, went_on = meta["actions"]
        assert failed["error"].startswith(reason)
        assert went_on["result"] == 42
    else:
        error = server.error(400, **body)
        assert error["code"] == "action_failed"
        assert error["details"][0]["message"].startswith(reason)
        assert len(error["message"]) < 1000
    image, _ = server.picture(url=f"{site.url}/blocks.html", format="png")
    assert_pixels(image, blocks.VIEWPORT)


@pytest.mark.parametrize(
    "script",
    [
        "'x'.repeat(1e8)",
        "const long = 'x'.repeat(5e8); long;",
        "Array(1e7).fill('0123456789')",
        "({toJSON: () => 'x'.repeat(1e8)})",
    ],
)
def test_a_huge_result_stays_in_the_page(server: ServerProcess, site: Site, script: str) -> None:
    _, meta = server.picture(url=f"{site.url}/hostile/green", actions=[evaluate(script, timeout_ms=20_000)])
    assert meta["actions"][0]["result"] is None
    assert "is left out" in meta["actions"][0]["note"]


def test_a_page_that_forges_what_our_scripts_use(server: ServerProcess, site: Site) -> None:
    body = {"url": f"{site.url}/hostile/forged_world", "actions": [CLICK, evaluate("document.title")]}
    _, meta = server.picture(**body)
    assert meta["title"] == "pressed"
    assert "is left out" in meta["actions"][1]["note"]
    error = server.error(400, **body | {"actions": [evaluate("throw 1")]})
    assert error["details"][0]["message"] == "the script failed: "


def test_steps_that_reload_without_end(server: ServerProcess, site: Site) -> None:
    body = {"url": f"{site.url}/hostile/green", "format": "png", "actions": [evaluate("location.reload()")] * 50}
    image, meta = server.picture(**body)
    assert_pixels(image, {(5, 700): blocks.GREEN})
    assert all(each["ok"] for each in meta["actions"])
