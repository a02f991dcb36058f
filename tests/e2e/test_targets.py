"""Pages that can't be captured, and the error of the table that each gives."""

from __future__ import annotations

import socket

import pytest

from tests.site import blocks
from tests.site.pictures import pixel
from tests.site.server import Site, running_site

from .server_process import ServerProcess


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://localhost/",
        "http://[::1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
    ],
)
def test_a_private_address_is_blocked(server: ServerProcess, url: str) -> None:
    error = server.error(400, url=url)
    assert error["code"] == "blocked_target"
    assert "127." not in error["message"]


@pytest.mark.parametrize("how", ["/redirect?to={}", "/script-redirect.html?to={}"])
def test_a_redirect_to_a_private_address_is_blocked_and_not_visited(
    server: ServerProcess, site: Site, how: str
) -> None:
    with running_site() as private:
        error = server.error(400, url=site.url + how.format(f"{private.url}/blocks.html"))
        assert error["code"] == "blocked_target"
        assert not private.requests


def test_a_blocked_subresource_is_dropped(server: ServerProcess, site: Site) -> None:
    with running_site() as private:
        _, meta = server.picture(html=f'<img src="{private.url}/colour/00ff00"><p>text', base_url=f"{site.url}/")
        assert meta["partial"] is False
        assert not private.requests
        assert [warning["code"] for warning in meta["warnings"]] == ["blocked_request"]


def test_a_closed_port_is_unreachable(server: ServerProcess, site: Site) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        # Not listening; the allow list of this server names the site's port only, so the guard answers first.
        error = server.error(400, url=f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert error["code"] == "blocked_target"


def test_a_name_without_an_address_is_unresolvable(server: ServerProcess) -> None:
    error = server.error(400, url="https://no-such-host.invalid/")
    assert error["code"] == "unresolvable_host"


@pytest.mark.parametrize(("path", "text"), [("/download", "file"), ("/no-content", "without a page")])
def test_an_answer_that_is_no_page(server: ServerProcess, site: Site, path: str, text: str) -> None:
    error = server.error(500, url=site.url + path)
    assert error["code"] == "target_unreachable"
    assert text in error["message"]


def test_endless_redirects_are_an_error(server: ServerProcess, site: Site) -> None:
    error = server.error(500, url=f"{site.url}/redirect-for-ever")
    assert error["code"] == "target_unreachable"
    assert "without end" in error["message"]


def test_the_pages_own_error_status_is_a_picture(server: ServerProcess, site: Site) -> None:
    _, meta = server.picture(url=f"{site.url}/status/404")
    assert (meta["status_code"], meta["title"]) == (404, "404")


@pytest.mark.parametrize("status", [404, 502, 503])
def test_an_error_status_without_a_body_is_still_the_sites_answer(
    server: ServerProcess, site: Site, status: int
) -> None:
    _, meta = server.picture(url=f"{site.url}/status/{status}?empty")
    assert meta["status_code"] == status


@pytest.mark.parametrize("patterns", [["4xx"], [404], ["404"]], ids=str)
def test_fail_on_status(server: ServerProcess, site: Site, patterns: list[object]) -> None:
    error = server.error(400, url=f"{site.url}/status/404", fail_on_status=patterns)
    assert error["code"] == "target_status"
    assert error["details"][0]["status"] == 404


def test_a_missing_element(server: ServerProcess, site: Site) -> None:
    error = server.error(400, url=f"{site.url}/blocks.html", selector="#missing")
    assert error["code"] == "selector_not_found"
    assert error["details"][0]["field"] == "selector"


def test_a_selector_that_is_none(server: ServerProcess, site: Site) -> None:
    error = server.error(400, url=f"{site.url}/blocks.html", selector="div[")
    assert (error["code"], error["details"][0]["field"]) == ("invalid_request", "selector")


def test_a_clip_outside_of_the_document(server: ServerProcess, site: Site) -> None:
    clip = {"x": 0, "y": 5000, "width": 10, "height": 10}
    error = server.error(400, url=f"{site.url}/blocks.html", clip=clip)
    assert (error["code"], error["details"][0]["field"]) == ("invalid_request", "clip")


def test_a_picture_beyond_the_format_names_the_way_out(server: ServerProcess) -> None:
    html = "<body style='margin:0'><div style='height:20000px'></div>"
    error = server.error(400, html=html, format="webp", full_page=True)
    assert error["code"] == "result_too_large"
    assert "16383" in error["message"]
    assert "png" in error["message"]


def test_a_page_of_two_hundred_resources_is_whole(server: ServerProcess, site: Site) -> None:
    images = "".join(
        f'<img src="/colour/{"00ff00" if number % 2 else "ff0000"}?w=40&h=30&n={number}" width=40 height=30>'
        for number in range(200)
    )
    style = "<style>body { margin: 0; font-size: 0; width: 800px }</style>"
    asked = len(site.requests)
    image, meta = server.picture(html=f"{style}{images}", base_url=f"{site.url}/", format="png")
    for number in range(200):  # 20 in a row
        place = (number % 20 * 40 + 20, number // 20 * 30 + 15)
        assert pixel(image, *place) == (blocks.GREEN if number % 2 else blocks.RED), number
    assert meta["warnings"] == []
    assert sum(request.path.startswith("/colour/") for request in site.requests[asked:]) == 200
