"""The page itself is, or becomes, a private target: 400 `blocked_target`, which tells no address."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.server_process import ServerProcess

from .internet import Page
from .laboratory import Laboratory

_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+|\[[0-9a-f:.]+\]|fd00:|::1")

INNER = {
    "network": "http://10.66.0.1/",
    "loopback": "http://127.0.0.1/",
    "loopback_v6": "http://[::1]:8080/",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "name": "http://inner.example/",
    "tls": "https://10.66.0.1/",
}
LEADING = {
    **{
        f"redirect_{status}": lambda url, status=status: Page(status=status, headers=(("Location", url),))
        for status in (301, 302, 303, 307, 308)
    },
    "meta_refresh": lambda url: Page(f'<meta http-equiv=refresh content="0;url={url}"><p>leaving'),
    "refresh_header": lambda url: Page("<p>leaving", headers=(("Refresh", f"0;url={url}"),)),
    "js_location": lambda url: Page(f"<script>location = {json.dumps(url)}</script><p>leaving"),
    "js_replace_after_load": lambda url: Page(
        f"<script>onload = () => location.replace({json.dumps(url)})</script><p>leaving"
    ),
    "js_form": lambda url: Page(
        f"<form method=post action={json.dumps(url)}></form><script>document.forms[0].submit()</script>"
    ),
    "js_click": lambda url: Page(f"<a href={json.dumps(url)}>x</a><script>document.links[0].click()</script>"),
}


def refused(lab: Laboratory, server: ServerProcess, url: str) -> None:
    lab.dns.name("inner.example", "10.66.0.2", "fd00:66::2")
    error = server.error(400, url=url)
    assert error["code"] == "blocked_target"
    assert not _ADDRESS.search(json.dumps({**error, "request_id": ""}))


@pytest.mark.parametrize("inner", INNER)
def test_top_private(lab: Laboratory, lab_server: ServerProcess, inner: str) -> None:
    refused(lab, lab_server, INNER[inner])


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("how", LEADING)
def test_top_private_by(lab: Laboratory, lab_server: ServerProcess, how: str, inner: str) -> None:
    refused(
        lab,
        lab_server,
        lab.internet.serve(f"http://{how.replace('_', '-')}.example/{inner}", LEADING[how](INNER[inner])),
    )
    assert [visit.address for visit in lab.internet.visits()] == ["93.184.216.34"]


@pytest.mark.parametrize("how", LEADING)
def test_top_private_by_from_https(lab: Laboratory, trusting_server: ServerProcess, how: str) -> None:
    url = lab.internet.serve(f"https://{how.replace('_', '-')}.example/", LEADING[how]("https://127.0.0.1/"))
    refused(lab, trusting_server, url)


@pytest.mark.parametrize("how", LEADING)
def test_the_same_ways_lead_to_a_public_page(lab: Laboratory, lab_server: ServerProcess, how: str) -> None:
    url = f"http://{how.replace('_', '-')}.example/"
    there = lab.internet.serve(f"http://arrived.example/{how}", Page("<title>arrived</title>"))
    _, meta = lab_server.picture(url=lab.internet.serve(url, LEADING[how](there)))
    assert (meta["title"], meta["final_url"]) == ("arrived", there)


def test_a_page_behind_two_redirects(lab: Laboratory, lab_server: ServerProcess) -> None:
    last = lab.internet.serve("http://second.example/", LEADING["redirect_302"]("http://0x7f.1/"))
    refused(lab, lab_server, lab.internet.serve("http://first.example/", LEADING["redirect_307"](last)))
