"""The API tester in a real browser: every control, what it sends, what it shows, and what it must not do."""

from __future__ import annotations

import gzip
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from calotype.browser.discover import find_browser
from calotype.request import parse_body
from calotype.request.groups import GROUPS
from calotype.request.model import CaptureRequest
from calotype.settings import BrowserSettings
from tests.site import blocks
from tests.site.pictures import assert_pixels, opened
from tests.site.server import Site

from .server_process import ServerProcess

STATIC = Path(__file__).resolve().parents[2] / "src/calotype/http/static"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        executable = find_browser(BrowserSettings())
        # As root Chromium's sandbox can't be on; the page is our own.
        with playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"]) as browser:
            yield browser


@pytest.fixture
def page(browser: Browser, server: ServerProcess) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=server.url)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    own = (server.url, "blob:", "data:")
    page.on("request", lambda request: None if request.url.startswith(own) else wrong.append(request.url))
    open_tester(page, server)
    yield page
    context.close()
    # Violations of the policy come as errors, too. A failed request is what some tests are about.
    assert [text for text in wrong if "Failed to load resource" not in text] == []


def open_tester(page: Page, server: ServerProcess) -> None:
    page.goto(f"/#key={server.key}")
    page.wait_for_selector("body[data-ready]")


def open_all(page: Page) -> None:
    page.eval_on_selector_all("#fields details", "all => all.forEach(each => each.open = true)")


def captured(page: Page) -> dict[str, Any]:
    """Press the button; what was sent."""
    with page.expect_request("**/v1/screenshot") as sent:
        page.get_by_role("button", name="Capture", exact=True).click()
    expect(page.locator("#capture")).to_be_enabled()
    return dict(sent.value.post_data_json)


def field(page: Page, name: str) -> Any:
    return page.locator(f"[data-field='{name}']").first


def test_a_page_becomes_a_picture(page: Page, server: ServerProcess, site: Site) -> None:
    assert page.url == f"{server.url}/"  # the key does not stay in the address
    field(page, "url").fill(f"{site.url}/blocks.html")
    page.locator("summary", has_text="Picture").first.click()
    field(page, "format").select_option(label="png")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#state")).to_contain_text("Captured in")
    size = "image => [image.naturalWidth, image.naturalHeight]"
    assert page.locator("#picture img").evaluate(size) == [1280, 720]
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").click()
    assert_pixels(opened(Path(download.value.path()).read_bytes()), dict(blocks.VIEWPORT))
    expect(page.locator("#summary")).to_contain_text("1280 \u00d7 720")
    expect(page.locator("#notes")).to_contain_text("Verdict: ok")
    assert page.locator("#waterfall tr").count() == 6
    assert "… (" in page.locator("#json").text_content()
    expect(page.locator("#usage")).to_contain_text("used")
    page.get_by_role("button", name="100 %").click()
    assert page.evaluate("() => document.querySelector('#picture img').getBoundingClientRect().width") == 1280


def test_every_field_has_a_control(page: Page) -> None:
    open_all(page)
    controls = set(page.eval_on_selector_all("[data-field]", "all => all.map(each => each.dataset.field)"))
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(CaptureRequest.model_fields)
    objects = {"clip", "viewport", "resize", "render", "geolocation", "basic_auth", "media", "block", "cache"}
    choices = {"metadata"}
    assert set(grouped) - controls == objects | choices
    assert {
        "width",
        "timeout_ms",
        "wait_for_function",
        "latitude",
        "color_scheme",
        "urls",
        "ttl_s",
        "metadata.links",
    } <= controls
    for name in ("ads", "trackers", "cookie_banners", "chats"):
        expect(field(page, name)).to_be_disabled()
    unnamed = page.eval_on_selector_all(
        "button, input, select, textarea, a",
        "all => all.filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map(e => e.outerHTML)",
    )
    assert unnamed == []


