"""What the page sees of the caller's wishes: headers, cookies, user agent, media, injected style and script."""

from __future__ import annotations

import pytest

from tests.site import blocks
from tests.site.pictures import pixel
from tests.site.server import Site

from .server_process import ServerProcess


def _headers(site: Site, path: str) -> dict[str, str]:
    return site.seen(path)[-1].headers


def test_headers_go_to_the_target_and_along_redirects_within_its_origin(server: ServerProcess, site: Site) -> None:
    server.picture(url=f"{site.url}/redirect?to={site.url}/echo", headers={"X-Secret": "s3cret"})
    assert _headers(site, "/redirect")["x-secret"] == "s3cret"
    assert _headers(site, "/echo")["x-secret"] == "s3cret"


def test_headers_do_not_follow_a_redirect_to_another_origin(server: ServerProcess, site: Site) -> None:
    elsewhere = site.url.replace("127.0.0.1", "localhost")
    server.picture(url=f"{site.url}/redirect?to={elsewhere}/echo", headers={"X-Secret": "s3cret"})
    assert _headers(site, "/redirect")["x-secret"] == "s3cret"
    assert "x-secret" not in _headers(site, "/echo")
    assert _headers(site, "/echo")["host"].startswith("localhost")


def test_headers_do_not_go_to_subresources_of_other_origins(server: ServerProcess, site: Site) -> None:
    elsewhere = site.url.replace("127.0.0.1", "localhost")
    html = f'<img src="{site.url}/colour/112233"><img src="{elsewhere}/colour/332211">'
    server.picture(html=html, base_url=f"{site.url}/", headers={"X-Secret": "s3cret"})
    assert _headers(site, "/colour/112233")["x-secret"] == "s3cret"
    assert "x-secret" not in _headers(site, "/colour/332211")


def test_headers_with_origins_go_there(server: ServerProcess, site: Site) -> None:
    elsewhere = site.url.replace("127.0.0.1", "localhost")
    headers = [{"name": "X-Other", "value": "o", "origins": [elsewhere]}]
    server.picture(url=f"{site.url}/redirect?to={elsewhere}/echo", headers=headers)
    assert "x-other" not in _headers(site, "/redirect")
    assert _headers(site, "/echo")["x-other"] == "o"


@pytest.mark.parametrize(
    "cookies", ["a=b; c=d", {"a": "b", "c": "d"}, [{"name": "a", "value": "b"}, {"name": "c", "value": "d"}]], ids=type
)
def test_cookies_in_every_shape(server: ServerProcess, site: Site, cookies: object) -> None:
    server.picture(url=f"{site.url}/echo", cookies=cookies)
    assert _headers(site, "/echo")["cookie"] == "a=b; c=d"


def test_cookies_of_one_capture_are_not_seen_by_the_next(server: ServerProcess, site: Site) -> None:
    server.picture(url=f"{site.url}/echo", cookies="a=b")
    server.picture(url=f"{site.url}/echo")
    assert "cookie" not in _headers(site, "/echo")


def test_user_agent_and_locale(server: ServerProcess, site: Site) -> None:
    server.picture(url=f"{site.url}/echo", user_agent="calotype-test/1", locale="de-DE")
    assert _headers(site, "/echo")["user-agent"] == "calotype-test/1"
    assert _headers(site, "/echo")["accept-language"].startswith("de-DE")


def test_locale_alone_keeps_the_browsers_own_user_agent(server: ServerProcess, site: Site) -> None:
    _, meta = server.picture(html="<script>document.title = navigator.userAgent</script>", locale="de-DE")
    assert "Chrome/" in meta["title"]


def test_timezone(server: ServerProcess) -> None:
    html = "<script>document.title = Intl.DateTimeFormat().resolvedOptions().timeZone</script>"
    _, meta = server.picture(html=html, timezone="Asia/Tokyo")
    assert meta["title"] == "Asia/Tokyo"


def test_geolocation(server: ServerProcess, site: Site) -> None:
    js = "navigator.geolocation.getCurrentPosition((at) => { document.title = at.coords.latitude })"
    place = {"latitude": 52.5, "longitude": 13.4}
    body = {
        "html": f"<p>x<script>{js}</script>",
        "geolocation": place,
        "render": {"wait_for_function": "document.title"},
    }
    _, meta = server.picture(base_url=f"{site.url.replace('127.0.0.1', 'localhost')}/", **body)
    assert meta["title"] == "52.5"


def test_media(server: ServerProcess, site: Site) -> None:
    image, _ = server.picture(url=f"{site.url}/responsive.html", format="png", media={"type": "print"})
    assert pixel(image, 600, 600) == blocks.BLUE
    html = "<script>document.title = matchMedia('(prefers-color-scheme: dark)').matches</script>"
    _, meta = server.picture(html=html, media={"color_scheme": "dark"})
    assert meta["title"] == "true"


def test_css_and_js_are_injected_past_a_strict_policy(server: ServerProcess) -> None:
    html = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'"><body>"""
    css, js = "body { background: #00ff00 }", "document.title = 'injected'"
    image, meta = server.picture(html=html, css=css, js=[js], format="png")
    assert pixel(image, 600, 600) == blocks.GREEN
    assert meta["title"] == "injected"


def test_a_failing_script_is_a_warning(server: ServerProcess) -> None:
    _, meta = server.picture(html="<p>x", js="throw new Error('no such thing')")
    [warning] = meta["warnings"]
    assert (warning["code"], warning["field"]) == ("script_failed", "js[0]")
    assert "no such thing" in warning["message"]


def test_hide_and_remove_work_past_a_strict_policy(server: ServerProcess) -> None:
    html = """<meta http-equiv="Content-Security-Policy" content="style-src 'none'"><p id="a">text</p><hr><p hidden>"""
    image, _ = server.picture(html=html, hide=["#a"], remove=["hr"], format="png")
    assert image.convert("RGB").getcolors() == [(1280 * 720, blocks.WHITE)]


def test_hide_keeps_the_space_and_remove_does_not(server: ServerProcess) -> None:
    html = "<style>*{margin:0}div{height:100px}</style>" + "".join(
        f'<div id="{name}" style="background:{colour}"></div>'
        for name, colour in (("a", "#ff0000"), ("b", "#00ff00"), ("c", "#0000ff"))
    )
    image, _ = server.picture(html=html, hide=["#a"], remove=["#b"], format="png")
    assert [pixel(image, 50, y) for y in (50, 150)] == [blocks.WHITE, blocks.BLUE]