def test_what_every_kind_of_control_sends(page: Page) -> None:
    """Each is set, and the request that comes of it is one that the server takes."""
    open_all(page)
    field(page, "html").fill("<p>x")
    field(page, "base_url").fill("https://example.com/")
    field(page, "quality").fill("70")
    field(page, "full_page").check()
    field(page, "device").fill("iPhone 15")
    field(page, "color_scheme").select_option(label="dark")
    field(page, "reduced_motion").select_option(index=1)
    page.locator("fieldset", has=page.locator("legend", has_text="render")).locator("[data-field=selector]").first.fill(
        "p"
    )
    field(page, "state").select_option(label="attached")
    field(page, "javascript").uncheck()
    field(page, "scroll").select_option(label="no")
    field(page, "hide").fill(".a\n\n.b, .c\n")
    field(page, "fail_on_status").fill("4xx\n503")
    field(page, "metadata.title").check()
    field(page, "metadata.links").check()
    field(page, "latitude").fill("52.5")
    field(page, "longitude").fill("13.4")
    field(page, "cookies").click()
    row = page.locator("ol.rows li")
    row.locator("[data-field=name]").fill("session")
    row.locator("[data-field=value]").fill("s3cret")
    sent = captured(page)
    assert sent == {
        "html": "<p>x",
        "base_url": "https://example.com/",
        "quality": 70,
        "full_page": True,
        "device": "iPhone 15",
        "media": {"color_scheme": "dark", "reduced_motion": "reduce"},
        "render": {"wait_for": {"selector": "p", "state": "attached"}, "javascript": False, "scroll": False},
        "hide": [".a", ".b, .c"],
        "fail_on_status": ["4xx", "503"],
        "metadata": ["title", "links"],
        "geolocation": {"latitude": 52.5, "longitude": 13.4},
        "cookies": [{"name": "session", "value": "s3cret"}],
    }
    parse_body(sent, strict=True)
    assert "s3cret" not in page.evaluate("() => JSON.stringify(localStorage)")
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("#code")).to_contain_text("-d '{}'")


def test_actions_are_a_list_that_can_be_changed(page: Page) -> None:
    open_all(page)
    field(page, "html").fill("<button onclick='document.body.style.background=`#00ff00`'>go</button><input>")
    add = page.get_by_role("button", name="Add to actions")
    rows = page.locator("ol.rows > li")
    for number, kind in enumerate(("wait", "click")):
        add.click()
        rows.nth(number).get_by_label("Kind of actions").select_option(label=kind)
    rows.nth(0).locator("[data-field=ms]").fill("10")
    rows.nth(1).locator("[data-field=selector]").fill("button")
    rows.nth(1).get_by_role("button", name="Move up").click()
    add.click()
    rows.nth(2).get_by_role("button", name="Remove").click()
    assert captured(page)["actions"] == [{"type": "click", "selector": "button"}, {"type": "wait", "ms": 10}]
    expect(page.locator("#notes")).to_contain_text("Action 1, wait")


def test_errors_stand_at_their_fields(page: Page) -> None:
    field(page, "url").fill("ftp://example.com")
    open_all(page)
    field(page, "quality").fill("500")
    width = page.locator("fieldset", has=page.locator("legend", has_text="viewport")).locator("[data-field=width]")
    width.fill("3")
    page.eval_on_selector_all("#fields details", "all => all.forEach(each => each.open = false)")
    captured(page)
    expect(page.locator("#state")).to_contain_text("invalid_request")
    wrong = page.locator(".wrong:visible")
    expect(wrong).to_have_count(3)
    expect(field(page, "url")).to_be_focused()
    expect(field(page, "url")).to_have_attribute("aria-invalid", "true")
    field(page, "url").fill("http://10.0.0.1/")
    field(page, "quality").fill("")
    open_all(page)
    width.fill("")
    captured(page)
    expect(page.locator("#state")).to_contain_text("blocked_target")
    page.get_by_label("API key").fill("calo_wrong")
    captured(page)
    expect(page.locator("#state")).to_contain_text("api_key_invalid")
    expect(page.get_by_label("API key")).to_be_focused()


def test_a_job_shows_its_state_and_can_be_cancelled(page: Page, site: Site) -> None:
    field(page, "html").fill("<body style='background: #00ff00'>")
    page.get_by_label("as a job").check()
    page.get_by_role("button", name="Capture", exact=True).click()
    expect(page.locator("#state")).to_contain_text(": done in")
    assert page.locator("#picture img").count() == 1
    field(page, "html").fill("")
    field(page, "url").fill(f"{site.url}/forever.html")
    page.get_by_role("button", name="Capture", exact=True).click()
    expect(page.locator("#state")).to_contain_text(": running")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#state")).to_contain_text(": cancelled")


def test_history_keeps_requests_and_gives_them_back(page: Page, server: ServerProcess) -> None:
    field(page, "html").fill("<title>Kept</title><body style='background: #ff0000'>")
    captured(page)
    entry = page.locator("#history button")
    expect(entry).to_have_count(1)
    open_tester(page, server)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    expect(entry).to_contain_text("Kept")
    assert field(page, "html").input_value() == ""
    entry.click()
    assert "Kept" in field(page, "html").input_value()
    assert server.key not in page.evaluate("() => JSON.stringify(localStorage)")
    page.get_by_role("button", name="Forget all").click()
    expect(entry).to_have_count(0)


def test_the_code_makes_the_same_picture(page: Page, server: ServerProcess, site: Site, tmp_path: Path) -> None:
    open_all(page)
    field(page, "url").fill(f"{site.url}/blocks.html?it's=$HOME")
    field(page, "format").select_option(label="png")
    field(page, "css").fill('body { margin-left: 0 } /* it\'s "quoted" */')
    field(page, "hide").fill("#none, [title='a,b']")
    page.locator("fieldset", has=page.locator("legend", has_text="viewport")).locator("[data-field=height]").fill("720")
    environment = {
        **os.environ,
        "CALOTYPE_KEY": server.key,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CALOTYPE_DATA_DIR": str(tmp_path / "data"),
    }

    def code(language: str) -> str:
        page.get_by_role("tab", name=language).click()
        shown = page.locator("#code").text_content()
        assert shown is not None
        assert server.key not in shown
        return shown

    programs = {
        "curl": ["bash", "-euo", "pipefail", "-c", code("curl")],
        "Python": [sys.executable, "-c", code("Python")],
        "JavaScript": ["node", "--input-type=module", "-e", code("JavaScript")],
        "Shell": ["bash", "-euc", f"{code('Shell')} --allow {shlex.quote(site.netloc)}"],
    }
    for language, command in programs.items():
        (tmp_path / "page.png").unlink(missing_ok=True)
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (language, done.stderr)
        assert_pixels(opened((tmp_path / "page.png").read_bytes()), dict(blocks.VIEWPORT))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    is_dark = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 128"
    assert page.evaluate(is_dark) is (scheme == "dark")
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate(is_dark) is (scheme == "light")


def test_on_a_phone_nothing_is_wider_than_the_screen(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_all(page)
    page.get_by_role("button", name="Add to actions").click()
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390


def test_the_whole_page_is_small_and_shows_an_upgrade_at_once(server: ServerProcess) -> None:
    files = [file for file in (STATIC / "tester").iterdir() if file.is_file()]
    openapi = server.client.get("/openapi.json").content
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) + len(gzip.compress(openapi)) < 200_000
    answer = server.client.get("/static/tester/app.js")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    known = {"If-None-Match": answer.headers["etag"]}
    assert server.client.get("/static/tester/app.js", headers=known).status_code == 304
    for path in ("/static/../http/pages.py", "/static/%2e%2e/pages.py", "/static/tester/", "/static/nothing.js"):
        lost = server.client.get(path)
        assert lost.status_code == 404
        assert lost.json()["error"]["code"] == "not_found"
    policy = server.client.get("/").headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
